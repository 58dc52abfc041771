"""A dial that is given its connection, a server of bytes at the other end, and a page."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest
import trio

from echo_trio.console.event_stream import event
from echo_trio.dialling import dial as dial_module
from echo_trio.dialling.dial import IDLE_TIMEOUT_S, Dial, DialRoom
from echo_trio.dialling.ends import Cause
from echo_trio.dialling.opening import Opened
from echo_trio.dialling.order import DialOrder, read_target
from echo_trio.dialling.room import ClientContexts
from echo_trio.wire.budget import Budget
from echo_trio.wire.deflate import Parameters
from echo_trio.wire.limits import Limits

#: A hang guard, nothing else.
PATIENCE_S = 120.0
#: A handshake that is done, with nothing behind it.
OPENED = Opened(None, None, b"")  # type: ignore[arg-type]


class Turns:
    """Gives everybody a turn at once, and counts them."""

    def __init__(self) -> None:
        self.count = 0

    async def take(self) -> Turns:
        await trio.lowlevel.checkpoint()
        self.count += 1
        return self

    async def run(self, work: Coroutine[Any, Any, bool]) -> bool:
        return await work


def make_dial(url: str, budget: Budget, turns: Any = None, **limits: float) -> Dial:
    order = DialOrder(url=url, compression=False)
    target = read_target(order)
    room = DialRoom(
        allowed={(target.host, target.port)},
        contexts=ClientContexts({}, None),
        limits=Limits(**{"max_message_bytes": 2**26} | limits),  # type: ignore[arg-type]
        open_timeout_s=PATIENCE_S,
        budget=budget,
        take_turn=(turns or Turns()).take,
        encode=event,
    )
    return Dial("id", order, target, room)


async def heard_by(theirs: socket.socket) -> bytes:
    """Return what has arrived, once there is anything."""
    with trio.fail_after(PATIENCE_S):
        await trio.lowlevel.wait_readable(theirs)
    return theirs.recv(2**20)


class Page:
    """A page that reads at once, unless a test says when: what it was told, taken apart."""

    def __init__(self) -> None:
        self.said = bytearray()
        self.reads = trio.Event()
        self.reads.set()

    async def emit(self, chunk: bytes) -> None:
        await trio.lowlevel.checkpoint()
        await self.reads.wait()
        self.said += chunk

    @property
    def events(self) -> list[tuple[str, Any]]:
        told = re.findall(r"event: (\w+)\ndata: (.*)\n\n", self.said.decode())
        return [(name, json.loads(data)) for name, data in told]

    @property
    def records(self) -> list[list[dict[str, Any]]]:
        """The records of each event that has some."""
        return [told for name, told in self.events if name == "records"]

    @property
    def closed(self) -> dict[str, Any]:
        """How it ended."""
        name, told = self.events[-1]
        assert name == "closed"
        return told


Join = Callable[..., tuple[Dial, socket.socket]]


@pytest.fixture
def joined() -> Iterator[Join]:
    """Make a dial whose connection is open, and the server's end of that."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        theirs.setblocking(False)

        def join(budget: Budget, turns: Any = None, **limits: float) -> tuple[Dial, socket.socket]:
            dial = make_dial("ws://a.example", budget, turns, **limits)
            dial._sock = ours
            return dial, theirs

        yield join


class Dialled:
    """A dial that runs, the server's end of it, its page, and what is held."""

    def __init__(self, joined: Join, **limits: float) -> None:
        self.budget, self.page, self.turns = Budget(), Page(), Turns()
        self.dial, self.server = joined(self.budget, self.turns, **limits)
        self.ours, self.dial._sock = self.dial._sock, None
        self.over = trio.Event()

    async def run(self) -> None:
        await self.dial.run(self.page.emit)
        self.over.set()

    async def end(self) -> dict[str, Any]:
        """Wait for the end; return how the page was told of it."""
        with trio.fail_after(10 * IDLE_TIMEOUT_S):
            await self.over.wait()
        assert self.budget.held_bytes == 0
        assert self.ours is None or self.ours.fileno() == -1
        return self.page.closed


@pytest.fixture
def dialled(joined: Join, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch):
    def start(
        surplus: bytes = b"", *, compression: Parameters | None = None, opens_after_s: float = 0.25,
        **limits: float,
    ) -> Dialled:  # fmt: skip
        made = Dialled(joined, **limits)

        async def open_connection(order: Any, target: Any, **given: Any) -> Opened:
            await trio.sleep(opens_after_s)
            assert (order, target) == (made.dial._order, made.dial.target)
            given["report"]("opened", {"t": given["clock"].now_ms()})
            assert made.ours is not None
            return Opened(made.ours, compression, surplus)

        monkeypatch.setattr(dial_module, "open_connection", open_connection)
        nursery.start_soon(made.run)
        return made

    return start


def frame(way: str, t: float, opcode: int, size: int, **more: Any) -> dict[str, Any]:
    """A record of a whole frame without compression."""
    return {
        "type": "frame", "way": way, "t": t, "opcode": opcode, "fin": True, "rsv1": False,
        "masked": way == "out", "wire": size, "plain": size, **more,
    }  # fmt: skip


def text(t: float, said: str) -> dict[str, Any]:
    return {"type": "message", "t": t, "text": said}


def closed(t: float, cause: Cause, why: str, **more: Any) -> dict[str, Any]:
    rest = {"opened": True, "closed_first": None, "received": None, "sent": None}
    return {"t": t, "cause": cause, "why": why, **rest, **more}


def close_frame(code: int, reason: bytes = b"") -> bytes:
    return bytes((0x88, 2 + len(reason))) + code.to_bytes(2) + reason
