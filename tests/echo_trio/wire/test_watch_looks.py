"""What each look at one connection leads to, and when it is looked at again: to the moment."""

from __future__ import annotations

from typing import Any

import pytest

from echo_trio.wire import watch as watch_module
from echo_trio.wire.limits import Limits
from echo_trio.wire.watch import Watched

PING, PONG = b"\x89\x04", b"\x8a\x00"


class Looked(Watched):
    """A connection in whatever state a test puts it, and what it does."""

    _client = False
    _is_closing = _is_frozen = _is_shut_out = _is_reset = False  # type: ignore[assignment]
    _is_reading = True  # type: ignore[assignment]

    def __init__(self, interval_s: float, timeout_s: float = 0.0, idle_s: float = 0.0) -> None:
        self._limits = Limits(
            ping_interval_s=interval_s, ping_timeout_s=timeout_s, idle_timeout_s=idle_s
        )
        self.done = list[Any]()
        self.takes = True
        self.unread = 0, 0

    def at(self, now_s: float, **state: Any) -> tuple[float, list[Any]]:
        """Look; return when to look again, by the same clock, and what was done."""
        for name, value in state.items():
            setattr(self, name, value)
        self.done = []
        again_in_s = self.look(now_s)
        return now_s + again_in_s, self.done

    def pong(self) -> None:
        """The answer to the last ping has been read."""
        self._awaited_pong = None

    def _unread_bytes(self) -> tuple[int, int]:
        return self.unread

    def _write(self, data: bytes) -> bool:
        self.done.append(data[:2])
        return self.takes

    def _close_now(self, code: int, reason: str) -> None:
        self.done.append(("closes", code, reason))
        self._is_closing = True

    def _give_up(self, code: int, reason: str) -> None:
        self.done.append(("gives up", code, reason))
        self._is_closing = True

    def _on_hang_up(self) -> None:
        self.done.append("is gone")

    def _flush_in_run(self) -> None:
        self.done.append("flushes")


SILENT = ("gives up", 1011, "there was no answer to a ping")
IDLE = ("closes", 1001, "there was no message for too long")
INF = float("inf")


@pytest.fixture(autouse=True)
def begins_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if each was pinged when it is looked at first."""
    monkeypatch.setattr(watch_module, "random", lambda: 0.0)


@pytest.mark.parametrize(("chance", "at_s"), [(0.0, 20), (0.5, 15), (0.75, 12.5)])
def test_the_first_ping_comes_after_half_an_interval_at_least(monkeypatch, chance, at_s) -> None:
    monkeypatch.setattr(watch_module, "random", lambda: chance)
    it = Looked(20, 5)
    assert it.at(0) == (at_s, [])
    assert it.at(at_s - 0.5) == (at_s, [])
    assert it.at(at_s) == (at_s + 5, [PING])


def test_a_peer_that_answers_is_pinged_an_interval_after_the_last_ping() -> None:
    it = Looked(20, 5)
    assert it.at(0) == (20, [])
    assert it.at(20) == (25, [PING])
    it.pong()
    assert it.at(25) == (40, [])
    assert it.at(41) == (46, [PING])  # late by one: the next counts from then
    assert it.at(43) == (46, [])
    it.pong()
    assert it.at(46) == (61, [])
    assert it.at(61) == (66, [PING])
    assert it.timed_out is None


def test_a_peer_that_does_not_answer_in_time_is_given_up_then_and_not_before() -> None:
    it = Looked(20, 5)
    for now_s in (0, 20):
        it.at(now_s)
    assert it.at(24.5) == (25, [])
    assert it.at(25) == (25, [SILENT])
    assert (it.timed_out, it.at(26)) == ("ping", (INF, []))


def test_a_timeout_that_is_longer_than_the_interval_is_waited_for_without_another_ping() -> None:
    it = Looked(5, 12)
    assert [it.at(now_s) for now_s in (0, 5, 10, 15)] == [
        (5, []), (10, [PING]), (15, []), (17, [])
    ]  # fmt: skip
    assert it.at(17) == (17, [SILENT])


def test_without_a_timeout_it_is_pinged_on_and_never_given_up() -> None:
    it = Looked(20)
    it.at(0)
    for now_s in range(20, 200, 20):
        assert it.at(now_s) == (now_s + 20, [PING])


def test_an_answer_that_may_be_among_what_is_unread_is_waited_for() -> None:
    it = Looked(20, 5)
    for now_s in (0, 20):
        it.at(now_s)
    it.bytes_received = 100
    assert it.at(25, unread=(0, 50)) == (25, [])
    # Half of that was read, and as much has come since.
    assert it.at(26, unread=(0, 50), bytes_received=125) == (25, [])
    # All is read that was there, and the pong was not among it.
    assert it.at(27, unread=(10, 50), bytes_received=160) == (25, [SILENT])


def test_a_peer_that_may_be_gone_behind_what_is_unread_is_probed_once_an_interval() -> None:
    it = Looked(5, 60)
    for now_s in (0, 5):
        it.at(now_s)
    assert it.at(9, unread=(0, 50)) == (14, [])
    assert it.at(10) == (15, [PONG])
    assert it.at(14.5) == (19.5, [])
    assert it.at(15, takes=False) == (20, [PONG, "flushes"])
    assert it.at(20, unread=(0, 0)) == (25, [])
    assert it.at(25, unread=(0, 1), _is_reset=True) == (30, ["is gone"])


@pytest.mark.parametrize("state", [{"_unsent": bytearray(b"x")}, {"_is_frozen": True}])
def test_while_we_do_not_listen_the_interval_begins_again(state: dict[str, Any]) -> None:
    it = Looked(20, 5)
    for now_s in (0, 20):
        it.at(now_s)
    usual = {"_unsent": None, "_is_frozen": False}
    assert it.at(25, **state) == (30, [])
    assert it.at(40, **state) == (45, [])
    assert it.at(44, **usual) == (45, [])
    assert it.at(45) == (45, [SILENT])


@pytest.mark.parametrize("is_full", [False, True])
def test_one_that_is_frozen_and_can_send_nothing_more_is_probed(is_full: bool) -> None:
    it = Looked(20, 5)
    it.at(0)
    probes = [it.at(now_s, _is_frozen=True, _is_shut_out=True,
                    _unsent=bytearray(b"x") if is_full else None)
              for now_s in (20, 30, 39.5, 40)]  # fmt: skip
    done = [PONG] if not is_full else []
    assert probes == [(40, done), (50, []), (59.5, []), (60, done)]
    assert it.at(60, _unsent=None, _is_shut_out=False) == (80, [])


def test_one_that_is_not_read_from_is_pinged_and_has_no_timeout() -> None:
    it = Looked(20, 5)
    it.at(0)
    assert it.at(20, _is_reading=False) == (40, [PING])
    assert it.at(30) == (40, [])
    assert it.at(40, takes=False) == (60, [PING, "flushes"])
    assert it.at(44, _is_reading=True, takes=True) == (45, [])
    assert it.at(45) == (45, [SILENT])


def test_a_connection_without_messages_is_closed_once_that_is_too_long() -> None:
    it = Looked(0, 0, idle_s=10)
    assert it.at(0) == (10, [])
    assert it.at(4, messages_received=1) == (14, [])
    assert it.at(9, messages_sent=1) == (19, [])
    assert it.at(14) == (19, [])
    assert it.at(18.5) == (19, [])
    assert it.at(19, unread=(0, 5)) == (19, [])  # There may be one among these.
    assert it.at(20, bytes_received=5, unread=(0, 7)) == (19, [IDLE])
    assert (it.timed_out, it.at(21)) == ("idle", (INF, []))


def test_of_pings_and_idleness_the_sooner_is_waited_for() -> None:
    it = Looked(20, 5, idle_s=30)
    assert it.at(0) == (20, [])
    assert it.at(20) == (25, [PING])
    it.pong()
    assert it.at(25) == (30, [])  # Pings are no messages.
    assert it.at(29, messages_received=1) == (40, [])
    assert it.at(40) == (45, [PING])
    it.pong()
    assert it.at(58) == (59, [])
    assert it.at(59) == (59, [IDLE])
    assert (it.timed_out, it.at(60)) == ("idle", (INF, []))
