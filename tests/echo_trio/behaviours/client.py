"""A peer of a script being carried out that says any bytes, over a stream in memory."""

from __future__ import annotations

import struct
from typing import Any

import trio
import trio.testing

from echo_trio.behaviours.player import ScriptPlayer
from echo_trio.behaviours.rooms import Rooms
from echo_trio.behaviours.scripts import Behaviour, Faulty, Script
from echo_trio.metrics.counters import Counters
from echo_trio.wire.budget import Budget
from echo_trio.wire.connection import Connection, Limits

from .acting import ABOUT

TEXT, CLOSE, PING, PONG = 1, 8, 9, 10


def frame(opcode: int, payload: bytes = b"") -> bytes:
    """As a client sends it, with a mask that changes nothing."""
    if len(payload) < 126:
        head = bytes((0x80 | opcode, 0x80 | len(payload)))
    else:
        head = struct.pack("!BBH", 0x80 | opcode, 0x80 | 126, len(payload))
    return head + b"\0\0\0\0" + payload


def close(code: int) -> bytes:
    return frame(CLOSE, struct.pack("!H", code))


class CheckedPlayer(ScriptPlayer):
    """A player whose books are held against what it keeps, whenever something has changed."""

    def _settle(self) -> None:
        super()._settle()
        assert self._due_bytes == sum(due.held_bytes for due in self._due)
        lines = [self._line, *([] if self._inward is None else [self._inward])]
        faults = (*self._incoming, *self._outgoing)
        parts = [*lines, self._late, self._script, *faults]
        kept = sum(part.held_bytes for part in parts) + self._due_bytes + self._reply_bytes
        # What it has told its connection; that may have been closed for it meanwhile.
        assert self._held_bytes == kept or self._connection.evicted or self._is_over


class Client:
    """The raw other end of a connection that acts as a behaviour says."""

    def __init__(
        self,
        behaviour: Behaviour,
        limits: Limits | None = None,
        budget: Budget | None = None,
        rooms: Rooms | None = None,
    ) -> None:
        self._limits = limits or Limits()
        self._rooms = rooms
        self.counters = Counters()
        self.budget = budget or Budget()
        self._behaviour = behaviour
        self.transport(*trio.testing.memory_stream_pair())
        self.raised: Exception | None = None
        self.heard: list[tuple[float, int, bytes]] = []
        self._unread = b""

    def transport(self, ours: trio.abc.Stream, theirs: Any) -> None:
        """Talk over these."""
        self.stream = theirs
        self.connection = Connection.opened(
            ours, client=False, limits=self._limits, budget=self.budget
        )
        acting = self._behaviour(lambda: 7)
        assert isinstance(acting, Script | Faulty)
        self.performance = CheckedPlayer(
            self.connection, acting, ABOUT, counters=self.counters, rooms=self._rooms
        )

    async def run(self) -> None:
        try:
            await self.performance.run()
        except AssertionError:
            raise
        except Exception as exc:  # noqa: BLE001 - for the test to look at
            self.raised = exc
        # Whatever was held is given back at the end, and nothing is due any more.
        assert self.connection.held_bytes == 0
        assert not self.performance._due

    async def say_goodbye(self) -> None:
        """As a server that stops does."""
        if not self.connection.close_nowait(1001):
            await self.connection.flush()

    async def listen(self) -> None:
        """Note each frame and when it came, until the end."""
        while data := bytes(await self.stream.receive_some()):
            self._unread += data
            while len(self._unread) >= 2:
                head, size = 2, self._unread[1]
                if size == 126:
                    head, size = 4, int.from_bytes(self._unread[2:4])
                if len(self._unread) < head + size:
                    break
                payload = self._unread[head : head + size]
                self.heard.append((trio.current_time(), self._unread[0] & 0x0F, payload))
                self._unread = self._unread[head + size :]

    @property
    def texts(self) -> list[tuple[float, str]]:
        return [(at_s, body.decode()) for at_s, opcode, body in self.heard if opcode == TEXT]

    @property
    def opcodes(self) -> list[int]:
        return [opcode for _, opcode, _ in self.heard]
