"""What one end of a proxy is told of how the other has ended."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from echo_trio.behaviours.actions import Close
from echo_trio.proxy.pair import Pair
from echo_trio.wire.close_codes import (
    ABNORMAL_CLOSURE,
    BAD_GATEWAY,
    GOING_AWAY,
    TRY_AGAIN_LATER,
)

IDLE = Close(GOING_AWAY, "there was no message for too long")
MEMORY = Close(TRY_AGAIN_LATER, "the proxy is short of memory")
RULE = Close(BAD_GATEWAY, "the upstream broke the protocol, or a limit")
FAILED = Close(GOING_AWAY, "the client's connection failed")


@pytest.mark.parametrize(
    ("facts", "of_client", "of_upstream"),
    [
        ({"close_received": 4000, "close_reason": "bye"}, Close(4000, "bye"), Close(4000, "bye")),
        ({"close_received": 1000, "failure": 1002}, FAILED, RULE),
        ({"evicted": True}, MEMORY, MEMORY),
        ({"timed_out": "idle"}, IDLE, IDLE),
        ({"timed_out": "idle", "evicted": True}, MEMORY, MEMORY),
        ({"timed_out": "ping"}, FAILED, Close(BAD_GATEWAY, "the upstream did not answer in time")),
        ({"timed_out": "write", "failure": 1009}, FAILED, RULE),
        ({"failure": 1009}, FAILED, RULE),
        ({}, Close(ABNORMAL_CLOSURE), Close(BAD_GATEWAY, "the upstream is gone")),
    ],
    ids=str,
)
def test_each_end_is_told_how_the_other_has_ended(
    facts: dict[str, Any], of_client: Close, of_upstream: Close
) -> None:
    rest = {"close_received": None, "close_reason": "", "failure": None, "evicted": False}
    end: Any = SimpleNamespace(**rest | {"timed_out": None} | facts)
    assert Pair.last_words(SimpleNamespace(upstream=None), end) == of_client  # type: ignore[arg-type]
    assert Pair.last_words(SimpleNamespace(upstream=end), end) == of_upstream  # type: ignore[arg-type]
