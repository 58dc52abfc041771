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
from echo_trio.dialling.dial import Dial, DialRoom
from echo_trio.dialling.opening import Opened
from echo_trio.dialling.order import DialOrder, read_target
from echo_trio.dialling.room import ClientContexts
from echo_trio.wire.budget import Budget
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
    """A page that reads at once: what it was told, taken apart."""

    def __init__(self) -> None:
        self.said = bytearray()

    async def emit(self, chunk: bytes) -> None:
        await trio.lowlevel.checkpoint()
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
