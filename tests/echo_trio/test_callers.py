"""The handshakes under way: each can be interrupted, for as long as it takes and no longer."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import trio

from echo_trio.callers import Sessions


@pytest.mark.parametrize("is_draining", [False, True])
async def test_a_part_of_a_handshake_is_interrupted_while_the_server_drains(
    is_draining: bool,
) -> None:
    sessions: Any = SimpleNamespace(
        openings=set[trio.CancelScope](), counters=SimpleNamespace(draining=is_draining)
    )
    with Sessions.opening(sessions, trio.current_time() + 60) as scope:
        assert sessions.openings == {scope}
        assert scope.cancel_called is is_draining
        await trio.lowlevel.checkpoint()
        assert not is_draining
    assert sessions.openings == set()
    assert scope.cancelled_caught is is_draining


async def test_a_part_of_a_handshake_that_fails_leaves_nothing_to_interrupt() -> None:
    sessions: Any = SimpleNamespace(
        openings=set[trio.CancelScope](), counters=SimpleNamespace(draining=False)
    )
    with pytest.raises(OSError, match="of the test"), Sessions.opening(sessions, 1e9):
        raise OSError("of the test")
    assert sessions.openings == set()
