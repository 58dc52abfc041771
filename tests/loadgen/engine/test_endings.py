"""How a socket has ended is told by who did what first: every case in one table."""

from __future__ import annotations

import itertools
from types import SimpleNamespace
from typing import Any

from loadgen.engine.endings import close_code_of, ending_of, show_code_of
from loadgen.results.ledger import Ending


def test_each_end_has_one_way_and_one_code() -> None:
    for failure, evicted, first, clean, timed_out, received in itertools.product(
        (None, 1002), (False, True), (None, "peer", "us"), (False, True), (None, "close"),
        (None, 1000, 4000),
    ):  # fmt: skip
        connection: Any = SimpleNamespace(
            failure=failure, evicted=evicted, closed_first=first, clean=clean, timed_out=timed_out,
            close_received=received, close_code=failure or received or 1006, closed=None,
        )  # fmt: skip
        is_ours = failure is not None or evicted
        expected = (
            Ending.ABNORMAL if is_ours
            else Ending.BY_PEER if first == "peer"
            else Ending.CLEAN if clean
            else Ending.TIMEOUT if timed_out
            else Ending.ABNORMAL
        )  # fmt: skip
        assert ending_of(connection) is expected
        code = 1009 if evicted else 1002 if failure else received or 1006
        assert close_code_of(connection) == code
        assert show_code_of(connection) == str(code)
        connection.closed = SimpleNamespace(reason="go\naway" if received else None)
        assert show_code_of(connection) == (f"{code}: go\\naway" if received else str(code))


def test_of_a_long_reason_two_hundred_characters_are_shown() -> None:
    connection: Any = SimpleNamespace(
        evicted=False, failure=None, close_received=4000, closed=SimpleNamespace(reason="x" * 200)
    )
    assert show_code_of(connection) == f"4000: {'x' * 200}"
    connection.closed.reason += "y"
    assert show_code_of(connection) == f"4000: {'x' * 200}…"
