"""What a supervisor and its workers say to each other, over a socket pair: JSON, one a line."""

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
    """Serve so, on listening sockets that the worker has inherited as these descriptors."""

    number: int
    settings: Settings
    listeners: tuple[int, ...]


class Drain(msgspec.Struct, tag=True, frozen=True):
    """Say goodbye to everybody, and end.

    :ivar late_s: how long ago that was to begin.
    """

    late_s: float = 0.0


class Reload(msgspec.Struct, tag=True, frozen=True):
    """Read certificate and key again."""


class ShowTasks(msgspec.Struct, tag=True, frozen=True):
    """Say which tasks there are."""


class Ready(msgspec.Struct, tag=True, frozen=True):
    """The worker accepts connections."""


class SnapshotReport(msgspec.Struct, tag=True, frozen=True):
    """The worker as it is now: once a second, and at its end."""

    snapshot: ServerSnapshot


class Tasks(msgspec.Struct, tag=True, frozen=True):
    """The worker's nursery tree."""

    tree: TaskNode


Order = Start | Drain | Reload | ShowTasks
Report = Ready | SnapshotReport | Tasks

_RECEIVE_BYTES: Final = 2**16


class Channel:
    """One end: orders go to a worker, reports come from it."""

    def __init__(self, sock: socket.socket, hears: Any) -> None:
        """Talk over one end of a socket pair.

        :param hears: what the other end says, `Order` or `Report`.
        """
        self._sock = trio.socket.from_stdlib_socket(sock)
        self._lock = trio.Lock()
        self._decoder = msgspec.json.Decoder(hears, dec_hook=_decode)

    async def say(self, what: Order | Report) -> bool:
        """Say one thing; returns whether the other end is still there to hear it.

        Cancelled half-way, it was the last: nothing may follow half a line.
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
        """What the other end says, until it is gone."""
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
