"""Define what a supervisor and its workers say to each other, over a socket pair."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any, Final

import msgspec

from echo_trio.metrics.counters import ServerSnapshot
from echo_trio.metrics.nursery_tree import TaskNode
from echo_trio.process_channel import Channel
from echo_trio.settings import Settings


class Start(msgspec.Struct, tag=True, frozen=True):
    """The order to serve with these settings, on the sockets that the worker has inherited.

    :ivar workers: the number of processes that share the port; of the settings this one has its
        share.
    """

    number: int
    settings: Settings
    workers: int


class Drain(msgspec.Struct, tag=True, frozen=True):
    """The order to close every connection, and end.

    :ivar late_s: the seconds since that should have begun.
    """

    late_s: float = 0.0


class Reload(msgspec.Struct, tag=True, frozen=True):
    """The order to read certificate and key again."""


class SetFaults(msgspec.Struct, tag=True, frozen=True):
    """The order to replace the faults of all pairs of a proxy."""

    text: str


class ShowTasks(msgspec.Struct, tag=True, frozen=True):
    """The order to report the tasks."""


class AskReport(msgspec.Struct, tag=True, frozen=True):
    """The order to report now, because somebody is shown the figures.

    :ivar number: of the question; the report that answers it has the same.
    """

    number: int


class Ready(msgspec.Struct, tag=True, frozen=True):
    """The report that the worker accepts connections."""


class SnapshotReport(msgspec.Struct, tag=True, frozen=True):
    """The report of the worker's snapshot: once a second, when it is asked, and at its end.

    :ivar answers: the number of the question; 0 if there was none.
    """

    snapshot: ServerSnapshot
    answers: int = 0


class FaultsSet(msgspec.Struct, tag=True, frozen=True):
    """The report that these faults hold from the next message on."""

    text: str


class Tasks(msgspec.Struct, tag=True, frozen=True):
    """The report of the worker's nursery tree."""

    tree: TaskNode


Order = Start | Drain | Reload | SetFaults | ShowTasks | AskReport
Report = Ready | SnapshotReport | FaultsSet | Tasks


def worker_end(sock: socket.socket) -> Channel[Report, Order]:
    """Return the worker's end of a channel over a socket pair."""
    return Channel(sock, _ENCODER.encode, _ORDERS.decode)


def supervisor_end(sock: socket.socket) -> Channel[Order, Report]:
    """Return the supervisor's end of a channel over a socket pair."""
    return Channel(sock, _ENCODER.encode, _REPORTS.decode)


def _decode(kind: type, value: Any) -> Any:
    if kind is Path:
        return Path(value)
    raise NotImplementedError(f"no {kind} goes over a control channel")


_ENCODER: Final = msgspec.msgpack.Encoder(enc_hook=str)
_ORDERS: Final[msgspec.msgpack.Decoder[Order]] = msgspec.msgpack.Decoder(Order, dec_hook=_decode)
_REPORTS: Final[msgspec.msgpack.Decoder[Report]] = msgspec.msgpack.Decoder(Report)
