"""Connections that have lost their slot: who is served all the same, and who is told so."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from echo_trio.console import http_connection
from echo_trio.console.http_connection import HttpServer
from echo_trio.console.slots import GRACE_S, HEALTH_SLOTS, Slots, Waiting
from echo_trio.console.turns import Turns

HEALTH = b"GET /healthz HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
OTHER = b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"


async def app(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"alive"})


class Hall:
    """A server whose slots are all lost, and one client of it."""

    def __init__(self) -> None:
        self.slots = Slots(1)
        turns = [Turns(1.0, burst_s=1e9, advance_s=0.0) for _ in range(2)]
        self.server = HttpServer(app, self.slots, *turns)
        self.ours, self.theirs = socket.socketpair()
        for sock in (self.ours, self.theirs):
            sock.setblocking(False)

    async def answer(self, lost_while: Waiting) -> tuple[bytes, float]:
        """What its client reads, and after how long."""
        began_s = trio.current_time()
        await self.server._serve_health_or_turn_away(self.theirs, lost_while)
        self.theirs.close()
        try:
            said = self.ours.recv(9999)
        except ConnectionResetError:
            said = b""
        return said.partition(b"\r\n")[0], trio.current_time() - began_s


@pytest.fixture
def hall() -> Iterator[Hall]:
    made = Hall()
    yield made
    made.ours.close()
    made.theirs.close()


@pytest.mark.parametrize(
    ("lost_while", "said", "answer", "after_s"),
    [
        (Waiting.END, HEALTH, b"", 0.0),
        (Waiting.TURN, OTHER, b"HTTP/1.1 503 ", 0.0),
        (Waiting.TURN, HEALTH, b"HTTP/1.1 503 ", 0.0),
        (Waiting.PEER, HEALTH, b"HTTP/1.1 200 ", 0.0),
        (Waiting.PEER, OTHER, b"", 0.0),
        (Waiting.PEER, b"", b"", GRACE_S),
    ],
)
async def test_who_asks_for_health_is_served_and_who_waits_for_its_turn_is_told(
    hall: Hall, autojump_clock: MockClock, lost_while: Waiting, said: bytes, answer: bytes,
    after_s: float,
) -> None:  # fmt: skip
    if said:
        hall.ours.send(said)
    assert await hall.answer(lost_while) == (answer, pytest.approx(after_s))
    assert (len(hall.slots.held_for_health), hall.server._in_hall) == (0, 0)


async def test_beyond_the_slots_for_health_it_is_turned_away(
    hall: Hall, autojump_clock: MockClock
) -> None:
    held = [hall.slots.take_for_health() for _ in range(HEALTH_SLOTS)]
    assert None not in held
    hall.ours.send(HEALTH)
    assert (await hall.answer(Waiting.PEER))[0] == b"HTTP/1.1 503 "


async def test_so_many_may_yet_say_that_they_ask_for_health_and_no_more(
    nursery: trio.Nursery, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_connection, "MAX_IN_HALL", 1)
    halls = [Hall(), Hall()]
    halls[1].server = halls[0].server
    nursery.start_soon(halls[0].answer, Waiting.PEER)
    await trio.sleep(GRACE_S / 2)
    assert halls[0].server._in_hall == 1
    assert await halls[1].answer(Waiting.PEER) == (b"", 0.0)
    await trio.sleep(GRACE_S)
    assert halls[0].server._in_hall == 0
    halls[0].ours.close()
    halls[1].ours.close()
