"""Connections that the console dials for its page, to servers that nobody here wrote."""

from __future__ import annotations

import base64
import json
from functools import partial

import trio
from websockets.exceptions import ConnectionClosed
from websockets.trio.server import serve

from .conftest import PATIENCE_S


async def start_websockets(nursery, **options):
    """A server by `websockets` that echoes; its connections, and the URL."""
    connections = []

    async def echo(connection):
        connections.append(connection)
        try:
            async for message in connection:
                await connection.send(message)
        except ConnectionClosed:
            pass

    options = {"max_size": None, "ping_interval": None, **options}
    server = await nursery.start(partial(serve, echo, 0, host="127.0.0.1", **options))
    return connections, f"ws://127.0.0.1:{server.listeners[0].socket.getsockname()[1]}"


async def test_the_page_sets_what_a_browser_may_not_and_sees_the_handshake(start_page, nursery):
    connections, url = await start_websockets(nursery, subprotocols=["v2", "v1"])
    page = await start_page(url)
    headers = [["Cookie", "a=1; b=2"], ["Origin", "https://app.example"], ["X-Debug", "é"]]
    order = {"headers": headers, "subprotocols": ["v1", "v2"], "compression": False}
    async with page.dial(f"{url}/chat?x=1", **order) as dialled:
        request = await dialled.event("request")
        response = await dialled.event("response")
        opened = await dialled.event("opened")
        (connection,) = connections
        assert connection.request.path == "/chat?x=1"
        assert connection.request.headers["Cookie"] == "a=1; b=2"
        assert connection.request.headers["Origin"] == "https://app.example"
        assert connection.request.headers["X-Debug"].encode("latin-1").decode() == "é"
        assert connection.request.headers["Sec-WebSocket-Protocol"] == "v1, v2"
        assert "Sec-WebSocket-Extensions" not in connection.request.headers
        head = request["head"].split("\r\n")
        assert head[0] == "GET /chat?x=1 HTTP/1.1"
        assert {"Cookie: a=1; b=2", "Origin: https://app.example", "X-Debug: é"} <= set(head)
        answer = response["head"].split("\r\n")
        assert answer[0] == "HTTP/1.1 101 Switching Protocols"
        assert f"Server: {connection.response.headers['Server']}" in answer
        assert (opened["subprotocol"], opened["extensions"]) == (connection.subprotocol, "")
        assert (await dialled.event("resolved"))["addresses"] == ["127.0.0.1"]
        connected = await dialled.event("connected")
        assert (connected["address"], connected["port"]) == connection.local_address[:2]
        assert min(each["ms"] for each in (connected, response)) > 0


async def test_messages_of_any_size_go_both_ways_compressed_in_the_frames_that_are_told(
    start_page, nursery
):
    connections, url = await start_websockets(nursery)
    page = await start_page(url)
    long, binary = "aü世🌍" * 20_000, bytes(range(256)) * 400
    parts = [long.encode()[at : at + 30_000] for at in range(0, len(long.encode()), 30_000)]
    async with page.dial(url) as dialled:
        assert "permessage-deflate" in (await dialled.event("opened"))["extensions"]
        assert (await dialled.send({"kind": "text", "text": "short", "ticket": 1})).status == 204
        for part in parts:
            item = {"kind": "text", "base64": base64.b64encode(part).decode()}
            item |= {"ticket": 2} if part is parts[-1] else {"more": True}
            assert (await dialled.send(item)).status == 204
        half = len(binary) // 3
        for part, more in ((binary[:half], True), (binary[half : 2 * half], True)):
            coded = base64.b64encode(part).decode()
            await dialled.send({"kind": "binary", "base64": coded, "more": more})
        coded = base64.b64encode(binary[2 * half :]).decode()
        await dialled.send({"kind": "binary", "base64": coded, "ticket": 3})
        await dialled.send({"kind": "ping", "text": "there?"})
        await connections[0].ping(b"you?")
        await dialled.record(type="frame", way="in", opcode=10)
        pinged = await dialled.record(type="frame", way="in", opcode=9)
        await dialled.record(type="frame", way="out", opcode=10, base64=pinged["base64"])
        assert dialled.messages == ["short", long, binary]
        sent = [one for one in dialled.records if one.get("ticket")]
        came = [one for one in dialled.records if one["type"] == "frame" and one["way"] == "in"]
        plain = [5, len(long.encode()), len(binary)]
        assert [one["ticket"] for one in sent] == [1, 2, 3]
        assert [one["plain"] for one in sent] == plain
        assert [one["rsv1"] for one in sent] == [False, True, True]
        assert all(one["masked"] and one["fin"] for one in sent)
        assert sent[1]["wire"] < plain[1] / 10
        data = [one for one in came if one["opcode"] < 8]
        # `websockets` compresses everything; none of its frames is longer than its message.
        assert [one["plain"] for one in data if one["fin"]] == plain
        assert data[1]["rsv1"]
        assert data[1]["wire"] < plain[1] / 10
        times = [one["t"] for one in dialled.records]
        assert times == sorted(times)
        closing = await dialled.send({"kind": "close", "code": 4001, "text": "enough"})
        assert closing.status == 204
        end = await dialled.until_over()
        assert (end["cause"], end["closed_first"]) == ("closed", "us")
        assert end["sent"] == end["received"] == {"code": 4001, "reason": "enough"}
        with trio.fail_after(PATIENCE_S):
            await connections[0].wait_closed()
        assert (connections[0].close_code, connections[0].close_reason) == (4001, "enough")
        gone = await dialled.send({"kind": "text", "text": "late"})
        assert gone.status in (404, 409)


async def test_a_page_that_leaves_takes_its_connection_along(start_page, nursery):
    connections, url = await start_websockets(nursery)
    page = await start_page(url)
    async with page.dial(url) as dialled:
        await dialled.event("opened")
    with trio.fail_after(PATIENCE_S):
        await connections[0].wait_closed()
    assert connections[0].close_code == 1001
    with trio.fail_after(PATIENCE_S):
        while (await page.ask("GET /api/dial")).json["open"]:
            await trio.sleep(0.01)


async def test_fragments_and_pings_between_them_are_told_as_they_came(start_page, start_raw):
    async def serve(peer):
        # As the answer's surplus, in the middle of a header, and byte by byte.
        await peer.accept(surplus=b"\x01\x03abc\x89\x02hi")
        for byte in b"\x00\x00\x80\x02de\x82\x7e\x01":
            await peer.stream.send_all(bytes([byte]))
        await peer.stream.send_all(b"\x00" + b"\xff" * 256 + b"\x88\x05\x0f\xa0bye")
        await peer.read_to_end()

    server = await start_raw(serve)
    page = await start_page(server.url)
    async with page.dial(server.url) as dialled:
        end = await dialled.until_over()
        frames = [
            (one["opcode"], one["fin"], one["wire"])
            for one in dialled.records
            if one["type"] == "frame" and one["way"] == "in"
        ]
        assert frames == [
            (1, False, 3),
            (9, True, 2),
            (0, False, 0),
            (0, True, 2),
            (2, True, 256),
            (8, True, 5),
        ]
        assert dialled.messages == ["abcde", b"\xff" * 256]
        assert (end["cause"], end["closed_first"]) == ("closed", "server")
        assert end["received"] == {"code": 4000, "reason": "bye"}
    assert server.peers[0].received_frames() == [(10, b"hi"), (8, b"\x0f\xa0")]


async def test_json_of_the_stream_is_what_the_reference_says(start_page, start_raw):
    async def serve(peer):
        await peer.accept(surplus=b"\x81\x02hi\x88\x00")
        await peer.read_to_end()

    server = await start_raw(serve)
    page = await start_page(server.url)
    async with page.dial(server.url) as dialled:
        await dialled.until_over()
        names = [name for name, _ in dialled.events if name != "records"]
        assert names == [
            *("dial", "resolved", "connected", "request", "response", "opened", "closed"),
        ]
        frame, message, *_ = dialled.records
        assert json.dumps(frame).startswith('{"type": "frame", "way": "in", "t": ')
        assert message == {"type": "message", "t": frame["t"], "text": "hi"}
