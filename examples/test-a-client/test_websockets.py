"""websockets: its sync, its asyncio and its Trio client."""

import asyncio

import pytest

pytest.importorskip("websockets")

from websockets.asyncio.client import connect as connect_asyncio
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.sync.client import connect
from websockets.trio.client import connect as connect_trio


@pytest.mark.ws_server(seed=1)
def test_the_reply_comes_back(ws_server):
    with connect(ws_server.url) as client:
        client.send("hello")
        assert client.recv() == "hello 566561"
    ws_server.assert_all_clean()


def test_a_slow_reply_runs_into_the_timeout(ws_server):
    with connect(ws_server.path("/delay/1m")) as client:
        client.send("hello")
        with pytest.raises(TimeoutError):
            client.recv(timeout=0.05)


def test_a_reset_is_told_from_a_close(ws_server):
    with connect(ws_server.path("/drop/1")) as client:
        client.send("hello")
        client.recv()
        with pytest.raises(ConnectionClosedError) as closed:
            client.recv()
    assert closed.value.rcvd is None


def test_an_overloaded_server_is_told_from_a_broken_one(ws_server):
    with pytest.raises(InvalidStatus) as refused, connect(ws_server.path("/status/503")):
        pass
    assert refused.value.response.status_code == 503


@pytest.mark.asyncio
async def test_asyncio_passes_on_a_close_code_and_its_reason(ws_server):
    async with connect_asyncio(ws_server.path("/close/4001/try%20again")) as client:
        await client.send("hello")
        with pytest.raises(ConnectionClosedError) as closed:
            await client.recv()
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4001, "try again")
    # It blocks, and this loop may still have to close the connection: so in a thread.
    await asyncio.to_thread(ws_server.wait_closed, 1)
    assert ws_server.connections[0].close_code == 4001


@pytest.mark.asyncio
@pytest.mark.ws_server(ping_interval_s=0.05, ping_timeout_s=5.0)
async def test_asyncio_answers_pings_while_nobody_receives(ws_server):
    async with connect_asyncio(ws_server.path("/silent")):
        await asyncio.sleep(0.2)
    await asyncio.to_thread(ws_server.assert_all_clean)


@pytest.mark.trio
async def test_trio_puts_fragments_together(ws_server):
    async with connect_trio(ws_server.path("/fragment/1")) as client:
        await client.send("héllo")
        assert (await client.recv()).startswith("héllo ")
