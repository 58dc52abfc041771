"""Talk between a supervisor and its workers, over a socket pair: JSON, one object a line."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final, Self

import msgspec
import trio

from echo_trio.metrics.counters import ServerSnapshot
from echo_trio.metrics.nursery_tree import TaskNode
from echo_trio.settings import Settings


class Start(msgspec.Struct, tag=True, frozen=True):
    """The order to serve with these settings, on the descriptors that the worker has inherited."""

    number: int
    settings: Settings
    listeners: tuple[int, ...]


class Drain(msgspec.Struct, tag=True, frozen=True):
    """The order to close every connection, and end.

    :ivar late_s: the seconds since that should have begun.
    """

    late_s: float = 0.0


class Reload(msgspec.Struct, tag=True, frozen=True):
    """The order to read certificate and key again."""


class ShowTasks(msgspec.Struct, tag=True, frozen=True):
    """The order to report the tasks."""


class Ready(msgspec.Struct, tag=True, frozen=True):
    """The report that the worker accepts connections."""


class SnapshotReport(msgspec.Struct, tag=True, frozen=True):
    """The report of the worker's snapshot: once a second, and at its end."""

    snapshot: ServerSnapshot


class Tasks(msgspec.Struct, tag=True, frozen=True):
    """The report of the worker's nursery tree."""

    tree: TaskNode


Order = Start | Drain | Reload | ShowTasks
Report = Ready | SnapshotReport | Tasks

_RECEIVE_BYTES: Final = 2**16


class Channel:
    """One end of the channel: orders go to a worker, reports come from it."""

    def __init__(self, sock: socket.socket, hears: Any) -> None:
        """Talk over one end of a socket pair.

        :param hears: what the other end sends, `Order` or `Report`.
        """
        self._sock = trio.socket.from_stdlib_socket(sock)
        self._lock = trio.Lock()
        self._decoder = msgspec.json.Decoder(hears, dec_hook=_decode)

    async def say(self, what: Order | Report) -> bool:
        """Send one order or report; false if the other end is gone.

        Cancelled half-way, the channel is closed: nothing may follow half a line.
        """
        line = memoryview(msgspec.json.encode(what, enc_hook=str) + b"\n")
        async with self._lock:
            sent = 0
            try:
                while sent < len(line):
                    sent += await self._sock.send(line[sent:])
            except (OSError, trio.ClosedResourceError):
                return False
            except trio.Cancelled:
                if sent:
                    self._sock.close()
                raise
        return True

    async def __aiter__(self) -> AsyncIterator[Any]:
        """Yield what the other end sends, until it is gone."""
        pending = b""
        while True:
            try:
                data = await self._sock.recv(_RECEIVE_BYTES)
            except (OSError, trio.ClosedResourceError):
                return
            if not data:
                return
            *lines, pending = (pending + data).split(b"\n")
            for line in lines:
                yield self._decoder.decode(line)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._sock.close()


def _decode(kind: type, value: Any) -> Any:
    if kind is Path:
        return Path(value)
    raise NotImplementedError(f"no {kind} goes over a control channel")
