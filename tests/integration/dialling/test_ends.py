"""Ends of dialled connections, which a browser calls 1006: each is told by its own name."""

from __future__ import annotations

import socket
import struct

import pytest
import trio

from .conftest import PATIENCE_S, Page


async def reset(peer) -> None:
    peer.stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    await peer.stream.aclose()


#: The bytes that a server sends once it has accepted; then the cause, and words of the sentence.
FINISHES = {
    "nothing": (b"", "eof", "without a close frame"),
    "after-a-message": (b"\x81\x02hi", "eof", "without a close frame"),
    "in-a-header": (b"\x81", "eof-in-frame", "1 bytes"),
    "in-a-long-header": (b"\x82\x7f\x00\x00", "eof-in-frame", "4 bytes"),
    "in-a-frame": (b"\x81\x7e\x04\x00hello", "eof-in-frame", "5 of 1,024 bytes"),
    "in-a-close-frame": (b"\x88\x05\x03\xe8a", "eof-in-frame", "inside a frame"),
    "between-fragments": (b"\x01\x02hi", "eof-in-message", "between two frames"),
}
#: The same for what it may not send; and the code that it is told.
VIOLATIONS = {
    "code-1005": (b"\x88\x02\x03\xed", "violation", "1005", 1002),
    "code-1006": (b"\x88\x02\x03\xee", "violation", "1006", 1002),
    "code-999": (b"\x88\x02\x03\xe7", "violation", "999", 1002),
    "half-a-code": (b"\x88\x01\x03", "violation", "half a code", 1002),
    "reason-no-utf-8": (b"\x88\x03\x03\xe8\xff", "violation", "UTF-8", 1007),
    "text-no-utf-8": (b"\x81\x01\xff", "violation", "", 1007),
    "masked": (b"\x81\x82abcdhi", "violation", "mask", 1002),
    "reserved-bit": (b"\xc1\x02hi", "violation", "reserved", 1002),
    "opcode": (b"\x83\x00", "violation", "opcode", 1002),
    "continues-nothing": (b"\x80\x02hi", "violation", "continues", 1002),
    "long-ping": (b"\x89\x7e\x00\x80" + b"x" * 128, "violation", "control", 1002),
    "too-big": (b"\x82\x7f" + (2**20 + 1).to_bytes(8), "too-big", "--max-message-size", 1009),
}


async def test_an_end_without_a_close_frame_is_told_by_its_place(start_page, start_raw):
    for data, cause, says in FINISHES.values():

        async def serve(peer, data=data):
            await peer.accept(surplus=data)
            await peer.stream.send_eof()
            await peer.read_to_end()

        server = await start_raw(serve)
        page = await start_page(server.url)
        async with page.dial(server.url) as dialled:
            end = await dialled.until_over()
        assert (end["cause"], end["opened"], end["closed_first"]) == (cause, True, None), data
        assert says in end["why"]
        assert end["received"] is end["sent"] is None


async def test_what_a_server_may_not_send_is_named_and_it_is_told_so(start_page, start_raw):
    for data, cause, says, code in VIOLATIONS.values():
        done = trio.Event()

        async def serve(peer, data=data, done=done):
            await peer.accept(surplus=b"\x81\x02ok" + data)
            await peer.read_to_end()
            done.set()

        server = await start_raw(serve)
        page = await start_page(server.url)
        async with page.dial(server.url) as dialled:
            end = await dialled.until_over()
            assert dialled.messages == ["ok"], data
        assert (end["cause"], end["closed_first"]) == (cause, "us"), data
        assert says in end["why"]
        assert end["sent"]["code"] == code
        with trio.fail_after(PATIENCE_S):
            await done.wait()
        assert server.peers[0].received_frames() == [(8, code.to_bytes(2))], data


async def test_a_reset_is_told_from_an_end(start_page, start_raw):
    async def serve(peer):
        await peer.accept(surplus=b"\x81\x02hi")
        # Until the page has it: a reset drops what was not read.
        await peer.stream.receive_some()
        await reset(peer)

    server = await start_raw(serve)
    page = await start_page(server.url)
    async with page.dial(server.url) as dialled:
        await dialled.record(type="message", text="hi")
        assert (await dialled.send({"kind": "text", "text": "go"})).status == 204
        end = await dialled.until_over()
    assert end["cause"] == "reset"
    assert "reset" in end["why"]


ANSWERS = {
    "no-answer": (b"", "bad-answer", "without an answer"),
    "half-an-answer": (b"HTTP/1.1 101", "bad-answer", "after 12 bytes"),
    "no-http": (b"SSH-2.0-OpenSSH_9\r\n\r\n", "bad-answer", "not HTTP/1.1"),
    "no-accept": (
        b"HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        "bad-answer",
        "Sec-WebSocket-Accept",
    ),
    "tls": (b"\x15\x03\x01\x00\x02\x02\x46", "bad-answer", "not HTTP"),
}


async def test_an_answer_that_is_none_is_told_as_it_was(start_page, start_raw):
    for data, cause, says in ANSWERS.values():

        async def serve(peer, data=data):
            await peer.stream.send_all(data)
            await peer.stream.send_eof()
            await peer.read_to_end()

        server = await start_raw(serve)
        page = await start_page(server.url)
        async with page.dial(server.url) as dialled:
            end = await dialled.until_over()
        assert (end["cause"], end["opened"]) == (cause, False), data
        assert says in end["why"], data


async def test_a_refusal_is_shown_with_its_head_and_the_beginning_of_its_body(
    start_page, start_raw
):
    refusals = [
        (b"HTTP/1.1 401 No\r\nWWW-Authenticate: Bearer\r\nContent-Length: 6\r\n\r\nlogin!", True),
        (b"HTTP/1.1 401 No\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nlogin!\r\n0\r\n\r\n", True),
        (b"HTTP/1.1 401 No\r\nContent-Length: 9\r\n\r\nlogin!", False),
        (b"HTTP/1.0 401 No\r\n\r\nlogin!", True),
    ]
    for data, whole in refusals:

        async def serve(peer, data=data):
            await peer.stream.send_all(data)
            await peer.stream.send_eof()

        server = await start_raw(serve)
        page = await start_page(server.url)
        async with page.dial(server.url) as dialled:
            end = await dialled.until_over()
            response = await dialled.event("response")
        assert (end["cause"], end["why"]) == ("refused", "the server answered with HTTP 401")
        assert response["head"].encode() == data.partition(b"\r\n\r\n")[0]
        assert (response["body"], response["whole"]) == ("login!", whole)


async def test_a_body_without_end_is_cut_off_and_a_redirect_not_followed(start_page, start_raw):
    async def refuse(peer):
        head = f"HTTP/1.1 302 Found\r\nLocation: {elsewhere.url.replace('ws', 'http', 1)}\r\n\r\n"
        await peer.stream.send_all(head.encode())
        try:
            while True:
                await peer.stream.send_all(b"x" * 65_536)
        except trio.BrokenResourceError:
            pass

    elsewhere = await start_raw(refuse)
    server = await start_raw(refuse)
    page = await start_page(server.url, elsewhere.url)
    async with page.dial(server.url) as dialled:
        end = await dialled.until_over()
        response = await dialled.event("response")
    assert end["why"] == "the server answered with HTTP 302"
    assert f"Location: {elsewhere.url.replace('ws', 'http', 1)}" in response["head"]
    assert (response["body"], response["whole"]) == ("x" * 8192, False)
    assert elsewhere.peers == []


async def test_what_takes_too_long_is_named(start_page, start_raw):
    async def be_silent(peer):
        await peer.read_to_end()

    async def accept_alone(peer):
        await peer.accept()
        await peer.read_to_end()

    server = await start_raw(be_silent)
    page = await start_page(server.url, open_timeout_s=0.2)
    async with page.dial(server.url) as dialled:
        end = await dialled.until_over()
    assert (end["cause"], end["why"]) == ("open-timeout", "the server had not answered after 0.2 s")

    server = await start_raw(accept_alone)
    page = await start_page(server.url, close_timeout_s=0.2)
    async with page.dial(server.url) as dialled:
        await dialled.event("opened")
        assert (await dialled.send({"kind": "close"})).status == 204
        end = await dialled.until_over()
    assert (end["cause"], end["closed_first"]) == ("close-timeout", "us")
    assert (end["sent"], end["received"]) == ({"code": 1005, "reason": ""}, None)


async def test_nobody_there_is_told_by_address_and_reason(start_page):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"ws://127.0.0.1:{closed.getsockname()[1]}"
        page = await start_page(url)
        async with page.dial(url) as dialled:
            end = await dialled.until_over()
    assert (end["cause"], end["opened"]) == ("unreachable", False)
    assert "127.0.0.1: Connection refused" in end["why"]


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a" * 64 + ".example"])
async def test_a_name_that_is_none_is_told_so(start_page, host: str):
    page = await start_page(f"ws://{host}:9")
    async with page.dial(f"ws://{host}:9/") as dialled:
        end = await dialled.until_over()
    assert end["cause"] == "no-such-host"
    assert host in end["why"]


async def test_a_server_that_stops_takes_its_leave(start_server, start_raw):
    # Of several processes: the console is in the one that supervises the others.
    async def accept(peer):
        await peer.accept()
        await peer.read_to_end()

    server = await start_raw(accept)
    target = f"--run-target={server.url.split('/')[2]}"
    ours = await trio.to_thread.run_sync(lambda: start_server(target, "--workers=2", console=True))
    async with Page(ours.console).dial(server.url) as dialled:
        await dialled.event("opened")
        assert await trio.to_thread.run_sync(ours.stop) == 0
    with trio.fail_after(PATIENCE_S):
        while not server.peers[0].received:
            await trio.sleep(0.01)
    assert server.peers[0].received_frames()[0] == (8, b"\x03\xe9the console stops")
