"""Rooms over real sockets: one order for all, a deaf member, a stop, several workers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import pytest
import structlog
import trio
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.trio.client import ClientConnection, connect

from echo_trio.behaviours.rooms import COPIES_PER_TURN
from echo_trio.metrics.counters import Outcome
from echo_trio.server import EchoServer
from echo_trio.settings import Settings

#: A hang guard, nothing else.
PATIENCE_S = 120


@asynccontextmanager
async def running(workers: int = 1, **settings: object) -> AsyncIterator[EchoServer]:
    made = Settings(port=0, console=False, **settings)  # type: ignore[arg-type]
    server = EchoServer.listen(made, structlog.get_logger())
    server._sessions.workers = workers
    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            await nursery.start(server.run)
            yield server
            server.drain()


async def enter(stack: AsyncExitStack, url: str) -> ClientConnection:
    options = {"compression": None, "max_queue": None, "ping_interval": None}
    return await stack.enter_async_context(connect(url, **options))


async def test_all_hear_the_same_whoever_speaks_at_once_and_however_large_the_room() -> None:
    count, speakers, each = 2 * COPIES_PER_TURN + 20, 10, 4
    heard: list[list[str]] = [[] for _ in range(count)]
    async with running() as server, AsyncExitStack() as stack:
        members = [await enter(stack, server.url + "room/hall") for _ in range(count)]
        elsewhere = await enter(stack, server.url + "room/attic")

        async def speak(number: int) -> None:
            for message in range(each):
                await members[number].send(f"{number} {message}")

        async def listen(number: int) -> None:
            while len(heard[number]) < speakers * each:
                heard[number].append(str(await members[number].recv()))

        async with trio.open_nursery() as nursery:
            for number in range(speakers):
                nursery.start_soon(speak, number)
            for number in range(count):
                nursery.start_soon(listen, number)
        await elsewhere.send("nobody else is here")
        assert await elsewhere.recv() == "nobody else is here"
        assert {tuple(messages) for messages in heard} == {tuple(heard[0])}
        for number in range(speakers):
            own = [text for text in heard[0] if text.startswith(f"{number} ")]
            assert own == [f"{number} {message}" for message in range(each)]
    counts = server.snapshot()
    assert counts.messages_pushed == counts.messages_sent == count * speakers * each + 1
    assert (counts.messages_undelivered, counts.messages_unanswered) == (0, 0)
    assert counts.held_bytes == 0
    assert counts.outcomes == {Outcome.CLEAN: count + 1}


async def test_whoever_does_not_read_is_closed_while_the_others_hear_everything() -> None:
    message = "x" * 200_000
    async with running(write_timeout_s=3600, max_message_bytes=2**18) as server:
        url = server.url + "room/den"
        async with (
            connect(url, compression=None) as first,
            connect(url, compression=None) as second,
            # It takes some frames into its buffers, and then nothing: the rest is owed to it.
            connect(url, compression=None, max_queue=1) as deaf,
        ):
            sent = 0
            while not server.snapshot().outcomes.get(Outcome.MEMORY):
                await first.send(message)
                sent += 1
                assert await first.recv() == await second.recv() == message
                assert server.held_bytes < 2 * 2**20
            counts = server.snapshot()
            assert counts.messages_undelivered > 0
            assert counts.messages_pushed == 3 * sent
            with suppress(ConnectionClosed):
                while True:
                    await deaf.recv()
    assert server.held_bytes == 0


async def test_a_server_that_stops_says_goodbye_to_every_member_and_owes_nothing() -> None:
    async with running() as server, AsyncExitStack() as stack:
        members = [await enter(stack, server.url + "~delay/1h/room/den") for _ in range(3)]
        caller = await enter(stack, server.url + "rpc")
        await caller.send(
            '{"jsonrpc": "2.0", "method": "wait", "params": {"ms": 3600000}, "id": 1}'
        )
        ticked = await enter(stack, server.url + "ticker/1h")
        await members[0].send("m")
        for client in (members[0], caller):
            await (await client.ping()).wait()
        assert server.held_bytes > 0
        server.drain()
        for client in (*members, caller, ticked):
            with suppress(ConnectionClosed):
                while True:
                    await client.recv()
            assert client.close_code == 1001
    counts = server.snapshot()
    assert counts.outcomes == {Outcome.CLEAN: 5}
    assert (counts.messages_pushed, counts.messages_undelivered) == (4, 3)
    assert counts.messages_unanswered == 1
    assert server.held_bytes == 0


async def test_with_several_workers_a_room_is_501_and_says_why() -> None:
    async with running(workers=3) as server:
        for path in ("room/den", "~delay/1s/room/den"):
            with pytest.raises(InvalidStatus) as refused:
                async with connect(server.url + path):
                    pass
            assert refused.value.response.status_code == 501
            assert b"this server has 3" in (refused.value.response.body or b"")
        async with connect(server.url + "rpc"):
            pass
    assert server.snapshot().refused_reasons == {"workers": 2}
