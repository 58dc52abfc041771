"""The processes of one machine: as many as were asked for, and none without a socket."""

from __future__ import annotations

from typing import Any

import pytest

from loadgen.preflight.check import Refused
from loadgen.processes import local
from loadgen.workload.plan import Plan


@pytest.mark.parametrize(("asked", "sockets", "count"), [(5, 2, 2), (2, 5, 2), (3, 3, 3)])
async def test_no_process_is_started_that_would_have_no_socket(
    monkeypatch: pytest.MonkeyPatch, asked: int, sockets: int, count: int
) -> None:
    told = list[str]()

    async def start(_: object, place: str) -> None:
        told.append(place)
        raise OSError(11, "no more processes")

    monkeypatch.setattr(local, "start_shard", start)
    starter: Any = None
    with pytest.raises(Refused, match=f"--workers {count}: process 1 .*no more processes"):
        async with local.Processes(asked, starter).launch(Plan(sockets)):
            pass
    assert told == [f"1/{count}"]
