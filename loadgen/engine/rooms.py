"""Send messages to whole rooms, where every socket of a room gets a copy of each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from echo_trio.wire.connection import Connection
from loadgen.engine.context import RunContext, now_us
from loadgen.engine.session import Session
from loadgen.results.fan_out import Joined, Key, Left, Published
from loadgen.results.verify import Verdict

#: Copies of a message come one behind the other, so that few have to be taken apart.
_MAX_KNOWN: Final = 4096


class Copies:
    """The messages that recent frames are copies of; one object for all sockets of a run."""

    def __init__(self, context: RunContext) -> None:
        self._payloads = context.payloads
        self._known: dict[str | bytes, Key | None] = {}

    def find(self, frame: str | bytes) -> Key | None:
        """Find the message that a frame is a copy of; ``None`` if there is none."""
        try:
            return self._known[frame]
        except KeyError:
            text = self._payloads.text_of(frame)
            key = None if text is None else self._payloads.find_key(text)
            if len(self._known) >= _MAX_KNOWN:
                self._known.clear()
            self._known[frame] = key
            return key


class RoomSession(Session):
    """A socket in a room."""

    __slots__ = ("_room",)

    def __init__(self, conn: int, context: RunContext) -> None:
        super().__init__(conn, context)
        self._room = conn % context.rooms
        if context.copies is None:
            context.copies = Copies(context)

    def settle_open(
        self, connection: Connection, took_us: int, on_settled: Callable[[], None]
    ) -> None:
        """Note that the socket is open, and in its room."""
        assert self._context.fan_out is not None
        self._context.fan_out.take(Joined(now_us(), self._room, self.conn))
        super().settle_open(connection, took_us, on_settled)

    def _book_sent(self, message: str | bytes, due_us: int, sent_us: int) -> None:
        context = self._context
        assert context.fan_out is not None
        context.ledger.published += 1
        context.fan_out.take(Published(sent_us, self._room, self.conn, self.sent))
        self._count_sent(message, sent_us - due_us)

    def _receive(self, reply: str | bytes) -> None:
        received_us = now_us()
        self._count_received(reply)
        context = self._context
        assert context.copies is not None
        assert context.fan_out is not None
        key = context.copies.find(reply)
        if key is None:
            context.ledger.verdicts[Verdict.UNEXPECTED] += 1
            return
        context.ledger.verdicts[Verdict.COPIES] += 1
        context.fan_out.take_copy(received_us, self._room, self.conn, key)

    def _book_ending(self, connection: Connection) -> None:
        # Once we close the sockets, copies have been awaited: what is owed is missing.
        if not self._context.closing:
            assert self._context.fan_out is not None
            self._context.fan_out.take(Left(now_us(), self._room, self.conn))
        super()._book_ending(connection)
