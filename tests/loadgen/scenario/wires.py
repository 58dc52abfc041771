"""A user with a socket, on a wire of our own and a virtual clock, for the tests of its calls."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import trio

from echo_trio.wire.connection import ConnectionClosed
from loadgen.engine.context import now_us
from loadgen.results.latency import Recorder
from loadgen.results.ledger import Ledger
from loadgen.results.scenario import ScenarioBooks
from loadgen.scenario.phases import Phases
from loadgen.scenario.socket import Socket
from loadgen.scenario.timetable import Timetable

STOP_S, CONNECT_S = 4.0, 3.0


class Wire:
    """A connection whose server repeats every message, or is mute, and answers a close frame.

    :ivar takes: false if what is sent has to wait for the kernel.
    :ivar is_gone: true once nothing can be sent any more.
    :ivar handed_over_us: when the last message was.
    """

    subprotocol = closed = failure = timed_out = closed_first = close_received = None
    evicted = clean = False
    close_reason, _sock = "", None

    takes, is_gone, answers_close, flushed, handed_over_us = True, False, True, 0, 0

    def __init__(self, *, is_mute: bool) -> None:
        self.is_mute = is_mute
        self._said, self._comes = trio.open_memory_channel[str](math.inf)

    def send_nowait(self, frame: str) -> bool:
        if self.is_gone:
            raise ConnectionClosed(1001)
        self.handed_over_us = now_us()
        while now_us() == self.handed_over_us:
            pass
        if not self.is_mute:
            self._said.send_nowait(frame)
        return self.takes

    async def flush(self) -> None:
        self.flushed += 1
        await trio.lowlevel.checkpoint()

    def say(self, frame: str) -> None:
        """Say something that nobody asked for."""
        self._said.send_nowait(frame)

    def close_nowait(self, _: int) -> bool:
        if self.answers_close:
            self.clean, self.close_received = True, 1000
            self._said.close()
        return self.takes

    def abort(self) -> None:
        self._said.close()

    async def run(self, receive: Any) -> None:
        async for frame in self._comes:
            receive(frame)


class Bench:
    """One user with a socket, while its load lasts."""

    def __init__(self, nursery: trio.Nursery, *, is_mute: bool, json: bool = False) -> None:
        self.ledger, self.books = Ledger(1, opened=1), ScenarioBooks()
        self.events: list[Any] = []
        self.phases, table = Phases(60.0, STOP_S), Timetable()
        self.phases.begin_load()
        context: Any = SimpleNamespace(
            plan=SimpleNamespace(connect_timeout_s=CONNECT_S), phases=self.phases,
            books=self.books, timetable=table, ledger=self.ledger, verdicts=self.ledger.verdicts,
            book_service=Recorder().record, book_intended=Recorder().record, trace=None,
            sockets=set(), wall_offset_us=0,
            events=SimpleNamespace(
                take=self.events.append, take_copy=lambda *what: self.events.append(what)
            ),
        )  # fmt: skip
        self.user: Any = SimpleNamespace(context=context, is_awaited=False, step=None)
        wire: Any = Wire(is_mute=is_mute)
        self.wire = wire
        self.socket = Socket(self.user, wire, 7, json=json)
        nursery.start_soon(table.run)
        nursery.start_soon(self.socket.serve)

    def end_second(self) -> None:
        self.books.end_second(Recorder(), Recorder())


def columns(bench: Bench) -> dict[str, int]:
    return {str(verdict): n for verdict, n in bench.ledger.verdicts.items() if n}
