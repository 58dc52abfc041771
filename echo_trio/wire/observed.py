"""Tell an observer of every message of a connection, both ways, while they happen."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from echo_trio.wire.connection import Connection, OnMessage


class MessageObserver(Protocol):
    """An observer of one connection's messages; it must neither block nor raise."""

    def received(self, message: str | bytes) -> None:
        """Take a message that has arrived whole."""

    def sent(self, message: str | bytes) -> None:
        """Take a message that is about to be handed to the kernel.

        It may not get there: the connection may break meanwhile.
        """


class ObservedConnection(Connection):
    """A connection that reports its messages to an observer.

    :ivar observer: the observer; set before `run`.
    """

    observer: MessageObserver

    async def run(self, on_message: OnMessage) -> None:
        """Serve the connection as `Connection.run` does."""
        observer = self.observer

        def observed(message: str | bytes) -> str | bytes | None:
            observer.received(message)
            reply = on_message(message)
            if reply is not None and self.closed is None:
                observer.sent(reply)
            return reply

        try:
            await super().run(observed)
        finally:
            # The function refers to us: without it there is nothing for the garbage collector.
            self._on_message = on_message

    def send_nowait(self, message: str | bytes) -> bool:
        """Send a message as `Connection.send_nowait` does."""
        self._check_open()
        self.observer.sent(message)
        return super().send_nowait(message)

    def send_fragments(self, message: str | bytes, size_bytes: int) -> Iterator[bool]:
        """Send a message as `Connection.send_fragments` does; observe it before the first."""
        self._check_open()
        self.observer.sent(message)
        yield from super().send_fragments(message, size_bytes)
