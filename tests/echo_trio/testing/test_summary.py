"""Check what the report of a failed test says of its server's connections."""

from __future__ import annotations

import pytest

from echo_trio.metrics.counters import Outcome
from echo_trio.testing.running_server import RunningServer
from echo_trio.testing.seen import KEPT_SIZE, Seen
from echo_trio.testing.summary import SHOWN_CHARACTERS, SHOWN_CONNECTIONS, summarize
from echo_trio.wire.server_handshake import UpgradeRequest


def lines_of(seen: Seen) -> list[str]:
    return summarize(RunningServer("ws://here/", None, seen, lambda _: None)).splitlines()


@pytest.mark.parametrize("many", [0, 1, SHOWN_CONNECTIONS, SHOWN_CONNECTIONS + 1])
def test_the_last_connections_are_shown_and_how_many_there_were_is_said(many: int) -> None:
    seen = Seen()
    for number in range(many):
        seen.accepted("peer").ended(Outcome.CLEAN, {"messages_sent": number})
    first, *lines = lines_of(seen)
    more = f"; the last {SHOWN_CONNECTIONS}:" if many > SHOWN_CONNECTIONS else ""
    assert first == f"ws://here/ saw {many} connection{'' if many == 1 else 's'}{more}"
    sent = [int(line.split()[-2]) for line in lines]
    assert sent == list(range(many))[-SHOWN_CONNECTIONS:]


def test_messages_stand_below_their_connection_each_with_its_direction() -> None:
    seen = Seen()
    one, other = seen.accepted("1"), seen.accepted("2")
    one.received("hello")
    other.received(b"\x00\xff")
    one.sent("a\nb")
    assert lines_of(seen)[1:] == [
        "  (no request): open, 1 in, 1 out",
        "    → hello",
        "    ← a\\nb",
        "  (no request): open, 1 in, 0 out",
        "    → b'\\x00\\xff'",
    ]


@pytest.mark.parametrize(
    ("message", "size"),
    [
        ("x" * SHOWN_CHARACTERS, ""),
        ("x" * (SHOWN_CHARACTERS + 1), f" ({SHOWN_CHARACTERS + 1} characters)"),
        (b"x" * (KEPT_SIZE + 1), f" ({KEPT_SIZE + 1} bytes)"),
    ],
)
def test_a_message_shown_in_part_has_its_size(message: str | bytes, size: str) -> None:
    seen = Seen()
    seen.accepted("1").received(message)
    shown = lines_of(seen)[-1]
    assert shown.partition(" (")[2] == size.removeprefix(" (")
    assert len(shown.removeprefix("    → ").removesuffix(size)) <= SHOWN_CHARACTERS + 1


def test_a_path_that_is_none_is_told_with_the_nearest() -> None:
    seen = Seen()
    for path, reason in (("/dealy/1s", "path"), ("/dealy/1s", "capacity")):
        observer = seen.accepted("1")
        observer.requested(UpgradeRequest(path, [], "key", []))
        observer.ended(Outcome.REFUSED, {"status": 404, "reason": reason})
    assert lines_of(seen)[1:] == [
        "  /dealy/1s: refused, HTTP 404 (there is no such path), 0 in, 0 out",
        "    did you mean /delay/{duration}?",
        "  /dealy/1s: refused, HTTP 404, 0 in, 0 out",
    ]
