"""Check what a program hands on to its console."""

from __future__ import annotations

import errno
import os
from types import SimpleNamespace
from typing import Any

import pytest

from echo_trio import service
from echo_trio.service import CannotStart
from echo_trio.settings import Settings


class FakeServer(SimpleNamespace):
    """A server of which nothing is asked yet."""

    def __init__(self) -> None:
        super().__init__(
            url="ws://here:1/", budget=object(), activity=object(), faults="~delay/1s",
            given=[], ask=object(), snapshot=object(), tasks=object(),
        )  # fmt: skip

    async def set_faults(self, text: str) -> None:
        self.given.append(text)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The consoles that were made: what each was given by place, and by name."""
    made: list[Any] = []

    def make(*args: Any, **more: Any) -> Any:
        made.append((args, more))
        return made[-1]

    monkeypatch.setattr("echo_trio.console.serve.Console", make)
    return made


async def test_a_console_gets_all_that_it_asks_of_its_server(made: list[Any]) -> None:
    settings, listeners, log = Settings(), [object()], object()
    server: Any = FakeServer()
    console = service._make_console(settings, listeners, server, log)  # type: ignore[arg-type]
    assert console is made[0]
    assert made[0] == (
        (settings, listeners),
        {
            "url": server.url, "snapshot": server.ask, "known": server.snapshot,
            "tasks": server.tasks, "faults": None, "budget": server.budget,
            "activity": server.activity, "log": log,
        },
    )  # fmt: skip


async def test_a_proxys_console_reads_and_changes_its_faults(made: list[Any]) -> None:
    server: Any = FakeServer()
    service._make_console(Settings(upstream="ws://127.0.0.1:1/"), [], server, None)
    faults = made[0][1]["faults"]
    assert faults.get() == "~delay/1s"
    server.faults = None
    assert faults.get() == ""
    await faults.set("~drop/3")
    assert server.given == ["~drop/3"]


def test_a_certificate_that_the_console_cannot_use_is_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))

    monkeypatch.setattr("echo_trio.console.serve.Console", fail)
    server: Any = FakeServer()
    with pytest.raises(CannotStart, match=r"^No such file or directory$"):
        service._make_console(Settings(), [], server, None)
