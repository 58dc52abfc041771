"""Watch over the connections of a process: ping them, and end those that are silent.

A timer for each connection would cost ten thousand of them a task or a deadline each, moved with
each message. Here one task looks at each connection when it may have something to do – about once
in a ping interval – and only at counters that exist anyway, so a message costs nothing. The
connections stand on a timing wheel, in the slot of the moment at which each is looked at next; and
as each begins at a random moment, the pings of a crowd are spread.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator
from itertools import chain
from math import ceil, inf
from random import getrandbits, random
from typing import TYPE_CHECKING, Final

import trio

from echo_trio.wire import frames
from echo_trio.wire.close_codes import GOING_AWAY, INTERNAL_ERROR
from echo_trio.wire.sender import Sender

if TYPE_CHECKING:
    from echo_trio.wire.connection import Connection
    from echo_trio.wire.limits import Limits

#: Ticks in the shortest of the intervals and timeouts: a ping or an end is so late at most, or four
#: ticks in a crowd. With 4,000 connections and the default of 20 s, 64 are pinged in a tick.
TICKS: Final = 64
#: Connections for each tick that is taken together with others, and the most of these. The more
#: pings go out at once, the fewer wake-ups they cost: of six processes at either end, which had two
#: cores and 5,000 pings a second, both took a tenth less with four ticks together.
CROWD: Final = 4096
MOST_TOGETHER: Final = 4
#: No timer is finer than this.
MIN_TICK_S: Final = 0.01
#: Ticks in a turn of the wheel. A connection that is due later is looked at in vain once a turn.
SLOTS: Final = 256
#: As far ahead as a connection is put. A turn takes those ticks together, and perhaps one that was
#: missed; who is looked at in it must not be put where it goes on.
FARTHEST: Final = SLOTS - MOST_TOGETHER - 1
#: Connections looked at between two looks at Trio's other tasks: if all of them are pinged, that is
#: a millisecond of work. The pongs then come in batches as well, which makes them cheap to read.
LOOKS_PER_SLICE: Final = 64


class Watched(Sender):
    """The part of a connection that a `Watch` looks at, and where it keeps its notes.

    :ivar slot: the slot of the wheel in which a `Watch` has put this connection.
    """

    _awaited_pong: bytes | None = None  # the payload of the ping that was sent
    _client: bool
    _idle: tuple[int, float] | None = None  # messages when last looked at, and since when
    _pinged_at_s: float | None = None  # by the watch's clock
    _probed_at_s: float | None = None  # the same
    _verdict_at_bytes: int | None = None  # see _has_read_what_was_there

    bytes_received = 0
    messages_received = 0
    messages_sent = 0
    slot = 0
    timed_out: str | None

    def look(self, now_s: float) -> float:
        """Ping the peer, or give up on it, if it is time to. Called by a `Watch`.

        :param now_s: seconds on the watch's clock.
        :returns: in how many seconds to look again; infinity once the connection is closing.
        """
        limits = self._limits
        if self._is_closing:
            return inf  # The close timeout bounds the rest.
        idle_in_s = ping_in_s = inf
        if limits.idle_timeout_s:
            idle_in_s = self._idle_in(now_s, limits.idle_timeout_s)
        if idle_in_s <= 0 and self._has_read_what_was_there():
            self.timed_out = "idle"
            self._close_now(GOING_AWAY, "there was no message for too long")
        elif limits.ping_interval_s:
            ping_in_s = self._ping_in(now_s, limits.ping_interval_s, limits.ping_timeout_s)
        return min(idle_in_s, ping_in_s)

    def _idle_in(self, now_s: float, timeout_s: float) -> float:
        messages = self.messages_received + self.messages_sent
        if self._idle is None or self._idle[0] != messages:
            self._idle = messages, now_s
        return self._idle[1] + timeout_s - now_s

    def _ping_in(self, now_s: float, interval_s: float, timeout_s: float) -> float:
        """Ping if it is time to, or give up; return in how many seconds to look again."""
        if self._pinged_at_s is None:
            # As if pinged some time ago: so a crowd that came at once is not pinged at once.
            self._pinged_at_s = now_s - interval_s * random() / 2
        elif self._unsent or self._is_frozen:
            # A peer that doesn't read is the write timeout's business; and if we are frozen, its
            # pong may have arrived unread. In both cases the interval begins again.
            self._pinged_at_s = now_s
            if not self._unsent and self._is_shut_out:
                self._probe(now_s, interval_s)
        elif not self._is_reading:
            # While we don't read, the peer's end stays hidden behind what it sent before. But if it
            # is gone, its kernel answers a ping with a reset, and that we notice. There is no
            # timeout, for the pong isn't read either.
            if now_s >= self._pinged_at_s + interval_s:
                self._ping(now_s)
            return self._pinged_at_s + interval_s - now_s
        elif self._awaited_pong is not None and timeout_s:
            if now_s >= self._pinged_at_s + timeout_s and self._has_read_what_was_there():
                self.timed_out = "ping"
                self._give_up(INTERNAL_ERROR, "there was no answer to a ping")
            elif now_s >= self._pinged_at_s + interval_s and any(self._unread_bytes()):
                self._probe(now_s, interval_s)
        elif now_s >= self._pinged_at_s + interval_s:
            self._ping(now_s)
        awaiting = self._awaited_pong is not None and timeout_s
        due_in_s = self._pinged_at_s + (timeout_s if awaiting else interval_s) - now_s
        return min(due_in_s, interval_s)

    def _ping(self, now_s: float) -> None:
        self._pinged_at_s = now_s
        self._awaited_pong = payload = struct.pack("!I", getrandbits(32))
        if not self._write(frames.encode_ping(payload, self._client)):
            self._flush_in_run()

    def _probe(self, now_s: float, interval_s: float) -> None:
        """Check if a peer is gone whose end is hidden by data that we have not read.

        Send it a pong that it has not asked for: a peer that is there ignores that (RFC 6455,
        section 5.5.3), and the kernel of one that is gone answers with a reset. At most once in an
        interval.
        """
        if self._probed_at_s is not None and now_s < self._probed_at_s + interval_s:
            return
        self._probed_at_s = now_s
        if self._is_reset:
            self._on_hang_up()
        elif not self._write(frames.encode_pong(b"", self._client)):
            self._flush_in_run()

    def _has_read_what_was_there(self) -> bool:
        """Tell whether we have read all that had arrived when this question was first asked.

        Once the answer is yes, the next question is a first one again.

        If the answer to our ping is among the unread bytes, the peer is not silent: we are behind.
        Bytes that arrive later don't count, or a peer that keeps sending would never be found
        silent.
        """
        unread_bytes = self._unread_bytes()
        read_bytes = self.bytes_received - unread_bytes[0]
        if self._verdict_at_bytes is None:
            self._verdict_at_bytes = self.bytes_received + unread_bytes[1]
        # Both, since of TLS the kernel counts what is encrypted, and we what is not.
        if any(unread_bytes) and read_bytes < self._verdict_at_bytes:
            return False
        self._verdict_at_bytes = None
        return True

    @property
    def _is_closing(self) -> bool:
        """True once a close frame was sent or received, or the connection has ended."""
        raise NotImplementedError

    @property
    def _is_frozen(self) -> bool:
        """True while nothing is read, and nothing is sent either."""
        raise NotImplementedError

    @property
    def _is_reading(self) -> bool:
        """True while we would notice what the peer sends now."""
        raise NotImplementedError

    @property
    def _is_shut_out(self) -> bool:
        """True while the peer's kernel can send nothing more, because nothing is read."""
        raise NotImplementedError

    @property
    def _is_reset(self) -> bool:
        """True once the peer has reset TCP, although there may still be something to read."""
        raise NotImplementedError

    def _unread_bytes(self) -> tuple[int, int]:
        """Count unprocessed bytes: those received, and those in the kernel."""
        raise NotImplementedError

    def _close_now(self, code: int, reason: str) -> None:
        """Begin the closing handshake."""
        raise NotImplementedError

    def _give_up(self, code: int, reason: str) -> None:
        """Send a close frame as far as the kernel takes it, and cut the connection."""
        raise NotImplementedError

    def _on_hang_up(self) -> None:
        """End the connection: the peer is gone."""
        raise NotImplementedError

    def _flush_in_run(self) -> None:
        """Wake the connection's task to send what the kernel did not take."""
        raise NotImplementedError


class Watch(Collection["Connection"]):
    """A collection of the connections of a process, which `run` looks after."""

    def __init__(self, limits: Limits) -> None:
        self._slots: list[set[Connection]] = [set() for _ in range(SLOTS)]
        self._at = 0
        self._now_s = 0.0
        self._is_new = trio.Event()
        intervals = (limits.ping_interval_s, limits.ping_timeout_s, limits.idle_timeout_s)
        self._on = bool(limits.ping_interval_s or limits.idle_timeout_s)
        self._tick_s = max(min(filter(None, intervals)) / TICKS, MIN_TICK_S) if self._on else 1.0

    def add(self, connection: Connection) -> None:
        """Begin to watch a connection."""
        delay_s = connection.look(self._now_s) if self._on else 0.0
        ticks = max(ceil(min(delay_s / self._tick_s, FARTHEST)), 1)
        connection.slot = (self._at + ticks) % SLOTS
        self._slots[connection.slot].add(connection)
        if not self._is_new.is_set():
            self._is_new.set()

    def discard(self, connection: Connection) -> None:
        """Stop watching a connection. Idempotent."""
        self._slots[connection.slot].discard(connection)

    def __iter__(self) -> Iterator[Connection]:
        return chain.from_iterable(self._slots)

    def __len__(self) -> int:
        return sum(map(len, self._slots))

    def __contains__(self, connection: object) -> bool:
        return any(connection in slot for slot in self._slots)

    async def run(self) -> None:
        """Look after the connections until cancelled; return at once if no limit asks for it.

        Time in which this process was held up does not count against the peers: what they sent
        meanwhile has yet to be read.
        """
        if not self._on:
            return
        tick_s = self._tick_s
        passed_s, counted_at_s = 0.0, trio.current_time()
        while True:
            if not (count := len(self)):
                # Nobody is due, and nobody is woken to find that.
                self._is_new = trio.Event()
                await self._is_new.wait()
                passed_s, counted_at_s = 0.0, trio.current_time()
            together = min(1 + count // CROWD, MOST_TOGETHER)
            await trio.sleep(together * tick_s - passed_s)
            now_s = trio.current_time()
            passed_s += min(now_s - counted_at_s, (together + 1) * tick_s)
            counted_at_s = now_s
            ticks = int(passed_s / tick_s)
            passed_s -= ticks * tick_s
            for number, _ in enumerate(self._turn(ticks), 1):
                if number % LOOKS_PER_SLICE == 0:
                    await trio.lowlevel.checkpoint()

    def _turn(self, ticks: int = 1) -> Iterator[None]:
        """Look at the connections that are due in the next ticks, one with each step."""
        self._now_s += ticks * self._tick_s
        first, self._at = self._at + 1, (self._at + ticks) % SLOTS
        # They leave their slot one by one: who ends between two steps is still found in it.
        for at in range(first, first + ticks):
            due = self._slots[at % SLOTS]
            while due:
                self.add(due.pop())
                yield
