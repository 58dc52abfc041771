"""Each behaviour from outside: by an independent client, and where bytes count by a raw socket."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
import structlog
import trio
import trustme
import websockets.trio.client
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, InvalidStatus
from websockets.frames import Frame, Opcode
from websockets.trio.client import ClientConnection

from echo_trio.behaviours import paths
from echo_trio.behaviours.faults import altered
from echo_trio.metrics.counters import Outcome
from echo_trio.server import EchoServer
from echo_trio.settings import Settings

#: A hang guard, nothing else.
PATIENCE_S = 120


@pytest.fixture(params=["plain", "tls", "compression"])
def flavour(request, tmp_path, monkeypatch) -> None:
    """What the connections of a test are like; it shall make no difference."""
    if request.param == "compression":
        monkeypatch.setitem(SETTINGS, "compression", True)
    elif request.param == "tls":
        authority = trustme.CA()
        certificate = authority.issue_cert("127.0.0.1")
        certificate.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
        certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
        monkeypatch.setitem(SETTINGS, "tls_cert", tmp_path / "cert.pem")
        monkeypatch.setitem(SETTINGS, "tls_key", tmp_path / "key.pem")
        context = ssl.create_default_context()
        authority.configure_trust(context)
        monkeypatch.setitem(OPTIONS, "ssl", context)


#: Of every server and every client, as the test's flavour has it.
SETTINGS: dict[str, Any] = {}
OPTIONS: dict[str, Any] = {}


def connect(url: str, **options: Any) -> Any:
    return websockets.trio.client.connect(url, **OPTIONS | options)


@asynccontextmanager
async def running(**settings: object) -> AsyncIterator[EchoServer]:
    """A server on a free port, drained at the end."""
    server = EchoServer.listen(
        Settings(port=0, console=False, **SETTINGS | settings),  # type: ignore[arg-type]
        structlog.get_logger(),
    )
    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            await nursery.start(server.run)
            yield server
            server.drain()


@asynccontextmanager
async def talking(path: str, **settings: object) -> AsyncIterator[ClientConnection]:
    async with running(**settings) as server, connect(server.url[:-1] + path) as client:
        yield client


async def receive(client: ClientConnection, count: int) -> list[str | bytes]:
    return [await client.recv() for _ in range(count)]


async def exchange(client: ClientConnection, messages: list[str], replies: int) -> list[str]:
    """Send all, receive so many, without their suffixes, and see that no more come.

    The pong to a last ping comes behind all replies that there are."""
    for message in messages:
        await client.send(message)
    received = [str(reply).rpartition(" ")[0] for reply in await receive(client, replies)]
    await (await client.ping()).wait()
    with trio.move_on_after(0.02):
        pytest.fail(f"one more: {await client.recv()!r}")
    return received


# -- What a client of `websockets` sees -------------------------------------------------------


async def info():
    async with running() as server:
        url = server.url + "info?room=1&x"
        options = {"subprotocols": ["chat", "other"], "additional_headers": {"X-Who": "me"}}
        async with connect(url, compression=None, **options) as client:
            about = json.loads(await client.recv())
            assert about["path"] == "/info"
            assert about["query"] == "room=1&x"
            assert about["headers"]["x-who"] == "me"
            assert about["headers"]["host"] == server.url.split("/")[2]
            assert about["subprotocol"] == client.subprotocol == "chat"
            assert about["extensions"] == []
            assert about["peer"] == "{}:{}".format(*client.local_address)
            assert await exchange(client, ["a", "b"], 2) == ["a", "b"]


async def test_a_page_on_another_port_does_not_see_the_browsers_cookies():
    async with running() as server:
        url = server.url + "info"
        cookies = {"Cookie": "session=hunter2"}
        async with connect(url, origin="http://127.0.0.1:3000", additional_headers=cookies) as page:
            said = str(await page.recv())
            assert "hunter2" not in said
            assert json.loads(said)["headers"]["cookie"] == "(masked, 15 bytes)"
        async with connect(url, additional_headers=cookies) as program:
            assert json.loads(await program.recv())["headers"]["cookie"] == "session=hunter2"


async def delay():
    async with talking("/delay/300ms") as client:
        sent_s = []
        for number in range(5):
            sent_s.append(trio.current_time())
            await client.send(f"{number}")
            await trio.sleep(0.02)
        for number in range(5):
            assert str(await client.recv()).startswith(f"{number} ")
            assert trio.current_time() - sent_s[number] >= 0.3


async def stall():
    async with talking("/stall/2/300ms") as client:
        for number in range(1, 7):
            began_s = trio.current_time()
            await client.send(f"{number}")
            assert str(await client.recv()).startswith(f"{number} ")
            if number % 2 == 0:
                assert trio.current_time() - began_s >= 0.3


async def silent():
    async with talking("/silent") as client:
        assert await exchange(client, ["a", "b"], 0) == []


async def drop():
    async with running() as server:
        async with connect(server.url + "drop/2") as client:
            for message in ("1", "2"):
                await client.send(message)
                assert str(await client.recv()).startswith(f"{message} ")
            with pytest.raises(ConnectionClosedError) as closed:
                await client.recv()
            assert (closed.value.rcvd, closed.value.sent) == (None, None)
        async with connect(server.url + "drop/0") as client:
            with pytest.raises(ConnectionClosedError):
                await client.recv()
    assert server.snapshot().outcomes == {Outcome.ABNORMAL: 2}


async def close():
    await _closes_with("/close/4001", 4001, "")


async def close_with_a_reason():
    await _closes_with("/close/1008/no%20entr%C3%A9e%2F", 1008, "no entrée/")


async def status():
    async with running() as server:
        for code in (200, 204, 304, 401, 418, 500, 503, 599):
            with pytest.raises(InvalidStatus) as refused:
                async with connect(server.url + f"status/{code}"):
                    pass
            assert refused.value.response.status_code == code
    assert server.snapshot().refused[418] == 1


async def duplicate():
    async with talking("/duplicate/3") as client:
        for message in "1234567":
            await client.send(message)
        replies = await receive(client, 9)
        assert [str(reply)[0] for reply in replies] == list("123345667")
        assert replies[2] == replies[3]
        assert replies[6] == replies[7]


async def corrupt():
    async with talking("/corrupt/2") as client:
        expected = ["a", altered("b"), "c", altered("d"), "e"]
        assert await exchange(client, list("abcde"), 5) == expected
        await client.send(b"\x00\xff")
        reply = await client.recv()
        assert isinstance(reply, bytes)
        assert reply.startswith(b"\x40\xff ")


async def reorder():
    async with talking("/reorder/3") as client:
        assert await exchange(client, list("1234567"), 7) == list("1243576")


async def swallow():
    async with talking("/swallow/3") as client:
        assert await exchange(client, list("1234567"), 5) == list("12457")


async def fragment():
    async with talking("/fragment/3") as client:
        for message in ["", "a", "héé€🎉", "x" * 70_000, b"\x00\xff" * 5]:
            await client.send(message)
            parts = [part async for part in client.recv_streaming(decode=False)]
            reply = b"".join(parts)
            whole = message.encode() if isinstance(message, str) else message
            assert reply.startswith(whole + b" ")
            assert {len(part) for part in parts[:-1]} <= {3}
            assert 1 <= len(parts[-1]) <= 3


async def burst():
    async with talking("/burst/4") as client:
        assert await exchange(client, ["a", "b"], 8) == ["a"] * 4 + ["b"] * 4
    async with talking("/burst/1000") as client:
        assert await exchange(client, ["x" * 5000] * 3, 3000) == ["x" * 5000] * 3000


async def rpc():
    async with talking("/rpc") as client:
        await client.send('{"jsonrpc": "2.0", "method": "wait", "params": {"ms": 300}, "id": 1}')
        await client.send(
            '{"jsonrpc": "2.0", "method": "echo", "params": ["h\u00e9", 2.50], "id": "2"}'
        )
        await client.send(b'{"jsonrpc": "2.0", "method": "time", "id": 3}')
        first, second, third = await receive(client, 3)
        assert first == '{"jsonrpc": "2.0", "result": ["h\u00e9", 2.50], "id": "2"}'
        assert isinstance(second, bytes)
        assert json.loads(second)["id"] == 3
        assert json.loads(third) == {"jsonrpc": "2.0", "result": {"ms": 300}, "id": 1}


async def room():
    async with (
        running() as server,
        connect(server.url + "room/den") as first,
        connect(server.url + "room/den") as second,
        connect(server.url + "room/attic") as elsewhere,
    ):
        said = ["a", b"\x00\xff", "", "x" * 70_000, "b"]
        for message, client in zip(said, [first, second, first, second, first], strict=True):
            await client.send(message)
            assert await first.recv() == await second.recv() == message
        await elsewhere.send("alone")
        assert await receive(elsewhere, 1) == ["alone"]
        for client in (first, second):
            await client.send("the end")
            assert await receive(first, 1) == await receive(second, 1) == ["the end"]
    assert server.snapshot().messages_pushed == 2 * 7 + 1


async def ticker():
    async with talking("/ticker/50ms") as client:
        await client.send("nobody answers")
        ticks = [json.loads(tick) for tick in await receive(client, 6)]
        assert [tick["seq"] for tick in ticks] == list(range(6))
        late_ms = [tick["t"] - ticks[0]["t"] - 50 * tick["seq"] for tick in ticks]
        assert min(late_ms) >= -1


async def login():
    async with running() as server:
        url = server.url + "login/s%20cret"
        async with connect(url) as client:
            assert await client.recv() == '{"type": "hello"}'
            await client.send('{"token": "s cret", "name": "me", "type": "login"}')
            assert await client.recv() == '{"type": "welcome"}'
            assert await exchange(client, ["a", "b"], 2) == ["a", "b"]
        wrong = '{"type": "login", "token": "secret"}'
        for first in (wrong, "[" * 5000, b"\xff"):
            async with connect(url) as client:
                assert await client.recv() == '{"type": "hello"}'
                await client.send(first)
                with pytest.raises(ConnectionClosedError):
                    await client.recv()
                assert client.close_code == 4401
    async with talking("/login/me", open_timeout_s=2) as client:
        assert await client.recv() == '{"type": "hello"}'
        with pytest.raises(ConnectionClosedError):
            await client.recv()
        assert client.close_code == 4408


async def quota():
    async with talking("/quota/5") as client:
        assert await exchange(client, list("abcde"), 5) == list("abcde")
        await trio.sleep(0.25)
        assert await exchange(client, ["f"], 1) == ["f"]
        with suppress(ConnectionClosedError):
            for _ in range(20):
                await client.send("m")
            while True:
                await client.recv()
        assert client.close_code == 4429


async def echo():
    async with talking("/") as client:
        assert await exchange(client, ["a", "", "b"], 3) == ["a", "", "b"]


async def plain():
    async with talking("/plain") as client:
        for message in ("a", "", b"\x00"):
            await client.send(message)
            assert await client.recv() == message


async def _closes_with(path: str, code: int, reason: str) -> None:
    async with running() as server, connect(server.url[:-1] + path) as client:
        await client.send("first")
        with pytest.raises(ConnectionClosed):
            await client.recv()
        assert (client.close_code, client.close_reason) == (code, reason)
    assert sum(server.snapshot().close_codes.values()) == 1
    assert server.snapshot().close_codes == {code: 1}


SEEN: dict[str, Callable[[], Awaitable[None]]] = {
    "/": echo,
    "/plain": plain,
    "/info": info,
    "/delay/{duration}": delay,
    "/stall/{every}/{duration}": stall,
    "/silent": silent,
    "/drop/{n}": drop,
    "/close/{code}": close,
    "/close/{code}/{reason}": close_with_a_reason,
    "/status/{http}": status,
    "/duplicate/{every}": duplicate,
    "/corrupt/{every}": corrupt,
    "/reorder/{every}": reorder,
    "/swallow/{every}": swallow,
    "/fragment/{bytes}": fragment,
    "/burst/{n}": burst,
    "/rpc": rpc,
    "/room/{name}": room,
    "/ticker/{interval}": ticker,
    "/login/{token}": login,
    "/quota/{rate}": quota,
}


@pytest.mark.parametrize("template", paths.BEHAVIOURS)
@pytest.mark.usefixtures("flavour")
async def test_an_independent_client_sees_what_the_path_promises(template: str) -> None:
    await SEEN[template]()


@pytest.mark.parametrize("code", [1000, 1001, 1003, 1005, 1006, 1007, 1011, 1013, 1014, 3000, 4999])
async def test_the_code_that_was_asked_for_is_the_code_that_a_client_reports(code: int) -> None:
    await _closes_with(f"/close/{code}", code, "")


async def test_a_bad_parameter_is_400_with_what_is_allowed_in_the_body() -> None:
    async with running() as server:
        with pytest.raises(InvalidStatus) as refused:
            async with connect(server.url + "close/1004"):
                pass
        assert refused.value.response.status_code == 400
        assert "3000 to 4999" in bytes(refused.value.response.body or b"").decode()
    assert server.snapshot().refused == {400: 1}


async def test_a_server_that_stops_does_not_wait_for_late_replies_and_counts_them() -> None:
    async with running() as server, connect(server.url + "delay/1h") as client:
        for _ in range(3):
            await client.send("m")
        await (await client.ping()).wait()
        server.drain()
        with pytest.raises(ConnectionClosed):
            await client.recv()
        assert client.close_code == 1001
    assert server.snapshot().messages_unanswered == 3
    assert server.snapshot().outcomes == {Outcome.CLEAN: 1}


async def test_the_neighbours_of_a_frozen_connection_do_not_notice() -> None:
    async with (
        running() as server,
        connect(server.url + "stall/1/1h") as frozen,
        connect(server.url) as neighbour,
    ):
        await frozen.send("m")
        ponged = await frozen.ping()
        for number in range(200):
            await neighbour.send(f"{number}")
            assert str(await neighbour.recv()).startswith(f"{number} ")
        assert not ponged.is_set()
        server.drain()
        with pytest.raises(ConnectionClosed):
            await frozen.recv()


async def test_whoever_is_left_when_the_budget_of_a_stop_is_over_is_dropped_and_counted() -> None:
    def work(server: EchoServer) -> None:
        client = RawClient(server.url, "/delay/1h")
        with client.socket:
            client.socket.sendall(text("m") + Frame(Opcode.PING, b"").serialize(mask=True))
            assert client.receive_exactly(2) == b"\x8a\x00"
            trio.from_thread.run_sync(server.drain)
            client.receive_exactly(4)  # our goodbye, which it leaves without an answer
            with suppress(ConnectionResetError):
                client.receive_all()

    server = await raw(work, drain_timeout_s=0.2)
    assert server.snapshot().outcomes == {Outcome.DROPPED: 1}
    assert server.snapshot().messages_unanswered == 1


async def test_a_server_that_stops_does_not_wait_for_a_freeze_to_end() -> None:
    async with running() as server, connect(server.url + "stall/1/1h") as client:
        await client.send("m")
        with trio.move_on_after(PATIENCE_S):
            while server.snapshot().messages_received == 0:
                await trio.sleep(0.01)
        server.drain()
        with pytest.raises(ConnectionClosed):
            await client.recv()
        assert client.close_code == 1001
    assert server.snapshot().outcomes == {Outcome.CLEAN: 1}


# -- What is on the wire ----------------------------------------------------------------------


class RawClient:
    """A socket, a handshake, and frames as bytes."""

    def __init__(self, url: str, path: str, ahead: bytes = b"") -> None:
        host, port = url.split("/")[2].split(":")
        self.socket = socket.create_connection((host, int(port)), timeout=PATIENCE_S)
        self.socket.sendall(
            f"GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
            "\r\n".encode()
            + ahead
        )
        self.received = b""
        head, self.received = self._receive_until(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 "), head

    def _receive_until(self, end: bytes) -> tuple[bytes, bytes]:
        while end not in self.received:
            data = self.socket.recv(65536)
            assert data, self.received
            self.received += data
        head, _, rest = self.received.partition(end)
        return head, rest

    def receive_exactly(self, size: int) -> bytes:
        while len(self.received) < size:
            data = self.socket.recv(65536)
            assert data, self.received
            self.received += data
        whole, self.received = self.received[:size], self.received[size:]
        return whole

    def receive_all(self) -> bytes:
        """Up to the end of the stream."""
        while data := self.socket.recv(65536):
            self.received += data
        return self.received


def text(message: str) -> bytes:
    return Frame(Opcode.TEXT, message.encode()).serialize(mask=True)


async def raw(work: Callable[[EchoServer], None], **settings: object) -> EchoServer:
    async with running(**settings) as server:
        await trio.to_thread.run_sync(work, server)
    return server


async def test_a_drop_is_a_reset_and_no_end_of_stream_and_the_replies_come_first() -> None:
    def work(server: EchoServer) -> None:
        client = RawClient(server.url, "/drop/2")
        with client.socket:
            client.socket.sendall(text("1") + text("2") + text("3"))
            with pytest.raises(ConnectionResetError):
                client.receive_all()
            replies = client.received
            assert replies[2:4] == b"1 "
            second = replies[2 + replies[1] :]
            assert second[2:4] == b"2 "
            assert len(second) == 2 + second[1]

    await raw(work)


async def test_an_end_without_close_frame_is_an_end_of_stream_and_no_reset() -> None:
    def work(server: EchoServer) -> None:
        client = RawClient(server.url, "/close/1006")
        with client.socket:
            client.socket.sendall(text("1") + text("2"))
            assert client.receive_all() == b""

    server = await raw(work)
    assert server.snapshot().close_codes == {1006: 1}


async def test_1005_is_an_empty_close_frame() -> None:
    def work(server: EchoServer) -> None:
        client = RawClient(server.url, "/close/1005")
        with client.socket:
            client.socket.sendall(text("1"))
            assert client.receive_exactly(2) == b"\x88\x00"

    await raw(work)


async def test_text_is_split_at_bytes_also_amid_a_character() -> None:
    def work(server: EchoServer) -> None:
        client = RawClient(server.url, "/fragment/2")
        with client.socket:
            client.socket.sendall(text("a€"))
            # The first of the seed's suffixes is 566561.
            expected = [
                b"\x01\x02a\xe2",
                b"\x00\x02\x82\xac",
                b"\x00\x02 5",
                b"\x00\x0266",
                b"\x00\x0256",
                b"\x80\x011",
            ]
            assert client.receive_exactly(23) == b"".join(expected)

    await raw(work, seed=1)


async def test_a_description_comes_before_the_reply_to_a_frame_sent_with_the_handshake() -> None:
    def work(server: EchoServer) -> None:
        client = RawClient(server.url, "/info", ahead=text("early"))
        with client.socket:
            first = client.receive_exactly(4)
            assert first[:2] == b"\x81\x7e"
            assert json.loads(client.receive_exactly(int.from_bytes(first[2:])))["query"] == ""
            assert client.receive_exactly(8)[2:] == b"early "

    await raw(work)


async def test_a_reply_held_back_comes_between_the_clients_close_and_our_answer() -> None:
    def work(server: EchoServer) -> None:
        client = RawClient(server.url, "/reorder/1")
        with client.socket:
            client.socket.sendall(text("1") + Frame(Opcode.CLOSE, b"\x03\xe8").serialize(mask=True))
            received = client.receive_all()
            assert received[:4] == b"\x81" + received[1:2] + b"1 "
            assert received[2 + received[1] :] == b"\x88\x02\x03\xe8"

    server = await raw(work)
    assert server.snapshot().messages_unanswered == 0


async def test_a_client_that_does_not_read_its_burst_is_cut_after_the_write_timeout() -> None:
    def work(server: EchoServer) -> None:
        client = RawClient(server.url, "/burst/1000")
        with client.socket, suppress(ConnectionResetError, BrokenPipeError):
            client.socket.sendall(text("x" * 100_000))
            while not trio.from_thread.run_sync(server.snapshot).outcomes:
                trio.from_thread.run(trio.sleep, 0.01)

    server = await raw(work, write_timeout_s=0.2)
    assert server.snapshot().outcomes == {Outcome.WRITE_TIMEOUT: 1}
    assert server.snapshot().messages_unanswered == 1
    assert server.snapshot().messages_sent < 1000


async def test_a_large_message_in_single_bytes_is_whole() -> None:
    def work(server: EchoServer) -> None:
        client = RawClient(server.url, "/fragment/1")
        with client.socket:
            payload = "x" * 100_000
            client.socket.sendall(text(payload))
            received = client.receive_exactly(3 * (len(payload) + 1 + 6))
            assert received[:3] == b"\x01\x01x"
            assert received[2::3].startswith(payload.encode() + b" ")
            assert set(received[3:-3:3]) == {0}
            assert received[-3] == 0x80

    await raw(work, seed=1)
