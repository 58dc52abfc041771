"""Who is watched is a set; how the watch looks after them is tested on sockets (test_time)."""

from __future__ import annotations

import itertools
import select
import socket
import struct

import pytest
import trio

from echo_trio.wire import watch as watch_module
from echo_trio.wire.close_codes import ABNORMAL_CLOSURE
from echo_trio.wire.connection import Connection
from echo_trio.wire.limits import Limits
from echo_trio.wire.watch import MOST_TOGETHER, SLOTS, Watch


class Watched:
    """Is to be looked at again in so many seconds."""

    slot = 0

    def __init__(self, in_s: float) -> None:
        self.in_s, self.looked = in_s, 0

    def look(self, _: float) -> float:
        self.looked += 1
        return self.in_s


class Noting:
    """Notes when it is looked at: by Trio's clock, and by the watch's."""

    slot = 0

    def __init__(self, first_in_s: float, then_in_s: float) -> None:
        self.looks = list[tuple[float, float]]()
        self._first_in_s, self._then_in_s = first_in_s, then_in_s

    def look(self, now_s: float) -> float:
        self.looks.append((trio.current_time(), now_s))
        assert len(self.looks) < 100, "it would be looked at without end"
        return self._first_in_s if len(self.looks) == 1 else self._then_in_s


@pytest.mark.parametrize("limits", [Limits(), Limits(ping_interval_s=1.0, ping_timeout_s=2.0)])
def test_the_connections_of_a_process_are_a_set(limits) -> None:
    watch = Watch(limits)
    made = [Watched(in_s) for in_s in (0.0, 0.1, 0.1, 50.0, float("inf"))]
    for each in made:
        watch.add(each)  # type: ignore[arg-type]
    assert len(watch) == 5
    assert set(watch) == set(made)
    for gone, each in enumerate(made, 1):
        assert each in watch
        watch.discard(each)  # type: ignore[arg-type]
        watch.discard(each)  # type: ignore[arg-type]
        assert each not in watch
        assert len(watch) == 5 - gone


def test_each_is_looked_at_when_it_is_time_to_and_stays_watched() -> None:
    watch = Watch(Limits(ping_interval_s=64.0, ping_timeout_s=64.0))  # a tick is a second
    soon, later, never = Watched(3.0), Watched(10.0), Watched(float("inf"))
    part = Watched(2.5)  # is not looked at before, so at the next tick
    for each in (soon, later, never, part):
        watch.add(each)  # type: ignore[arg-type]
    for _ in range(30):
        list(watch._turn())
    assert (soon.looked, later.looked, never.looked, part.looked) == (11, 4, 1, 11)
    for _ in range(SLOTS):
        list(watch._turn())
    assert never.looked == 2
    assert len(watch) == 4


async def test_who_comes_after_the_last_has_gone_is_looked_at_and_in_between_nobody_wakes(
    nursery, autojump_clock
) -> None:
    watch = Watch(Limits(ping_interval_s=64.0, ping_timeout_s=64.0))
    nursery.start_soon(watch.run)
    first, second = Watched(3.0), Watched(3.0)
    await trio.sleep(1000)
    watch.add(first)  # type: ignore[arg-type]
    await trio.sleep(10)
    assert first.looked > 2
    watch.discard(first)  # type: ignore[arg-type]
    await trio.sleep(100)
    assert trio.lowlevel.current_statistics().seconds_to_next_deadline == float("inf")
    watch.add(second)  # type: ignore[arg-type]
    await trio.sleep(10)
    assert second.looked > 2


def test_a_peer_that_resets_is_found_although_what_it_sent_is_not_read_yet() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        theirs = socket.create_connection(listener.getsockname())
        ours, _ = listener.accept()
    with ours, theirs:
        theirs.settimeout(60)
        limits = Limits(ping_interval_s=1.0, ping_timeout_s=20.0)
        connection = Connection.opened(ours, client=False, limits=limits)
        connection.look(0.0)
        assert connection.look(1.0) <= 1.0
        assert theirs.recv(100)[:2] == b"\x89\x04", "a ping"
        theirs.sendall(b"\x81\x85\0\0\0\0flood")
        assert ours in select.select([ours], [], [], 60)[0]
        connection.look(1.9)
        assert not select.select([theirs], [], [], 0)[0], "the ping is not an interval old"
        assert 0.0 < connection.look(2.0) <= 1.0
        assert theirs.recv(100) == b"\x8a\0", "a pong that nobody asked for"
        connection.look(2.5)
        assert not select.select([theirs], [], [], 0)[0], "once in an interval"
        connection.look(3.0)
        assert theirs.recv(100) == b"\x8a\0", "and once in the next"
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        theirs.close()
        ended = select.poll()
        ended.register(ours, 0)
        assert ended.poll(60_000)
        connection.look(4.0)
        assert connection.closed is not None
        assert connection.closed.code == ABNORMAL_CLOSURE


def test_a_peer_is_silent_once_all_is_read_that_was_there_though_more_comes(monkeypatch) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        connection = Connection.opened(ours, client=False, limits=Limits())
        unread = (3, 50)
        monkeypatch.setattr(connection, "_unread_bytes", lambda: unread)
        connection.bytes_received = 100
        assert not connection._has_read_what_was_there()
        connection.bytes_received, unread = 149, (0, 7)
        assert not connection._has_read_what_was_there()
        connection.bytes_received, unread = 150, (0, 6)
        assert connection._has_read_what_was_there()
        assert not connection._has_read_what_was_there(), "a first question once more"
        unread = (0, 0)
        assert connection._has_read_what_was_there()


def test_a_peer_whose_pong_may_be_there_unread_is_not_taken_for_silent(monkeypatch) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        limits = Limits(ping_interval_s=10.0, ping_timeout_s=2.0)
        connection = Connection.opened(ours, client=False, limits=limits)
        connection.look(0.0)
        connection.look(10.0)
        unread = (3, 50)
        monkeypatch.setattr(connection, "_unread_bytes", lambda: unread)
        connection.bytes_received = 100
        connection.look(12.0)
        assert connection.timed_out is None
        connection.bytes_received, unread = 150, (0, 6)
        connection.look(13.0)
        assert connection.timed_out == "ping"


def test_a_peer_that_stops_amid_a_header_is_as_silent_as_any_other() -> None:
    """Let part of a message arrive: it waits for the peer, and not for us."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        limits = Limits(ping_interval_s=10.0, ping_timeout_s=2.0)
        connection = Connection.opened(ours, client=False, limits=limits)
        connection._on_message = lambda _: None
        connection.look(0.0)
        connection.look(10.0)
        connection._take_arrived(b"\x81")
        assert not connection.has_unread
        connection.look(11.9)
        assert connection.timed_out is None
        connection.look(12.0)
        assert connection.timed_out == "ping"


@pytest.mark.parametrize("direction", ["messages_received", "messages_sent", None])
def test_a_message_in_either_direction_begins_the_idle_time_anew(direction) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        connection = Connection.opened(ours, client=False, limits=Limits(idle_timeout_s=10.0))
        assert connection.look(0.0) == 10.0
        assert connection.look(6.0) == 4.0
        if direction is not None:
            setattr(connection, direction, 1)
            assert connection.look(7.0) == 10.0
            assert connection.look(16.0) == 1.0
            assert connection.timed_out is None
            connection.look(17.0)
        else:
            connection.look(10.0)
        assert connection.timed_out == "idle"
        why = b"there was no message for too long"
        assert theirs.recv(100) == bytes((0x88, 2 + len(why))) + (1001).to_bytes(2, "big") + why


@pytest.mark.parametrize(
    ("count", "together"),
    [(99, 1), (100, 2), (299, 3), (300, 4), (1000, MOST_TOGETHER)],
)
async def test_a_crowd_is_looked_at_in_a_few_ticks_together_never_early_and_so_late_at_most(
    nursery, autojump_clock, monkeypatch, count: int, together: int
) -> None:
    monkeypatch.setattr(watch_module, "CROWD", 100)
    watch = Watch(Limits(ping_interval_s=64.0, ping_timeout_s=64.0))  # a tick is a second
    crowd = [Noting(1 + number % 59, 61.0) for number in range(count)]
    for each in crowd:
        watch.add(each)  # type: ignore[arg-type]
    began_s = trio.current_time()
    nursery.start_soon(watch.run)
    await trio.sleep(250.5)
    wakes = {round(at_s - began_s, 3) for each in crowd for at_s, _ in each.looks[1:]}
    assert wakes <= set(range(together, 251, together))
    for number, each in enumerate(crowd):
        dues_s = itertools.chain([1 + number % 59], itertools.repeat(61))
        assert len(each.looks) > 3
        for (at_s, now_s), (next_s, next_now_s), due_s in zip(
            each.looks, each.looks[1:], dues_s, strict=False
        ):
            assert due_s - 1e-6 <= next_s - at_s < due_s + together
            # A ping that is noted for a moment is sent then, so its answer has the whole time.
            assert next_now_s - now_s == pytest.approx(next_s - at_s)


async def test_who_is_due_in_an_hour_is_not_put_where_the_same_turn_goes_on(
    nursery, autojump_clock, monkeypatch
) -> None:
    monkeypatch.setattr(watch_module, "CROWD", 10)
    watch = Watch(Limits(ping_interval_s=64.0, ping_timeout_s=64.0))
    crowd = [Noting(1.0 + number, 3600.0) for number in range(40)]
    for each in crowd:
        watch.add(each)  # type: ignore[arg-type]
    nursery.start_soon(watch.run)
    await trio.sleep(0.01)
    for _ in range(3 * SLOTS // (MOST_TOGETHER + 1)):
        autojump_clock.jump(MOST_TOGETHER + 1.5)  # The longest turn: a tick was missed.
        await trio.sleep(0.01)
    assert {len(each.looks) for each in crowd} <= {4, 5}


async def test_time_in_which_the_process_stood_still_counts_against_nobody(
    nursery, autojump_clock
) -> None:
    watch, each = Watch(Limits(ping_interval_s=64.0, ping_timeout_s=64.0)), Watched(3.0)
    watch.add(each)  # type: ignore[arg-type]
    nursery.start_soon(watch.run)
    await trio.sleep(10.5)
    looked = each.looked
    assert looked >= 3
    autojump_clock.jump(1000)
    await trio.sleep(0.01)
    assert each.looked <= looked + 1
    await trio.sleep(10)
    assert looked + 3 <= each.looked <= looked + 5


def test_who_ends_while_the_others_are_looked_at_is_watched_no_longer() -> None:
    watch = Watch(Limits(ping_interval_s=64.0, ping_timeout_s=64.0))
    made = [Watched(3.0) for _ in range(4)]
    for each in made:
        watch.add(each)  # type: ignore[arg-type]
    list(watch._turn())
    list(watch._turn())
    turn = watch._turn()
    next(turn)
    for each in made:
        watch.discard(each)  # type: ignore[arg-type]
    assert not list(turn)
    assert len(watch) == 0
    assert sum(each.looked for each in made) == 5
