"""A connection under anything that either side may do, in any order: it never hangs and ends once.

A machine of Hypothesis does one thing after another to a real TCP connection: messages, pings and
closes from both ends, cancellations, half-closes, resets, nonsense, silence. Trio runs in a thread
of its own on a virtual clock; the machine has one task of it do each thing, and lets all come to
rest. At the end it must be over within its timeouts, whatever had happened; nothing may be left of
it; and what it says of itself has to be what was on the wire.
"""

from __future__ import annotations

import os
import select
import socket
import struct
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from math import inf
from typing import Any

import psutil
import pytest
import trio
import trio.testing
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from trio_websocket import ConnectionClosed

from echo_trio.metrics.counters import Outcome
from echo_trio.session import _outcome
from echo_trio.wire.connection import Limits
from echo_trio.wire.poller import Poller
from echo_trio.wire.upstream import UpstreamConnection as Connection
from echo_trio.wire.watch import Watch

from .conftest import BINARY, CLOSE, PATIENCE_S, PING, PONG, TEXT

EXAMPLES = int(os.environ.get("STATEFUL_EXAMPLES", "5000"))
LIMITS = Limits(
    max_message_bytes=100_000,
    write_timeout_s=5,
    close_timeout_s=5,
    ping_interval_s=20,
    ping_timeout_s=10,
    idle_timeout_s=60,
)
#: Than the write timeout, though the kernel's buffers may be slow to fill up.
LONG_S = 20
#: Together, and more: after so long, a connection that was told to close is over.
BOUND_S = 30
#: The kernel takes a little of what is not read.
BUFFER_BYTES = 4096
SEGMENT_BYTES = 500


class AtNextWakeUp(trio.abc.Instrument):
    """Does something once when the kernel has woken tasks up, before any of them runs.

    As a task does that comes first of those woken up together; Trio rolls dice for that.
    """

    def __init__(self, do: Callable[[], None]) -> None:
        self._do = do

    def after_io_wait(self, timeout: float) -> None:
        trio.lowlevel.remove_instrument(self)
        self._do()


class Loop:
    """Trio in a thread, on a virtual clock that moves when it is told to."""

    def __init__(self) -> None:
        self.clock = trio.testing.MockClock()
        self._ready: Future[None] = Future()
        self._over = threading.Thread(target=self._run, daemon=True)
        self._over.start()
        self._ready.result(PATIENCE_S)

    def _run(self) -> None:
        trio.run(self._main, clock=self.clock)

    async def _main(self) -> None:
        async with trio.open_nursery() as self.nursery:
            self._token = trio.lowlevel.current_trio_token()
            self.tasks = trio.lowlevel.current_statistics().tasks_living
            self._ready.set_result(None)
            await trio.sleep_forever()

    def do(self, job: Callable[[], Awaitable[Any]]) -> Any:
        """Have a task do this, and wait until all of them have come to rest."""
        done: Future[Any] = Future()

        async def doing() -> None:
            try:
                result = await job()
                await trio.testing.wait_all_tasks_blocked()
            except BaseException as exc:
                done.set_exception(exc)
                raise
            done.set_result(result)

        self._token.run_sync_soon(lambda: self.nursery.start_soon(doing))
        return done.result(PATIENCE_S)

    def pass_time(self, seconds: float) -> None:
        async def sleep() -> None:
            self.clock.autojump_threshold = 0
            await trio.sleep(seconds)
            self.clock.autojump_threshold = inf

        self.do(sleep)

    def stop(self) -> None:
        self._token.run_sync_soon(self.nursery.cancel_scope.cancel)
        self._over.join(PATIENCE_S)
        assert not self._over.is_alive()


class Noted(socket.socket):
    """A socket that keeps what the kernel took of what was sent."""

    taken = b""

    def send(self, data: Any, *flags: int) -> int:
        sent = super().send(data, *flags)
        self.taken += bytes(memoryview(data)[:sent])
        return sent


class Peer:
    """The other end: a socket, what it has yet to send, and what it has read."""

    def __init__(self, sock: socket.socket, *, masks: bool) -> None:
        sock.setblocking(False)
        self.sock, self.masks = sock, masks
        self.heard = b""
        self.gone = self.half_closed = self.heard_end = False
        self.closed = self.talks_behind_close = False
        self.sent_bytes = 0
        self._unsent = b""

    def frame(self, opcode: int, payload: bytes, *, fin: bool = True) -> bytes:
        size = len(payload)
        bit = 0x80 * self.masks
        length = bytes((bit | size,)) if size < 126 else struct.pack("!BH", bit | 126, size)
        return bytes((fin << 7 | opcode,)) + length + bytes(4 * self.masks) + payload

    def send(self, data: bytes) -> None:
        if not self.half_closed:
            self.talks_behind_close |= self.closed
            self._unsent += data
        self.push()

    def push(self) -> bool:
        """Send what the kernel takes; true if that was something."""
        sent = 0
        with suppress(OSError):
            sent = self.sock.send(self._unsent) if self._unsent and not self.gone else 0
        self._unsent = self._unsent[sent:]
        self.sent_bytes += sent
        return sent > 0

    def read(self, size: int) -> bool:
        """Read what is there; true if that was something."""
        if self.gone or self.heard_end:
            return False
        try:
            data = self.sock.recv(size)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
            self.gone = True
        self.heard += data
        self.heard_end = not data
        return bool(data)

    def hear_the_rest(self) -> None:
        """Read to the end of the stream, which is there or on its way."""
        if not self.gone:
            self.sock.settimeout(PATIENCE_S)
            while self.read(2**20):
                pass

    def frames(self) -> tuple[list[tuple[int, bytes]], bytes]:
        """What was heard, as frames; and the rest, which is less than one."""
        return parse(self.heard, masked=not self.masks)


def parse(data: bytes, *, masked: bool) -> tuple[list[tuple[int, bytes]], bytes]:
    """The frames in it, by opcode and payload; and the rest, which is less than one."""
    found = []
    while len(data) >= 2:
        assert data[0] & 0xF0 == 0x80, "a frame of ours is whole and has no RSV bit"
        assert (data[1] >= 0x80) is masked, "a client masks and a server does not"
        size, start = data[1] & 0x7F, 2
        if size == 126:
            if len(data) < 4:
                break
            size, start = int.from_bytes(data[2:4]), 4
            assert size >= 126
        assert size != 127
        mask = bytes(4)
        if masked:
            mask = data[start : start + 4]
            start += 4
        if len(data) < start + size:
            break
        repeated = (mask * (size // 4 + 1))[:size]
        payload = bytes(a ^ b for a, b in zip(data[start : start + size], repeated))  # noqa: B905
        found.append((data[0] & 0x0F, payload))
        data = data[start + size :]
    return found, data


def tcp_pair() -> tuple[Noted, socket.socket]:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
        # Much smaller than the buffers, or the kernel waits to send on (RFC 1122, 4.2.3.4).
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SEGMENT_BYTES)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        ours = Noted()
        ours.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SEGMENT_BYTES)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_BYTES)
        ours.connect(listener.getsockname())
        theirs, _ = listener.accept()
    ours.setblocking(False)
    return ours, theirs


#: Rules after which there is not much more to see.
wild = precondition(lambda self: not self.calm)
#: What a peer that is deaf does not do.
hearing = precondition(lambda self: not self.deaf)
sizes = st.sampled_from([0, 5, 200, 60_000])


class AnyLife(RuleBasedStateMachine):
    """One connection's life."""

    def __init__(self) -> None:
        super().__init__()
        self.descriptors = psutil.Process().num_fds()
        self.loop = Loop()
        self.ends: list[str] = []
        self.jobs: list[trio.CancelScope] = []
        self.jobs_under_way = 0
        self.asked = self.said = 0  # messages of the peer's, and of ours
        self.torn = False  # somebody gave up TCP, so frames may be lost

    @initialize(
        client=st.booleans(),
        with_poller=st.booleans(),
        calm=st.booleans(),
        reads=st.sampled_from(["all", "some", "nothing"]),
    )
    def connect(self, client: bool, with_poller: bool, calm: bool, reads: str) -> None:
        """:param calm: nobody ends it but by a close frame, so that more comes before.
        :param reads: the peer reads all in the end, so that all is to be there; or some of it now
            and then; or nothing ever, so that what was sent gets stuck.
        """
        self.calm, self.reads, self.deaf = calm, reads == "all", reads == "nothing"
        ours, theirs = tcp_pair()
        self.ours = ours
        self.peer = Peer(theirs, masks=not client)

        async def start() -> None:
            self.poller = Poller()
            self.watch = Watch(LIMITS)
            self.connection = Connection.opened(
                ours, client=client, limits=LIMITS, poller=self.poller if with_poller else None
            )
            self.loop.nursery.start_soon(self.serve)

        self.loop.do(start)

    async def serve(self) -> None:
        with trio.CancelScope() as self.serving:
            async with trio.open_nursery() as beside:
                beside.start_soon(self.poller.run)
                beside.start_soon(self.watch.run)
                self.watch.add(self.connection)
                try:
                    await self.connection.run(lambda message: message)
                    self.ends.append("returned")
                except trio.Cancelled:
                    self.ends.append("cancelled")
                    raise
                finally:
                    self.watch.discard(self.connection)
                    beside.cancel_scope.cancel()

    def we(self, job: Callable[[], Awaitable[Any]]) -> None:
        """Start a task of ours that may wait, and can be cancelled."""

        async def working() -> None:
            scope = trio.CancelScope()
            self.jobs.append(scope)
            self.jobs_under_way += 1
            try:
                with scope, suppress(ConnectionClosed):
                    await job()
            finally:
                self.jobs_under_way -= 1

        async def start() -> None:
            self.loop.nursery.start_soon(working)

        self.loop.do(start)

    def cancel(self, scope: trio.CancelScope) -> None:
        async def cancel() -> None:
            scope.cancel()

        self.loop.do(cancel)

    def rest(self) -> None:
        async def nothing() -> None:
            pass

        self.loop.do(nothing)
        while not self.peer.gone and self.peer.push():
            self.loop.do(nothing)

    # -- What we do --

    @rule(size=sizes)
    def we_send(self, size: int) -> None:
        message = f"s{self.said}".ljust(size)
        self.said += 1
        self.we(lambda: self.connection.send_message(message))

    @rule(size=sizes)
    def we_send_and_flush(self, size: int) -> None:
        message = f"s{self.said}".ljust(size)
        self.said += 1

        async def send() -> None:
            if not self.connection.send_nowait(message):
                await self.connection.flush()

        self.we(send)

    @rule(count=st.integers(1, 4))
    def we_send_more_than_the_kernel_takes(self, count: int) -> None:
        for _ in range(count):
            self.we_send(60_000)

    @rule()
    def we_send_and_are_cancelled_amid_it(self) -> None:
        self.we_send(60_000)
        self.cancel(self.jobs.pop())

    @rule()
    def we_ping(self) -> None:
        self.we(self.connection.ping)

    @rule()
    def we_pong(self) -> None:
        self.we(lambda: self.connection.pong(b"unasked"))

    @rule(code=st.sampled_from([1000, 1005, 4321]))
    def we_close(self, code: int) -> None:
        async def close() -> None:
            if not self.connection.close_nowait(code):
                await self.connection.flush()

        self.we(close)

    @wild
    @rule()
    def we_cut(self) -> None:
        async def cut() -> None:
            self.connection.cut()

        self.loop.do(cut)

    @wild
    @rule()
    def we_abort(self) -> None:
        async def abort() -> None:
            self.torn = True
            self.connection.abort()

        self.loop.do(abort)

    @rule(pause=st.booleans())
    def we_pause_or_resume_reading(self, pause: bool) -> None:
        async def regulate() -> None:
            (self.connection.pause_reading if pause else self.connection.resume_reading)()

        self.loop.do(regulate)

    @rule(resume=st.booleans())
    def we_pause_while_something_arrives(self, resume: bool) -> None:
        """What the loop was woken up for, and has not read yet, is under way."""
        message = self.peer.frame(BINARY, f"e{self.asked}".encode())
        self.asked += 1

        async def pause() -> None:
            self.peer.send(message)
            trio.lowlevel.add_instrument(AtNextWakeUp(self.connection.pause_reading))

        self.loop.do(pause)
        if resume:
            self.we_pause_or_resume_reading(pause=False)

    @precondition(lambda self: self.jobs)
    @rule(data=st.data())
    def we_cancel_something(self, data: st.DataObject) -> None:
        self.cancel(self.jobs.pop(data.draw(st.integers(0, len(self.jobs) - 1))))

    @wild
    @rule()
    def we_cancel_all(self) -> None:
        async def cancel() -> None:
            self.torn = True
            self.serving.cancel()

        self.loop.do(cancel)

    # -- What the peer does --

    @rule(size=sizes, parts=st.sampled_from([1, 1, 2, 5]))
    def the_peer_sends(self, size: int, parts: int) -> None:
        message = f"e{self.asked}".ljust(size).encode()
        self.asked += 1
        step = len(message) // parts + 1
        pieces = [message[at : at + step] for at in range(0, len(message), step)]
        for number, piece in enumerate(pieces):
            fin = number == len(pieces) - 1
            self.peer.send(self.peer.frame(0 if number else BINARY, piece, fin=fin))
            self.rest()

    @rule()
    def the_peer_pings(self) -> None:
        self.peer.send(self.peer.frame(PING, b"?"))
        self.rest()

    @rule(matching=st.booleans())
    def the_peer_pongs(self, matching: bool) -> None:
        pings = [payload for opcode, payload in self.peer.frames()[0] if opcode == PING]
        self.peer.send(self.peer.frame(PONG, pings[-1] if matching and pings else b"!"))
        self.rest()

    @rule(payload=st.sampled_from([b"", b"\x03\xe8", b"\x0f\xa0bye", b"\x03\xed", b"\x03"]))
    def the_peer_closes(self, payload: bytes) -> None:
        self.peer.send(self.peer.frame(CLOSE, payload))
        self.peer.closed = True
        self.rest()

    @wild
    @rule(nonsense=st.binary(min_size=1, max_size=20))
    def the_peer_sends_nonsense(self, nonsense: bytes) -> None:
        self.peer.send(nonsense)
        self.rest()

    @wild
    @rule(opcode=st.sampled_from([3, 0, TEXT]))
    def the_peer_breaks_the_rules(self, opcode: int) -> None:
        self.peer.send(self.peer.frame(opcode, b"\xff"))
        self.rest()

    @hearing
    @rule(size=st.sampled_from([1, 100, 10_000]))
    def the_peer_reads_a_little(self, size: int) -> None:
        self.peer.read(size)
        self.rest()

    @hearing
    @rule()
    def the_peer_reads_all(self) -> None:
        self.rest()
        while self.peer.read(2**20) or self.more_is_to_come():
            self.rest()

    def is_flushing(self) -> bool:
        lock = self.connection._stream_lock
        return lock is not None and bool(lock.locked())

    def more_is_to_come(self) -> bool:
        """Wait for the kernel, which hands on in its own time what small buffers hold back."""
        if self.peer.gone or self.peer.heard_end or not self.connection._unsent:
            return False
        if not self.is_flushing():
            return False  # Whoever was to send it was cancelled.
        return bool(select.select([self.peer.sock], [], [], PATIENCE_S)[0])

    @wild
    @rule()
    def the_peer_ends_its_half(self) -> None:
        with suppress(OSError):
            self.peer.sock.shutdown(socket.SHUT_WR)
        self.peer.half_closed = True
        self.rest()

    @wild
    @rule(with_reset=st.booleans())
    def the_peer_goes(self, with_reset: bool) -> None:
        if not self.peer.gone:
            if with_reset:
                linger = struct.pack("ii", 1, 0)
                self.peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.torn = self.peer.gone = True
            self.peer.sock.close()
        self.rest()

    @rule(seconds=st.sampled_from([0.1, 3, 8, 25, 70]))
    def time_passes(self, seconds: float) -> None:
        self.loop.pass_time(seconds)
        if seconds > LONG_S:
            # The peer has read nothing meanwhile, so the kernel can't have taken anything.
            assert not self.is_flushing(), "nobody waits for longer than the write timeout"

    # -- What must hold --

    @invariant()
    def all_that_came_was_taken(self) -> None:
        """Whatever reads has read all, unless it was told not to, or has replies to get rid of."""
        patience_s = time.monotonic() + PATIENCE_S
        while self.reads_on() and self.connection.bytes_received < self.peer.sent_bytes:
            assert time.monotonic() < patience_s, "something that came was lost"
            self.rest()

    def reads_on(self) -> bool:
        connection = self.connection
        waits = connection._paused or connection._unsent or self.peer.gone
        return not (waits or connection._write_failed or connection._close_reason or self.ends)

    def teardown(self) -> None:
        try:
            if hasattr(self, "serving"):
                # Who ended TCP, or let us wait too long, gets what was under way or doesn't. So
                # does who says something behind its close frame: what nobody reads is a reset.
                self.lossless = self.reads and not (
                    self.torn or self.ends or self.peer.half_closed or self.peer.talks_behind_close
                )
                if self.reads:
                    self.we_pause_or_resume_reading(pause=False)
                    self.the_peer_reads_all()
                # Behind a close frame nothing is answered; up to there everything is.
                self.is_owed_all = self.lossless and self.connection._close_reason is None
                self.we_close(1001)
                if self.reads:
                    self.the_peer_reads_all()
                self.loop.pass_time(BOUND_S)
                self.check_end()
        finally:
            if hasattr(self, "peer"):
                self.peer.hear_the_rest()
                self.peer.sock.close()
            self.loop.stop()
        if hasattr(self, "serving"):
            self.check_what_was_heard()
            del self.watch, self.poller
            assert psutil.Process().num_fds() <= self.descriptors

    def check_end(self) -> None:
        assert len(self.ends) == 1, "it is over, and was once"
        assert self.jobs_under_way == 0, "nobody waits for it any more"

        async def tasks() -> int:
            return trio.lowlevel.current_statistics().tasks_living

        assert self.loop.do(tasks) == self.loop.tasks + 1  # The one that asks.
        connection = self.connection
        assert connection._sock is not None
        assert connection._sock.fileno() == -1
        assert connection._unsent is None or not connection._unsent
        self.outcome = Outcome.DROPPED if self.ends == ["cancelled"] else _outcome(connection)
        assert self.outcome in Outcome
        if self.outcome is Outcome.CLEAN:
            assert connection.clean
            assert connection.failure is None
            assert connection.timed_out is None
        if self.outcome is Outcome.VIOLATION:
            assert connection.failure in {1002, 1007, 1009}

    def check_what_was_heard(self) -> None:
        connection = self.connection
        frames, rest = self.peer.frames()
        opcodes = [opcode for opcode, _ in frames]
        assert CLOSE not in opcodes[:-1], "nothing comes after a close frame"
        assert not (self.lossless and rest), "half a frame"
        if opcodes[-1:] == [CLOSE]:
            payload = frames[-1][1]
            code = int.from_bytes(payload[:2]) if payload else 1005
            # It may have been lost for all we knew.
            assert connection.close_sent in ({code} if self.lossless else {code, None})
        elif self.lossless:
            assert connection.close_sent is None
        taken, _ = parse(self.ours.taken, masked=not self.peer.masks)
        closes = [payload for opcode, payload in taken if opcode == CLOSE]
        codes = [int.from_bytes(payload[:2]) if payload else 1005 for payload in closes]
        said = [] if connection.close_sent is None else [connection.close_sent]
        assert said == codes, "it says that it sent what the kernel took, and nothing else"
        messages = [payload.split() for opcode, payload in frames if opcode in {TEXT, BINARY}]
        for letter in (b"e", b"s"):
            numbers = [int(one[0][1:]) for one in messages if one and one[0][:1] == letter]
            assert numbers == sorted(set(numbers)), "in order, each once"
            if letter == b"e":
                assert numbers == list(range(len(numbers))), "none is left out"
                assert len(numbers) == self.asked or not self.is_owed_all, "each is answered"


@pytest.fixture(params=["server", "client"])
def begin(request: pytest.FixtureRequest) -> Iterator[Callable[..., AnyLife]]:
    """Begins a life to be told step by step; at its end, the same must hold as of any other."""
    lives: list[AnyLife] = []

    def begin(*, with_poller: bool, reads: str) -> AnyLife:
        life = AnyLife()
        life.connect(
            client=request.param == "client", with_poller=with_poller, calm=True, reads=reads
        )
        lives.append(life)
        return life

    yield begin
    for life in lives:
        life.teardown()


both_ways = pytest.mark.parametrize("with_poller", [True, False], ids=["poller", "no-poller"])


@both_ways
@pytest.mark.parametrize("whose", ["a reply", "a message"])
def test_who_reads_nothing_is_given_up_at_the_write_timeout(
    begin: Callable[..., AnyLife], with_poller: bool, whose: str
) -> None:
    life = begin(with_poller=with_poller, reads="nothing")
    if whose == "a reply":
        life.the_peer_sends(60_000, parts=1)
    else:
        life.we_send(60_000)
    assert life.is_flushing()
    life.time_passes(25)
    assert life.connection.timed_out == "write"


@both_ways
@pytest.mark.parametrize("how", ["write timeout", "abort", "reset"])
def test_a_close_frame_stuck_behind_a_message_is_not_said_to_be_sent(
    begin: Callable[..., AnyLife], with_poller: bool, how: str
) -> None:
    life = begin(with_poller=with_poller, reads="nothing")
    life.we_send(60_000)
    life.we_close(4321)
    assert life.connection.close_sent == 4321  # as far as anybody knows
    if how == "abort":
        life.we_abort()
    elif how == "reset":
        life.the_peer_goes(with_reset=True)
    life.time_passes(25)
    assert (life.connection.close_sent, life.connection.closed_first) == (None, None)


@both_ways
def test_a_message_that_was_under_way_at_a_pause_is_answered_after_it(
    begin: Callable[..., AnyLife], with_poller: bool
) -> None:
    life = begin(with_poller=with_poller, reads="all")
    for resume in (True, True, False):
        life.we_pause_while_something_arrives(resume)
        life.all_that_came_was_taken()
    life.the_peer_sends(5, parts=1)
    life.we_pause_or_resume_reading(pause=False)
    life.all_that_came_was_taken()
    life.the_peer_reads_all()
    assert [payload for _, payload in life.peer.frames()[0]] == [b"e0", b"e1", b"e2", b"e3   "]


def run_machine(**options: Any) -> None:
    run_state_machine_as_test(
        AnyLife,
        settings=settings(
            deadline=None, suppress_health_check=list(HealthCheck), print_blob=True, **options
        ),
    )


def test_whatever_both_sides_do_a_connection_ends_once_and_leaves_nothing() -> None:
    # The same lives each time: others are for the long run.
    run_machine(max_examples=100, stateful_step_count=20, derandomize=True, database=None)


@pytest.mark.soak
def test_whatever_both_sides_do_for_long_a_connection_ends_once_and_leaves_nothing() -> None:
    run_machine(max_examples=EXAMPLES, stateful_step_count=40)
