"""Check what a test sees of the connections of its server, while they go on and after their end."""

from __future__ import annotations

import threading
import time
from dataclasses import fields
from typing import Any

import pytest

from echo_trio.metrics.counters import Outcome
from echo_trio.testing.seen import KEPT_SIZE, SHOWN_PATH, Seen, SeenConnection, SeenMessage
from echo_trio.wire.server_handshake import UpgradeRequest

#: A hang guard, nothing else.
PATIENCE_S = 60.0


def request_for(target: str) -> UpgradeRequest:
    return UpgradeRequest(target, [], "key", [])


def everything(connection: SeenConnection) -> dict[str, Any]:
    return {
        each.name: getattr(connection, each.name)
        for each in fields(connection)
        if not each.name.startswith("_")
    }


def test_a_connection_is_told_from_its_acceptance_to_its_end() -> None:
    seen = Seen()
    observer = seen.accepted("1.2.3.4:5")
    (connection,) = seen.connections
    told = {
        "peer": "1.2.3.4:5", "path": "", "outcome": None, "close_code": None, "status": None,
        "why": "", "subprotocol": None, "messages_in": 0, "messages_out": 0,
    }  # fmt: skip
    assert everything(connection) == told
    assert str(connection) == "(no request): open, 0 in, 0 out"
    observer.requested(request_for("/duplicate/1?x=1"))
    observer.opened("chat", ["permessage-deflate"])
    observer.received("hello")
    observer.sent("hello 1")
    observer.sent(b"hello 2")
    assert everything(connection) == told | {
        "path": "/duplicate/1", "subprotocol": "chat", "messages_in": 1, "messages_out": 2,
    }  # fmt: skip
    assert not connection.clean
    observer.ended(Outcome.ABNORMAL, {"code": 1006, "messages_sent": 1})
    assert everything(connection) == told | {
        "path": "/duplicate/1", "subprotocol": "chat", "messages_in": 1, "messages_out": 1,
        "outcome": Outcome.ABNORMAL, "close_code": 1006,
    }  # fmt: skip
    assert str(connection) == "/duplicate/1: abnormal, close code 1006, 1 in, 1 out"
    assert repr(connection) == f"<SeenConnection {connection}>"
    assert not connection.clean
    assert connection.last_messages == (
        SeenMessage("in", "hello", 5),
        SeenMessage("out", "hello 1", 7),
        SeenMessage("out", b"hello 2", 7),
    )


@pytest.mark.parametrize(
    ("details", "status", "why"),
    [
        ({"status": 404, "reason": "path"}, 404, "there is no such path"),
        ({"status": 400, "reason": "parameter"}, 400, "a parameter of the path is wrong"),
        ({"status": 502, "reason": "upstream_answer", "why": "It said no"}, 502, "It said no"),
        ({"status": 503, "reason": "capacity"}, 503, ""),
    ],
)
def test_a_refusal_says_why_where_that_is_the_tests_doing(
    details: dict[str, Any], status: int, why: str
) -> None:
    seen = Seen()
    seen.accepted("peer").ended(Outcome.REFUSED, details)
    (connection,) = seen.connections
    assert (connection.status, connection.why) == (status, why)
    assert (connection.close_code, connection.messages_out, connection.clean) == (None, 0, False)
    said = f" ({why})" if why else ""
    assert str(connection) == f"(no request): refused, HTTP {status}{said}, 0 in, 0 out"


def test_the_shown_path_is_printable_and_bounded() -> None:
    seen = Seen()
    seen.accepted("peer").requested(request_for("/a\x1b[2J" + "b" * 2 * SHOWN_PATH))
    shown = str(seen.connections[0]).partition(": open")[0]
    assert shown == "/a\\x1b[2J" + "b" * (SHOWN_PATH - 6) + "…"


@pytest.mark.parametrize("size", [KEPT_SIZE - 1, KEPT_SIZE, KEPT_SIZE + 1])
@pytest.mark.parametrize("one", ["x", b"x"])
def test_a_kept_message_has_a_bounded_part_and_its_whole_size(one: str | bytes, size: int) -> None:
    seen = Seen()
    observer = seen.accepted("peer")
    observer.received(one * size)
    observer.sent(one * size)
    kept = one * min(size, KEPT_SIZE)
    assert seen.connections[0].last_messages == (
        SeenMessage("in", kept, size),
        SeenMessage("out", kept, size),
    )


def test_connections_stay_in_the_order_in_which_they_were_accepted() -> None:
    seen = Seen()
    observers = [seen.accepted(str(number)) for number in range(4)]
    for number in (2, 0):
        observers[number].ended(Outcome.CLEAN, {"code": 1000})
    assert [each.peer for each in seen.connections] == ["0", "1", "2", "3"]
    assert [each.outcome for each in seen.connections] == [
        Outcome.CLEAN, None, Outcome.CLEAN, None,
    ]  # fmt: skip
    assert [each.clean for each in seen.connections] == [True, False, True, False]


def test_who_waits_is_let_go_by_as_many_ends_as_it_waits_for() -> None:
    seen = Seen()
    first, second = seen.accepted("1"), seen.accepted("2")
    seen.wait_ended(0, 0)
    with pytest.raises(TimeoutError, match=r"^0 of 1 connections had closed within 0 s; 2 open$"):
        seen.wait_ended(1, 0)
    first.ended(Outcome.CLEAN, {})
    seen.wait_ended(1, 0)
    with pytest.raises(TimeoutError, match=r"^1 of 2 connections had closed within 0 s; 1 open$"):
        seen.wait_ended(2, 0)
    threads = [
        threading.Thread(target=seen.wait_ended, args=(2, 1e4), daemon=True),
        threading.Thread(target=seen.wait_all_ended, args=(1e4,), daemon=True),
    ]
    for thread in threads:
        thread.start()
    until_s = time.monotonic() + PATIENCE_S
    while len(seen._changed._waiters) < 2 and time.monotonic() < until_s:  # type: ignore[attr-defined]
        time.sleep(0.001)
    second.ended(Outcome.ABNORMAL, {})
    for thread in threads:
        thread.join(PATIENCE_S)
    assert not any(thread.is_alive() for thread in threads)


class Slow(threading.Condition):
    """A condition with a clock of its own: each wait takes three seconds, and sees one end."""

    def __init__(self, seen: Seen) -> None:
        super().__init__()
        self.now_s = 100.0
        self.waited_s = list[float | None]()
        self._open = [seen.accepted(str(number)) for number in range(9)]

    def monotonic(self) -> float:
        return self.now_s

    def wait(self, timeout: float | None = None) -> bool:
        self.waited_s.append(timeout)
        self.now_s += 3
        self._open.pop().ended(Outcome.CLEAN, {})
        return True


@pytest.mark.parametrize("wait_for_all", [False, True])
def test_the_ends_of_some_give_no_more_time_to_who_waits_for_more(
    monkeypatch: pytest.MonkeyPatch, wait_for_all: bool
) -> None:
    seen = Seen()
    seen._changed = slow = Slow(seen)
    monkeypatch.setattr("echo_trio.testing.seen.time", slow)
    if wait_for_all:
        seen.wait_all_ended(10)
    else:
        with pytest.raises(TimeoutError, match=r"^4 of 9 connections .* 10 s; 5 open$"):
            seen.wait_ended(9, 10)
    assert slow.waited_s == [10, 7, 4, 1]


def test_waiting_for_all_gives_up_without_a_complaint() -> None:
    seen = Seen()
    seen.accepted("1")
    seen.wait_all_ended(0)
    assert seen.connections[0].outcome is None


def test_the_servers_own_thread_may_ask_for_what_is_so_already_and_not_wait() -> None:
    seen = Seen()
    seen.thread_id = threading.get_ident()
    seen.wait_all_ended(PATIENCE_S)
    seen.accepted("1").ended(Outcome.CLEAN, {})
    seen.wait_ended(1, PATIENCE_S)
    with pytest.raises(RuntimeError, match="would wait for itself"):
        seen.wait_ended(2, PATIENCE_S)
    seen.accepted("2")
    with pytest.raises(RuntimeError, match="would wait for itself"):
        seen.wait_all_ended(PATIENCE_S)
