"""aiohttp's client, in asyncio."""

import asyncio

import pytest

aiohttp = pytest.importorskip("aiohttp")


@pytest.mark.asyncio
@pytest.mark.ws_server(seed=1, compression=True)
async def test_a_compressed_reply_comes_back(ws_server):
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(ws_server.url, compress=15) as client,
    ):
        assert client.compress
        await client.send_str("hello")
        assert await client.receive_str() == "hello 566561"
    await asyncio.to_thread(ws_server.assert_all_clean)


@pytest.mark.asyncio
async def test_a_close_code_and_its_reason_are_passed_on(ws_server):
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(ws_server.path("/close/4001/try%20again")) as client,
    ):
        await client.send_str("hello")
        message = await client.receive()
        assert message.type is aiohttp.WSMsgType.CLOSE
        assert (message.data, message.extra) == (4001, "try again")


@pytest.mark.asyncio
async def test_a_reset_closes_with_1006(ws_server):
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(ws_server.path("/drop/0")) as client,
    ):
        message = await client.receive()
        assert message.type in {aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR}
        assert client.close_code == 1006
    await asyncio.to_thread(ws_server.wait_closed, 1)
    assert ws_server.connections[0].outcome == "abnormal"


@pytest.mark.asyncio
async def test_a_refusal_has_its_status(ws_server):
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await session.ws_connect(ws_server.path("/status/503"))
    assert refused.value.status == 503
