"""A proxy between clients and servers of other people: `ws` of Node, and aiohttp."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from pathlib import Path

import aiohttp
import aiohttp.web
import pytest
import trio

from .conftest import PATIENCE_S

NODE = shutil.which("node")
NODE_MODULES = Path(__file__).parents[3] / "react-client/node_modules"


@pytest.mark.skipif(NODE is None or not (NODE_MODULES / "ws").is_dir(), reason="needs Node and ws")
@pytest.mark.parametrize("fault", ["", "~delay/1ms/~up-delay/1ms"])
async def test_ws_of_node_at_both_ends(start_proxy, fault: str):
    peer = await trio.lowlevel.open_process(
        [str(NODE), str(Path(__file__).with_name("peer.cjs"))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={"NODE_PATH": str(NODE_MODULES)},
    )
    assert peer.stdin is not None
    assert peer.stdout is not None
    try:
        with trio.fail_after(PATIENCE_S):
            said = b""
            while not said.endswith(b"\n"):
                said += await peer.stdout.receive_some()
            proxy = await start_proxy(said.decode().strip(), compression=True, fault=fault)
            await peer.stdin.send_all(f"{proxy.url}\n".encode())
            said = b"".join([data async for data in peer.stdout])
            await proxy.until_ended()
    finally:
        peer.kill()
        with trio.CancelScope(shield=True):
            await peer.wait()
        await trio.aclose_forcefully(peer.stdin)
        await trio.aclose_forcefully(peer.stdout)
    seen = json.loads(said)
    assert seen == {
        "server": {
            "url": "/chat?x=1",
            "cookie": "a=1",
            "extensions": "",
            "ping": "are you there?",
            "closed": [4321, "bye"],
        },
        "client": {
            "protocol": "v1",
            "extensions": "permessage-deflate",
            "received": [True, True, True],
            "pong": "are you there?",
            "closed": [4321, "bye"],
        },
    }
    assert proxy.server.snapshot().outcomes == {"clean": 1}


async def test_aiohttp_at_both_ends(start_proxy):
    async def talk() -> dict[str, object]:
        seen: dict[str, object] = {}

        async def echo(request: aiohttp.web.Request) -> aiohttp.web.WebSocketResponse:
            socket = aiohttp.web.WebSocketResponse(protocols=["v2"])
            await socket.prepare(request)
            seen["request"] = request.path_qs, request.headers["X-Forwarded-For"], socket.compress
            async for message in socket:
                if message.type == aiohttp.WSMsgType.TEXT:
                    await socket.send_str(message.data)
                else:
                    await socket.send_bytes(message.data)
            seen["server"] = socket.close_code
            return socket

        app = aiohttp.web.Application()
        app.router.add_get("/chat", echo)
        runner = aiohttp.web.AppRunner(app)
        await runner.setup()
        site = aiohttp.web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0]
        proxy = trio.from_thread.run(start_proxy, f"ws://{host}:{port}")
        url = f"{proxy.url}/~up-duplicate/2/chat?x=1"
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(url, protocols=["v1", "v2"], compress=15) as client,
        ):
            for message in ("a", "b", "ü" * 100_000):
                await client.send_str(message)
            await client.send_bytes(b"\0" * 100_000)
            got = [(await client.receive()).data for _ in range(6)]
            assert got == ["a", "b", "b", "ü" * 100_000, b"\0" * 100_000, b"\0" * 100_000]
            assert client.protocol == "v2"
            await client.close(code=4000)
            seen["client"] = client.close_code
        async with aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await session.ws_connect(f"{proxy.url}/elsewhere")
            seen["refused"] = refused.value.status
        await runner.cleanup()
        return seen

    with trio.fail_after(PATIENCE_S):
        seen = await trio.to_thread.run_sync(asyncio.run, talk())
    request = "/chat?x=1", "127.0.0.1", 0
    # Its server answers every close with 1000, which its client gets, as it would without a proxy.
    assert seen == {"request": request, "server": 4000, "client": 1000, "refused": 404}
