"""wss on both ends: an independent peer, and everything that can go wrong before TLS is there."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import struct
import subprocess
import sys
from contextlib import suppress

import pytest
import trio
import trio.testing
from websockets.trio.client import connect
from websockets.trio.server import serve as serve_websockets

from echo_trio.metrics.counters import Outcome
from echo_trio.wire import client_handshake, handshake, sockets, tls
from echo_trio.wire.connection import Limits
from echo_trio.wire.handshake import Reason
from echo_trio.wire.poller import Poller
from echo_trio.wire.upstream import UpstreamConnection as Connection

from .conftest import BINARY, CLOSE, PATIENCE_S, TEXT, close_frame, frame, request

SIZES = [0, 1, 125, 126, 16_383, 16_384, 65_535, 65_536, 2**20, 2**22]


def message(size: int, *, binary: bool) -> str | bytes:
    data = os.urandom(size // 2 + 1).hex()[:size]
    return data.encode() if binary else data


@pytest.fixture
async def large(serve, pem):
    """A server of wss that takes messages of 4 MiB."""
    return await serve(
        tls=pem.client_context(),
        tls_cert=pem.certificate,
        tls_key=pem.key,
        max_message_bytes=2**22,
    )


def connect_to(wire):
    url = wire.server.url.replace("127.0.0.1", "localhost")
    return connect(url + "plain", ssl=wire.tls, max_size=None, ping_interval=None)


# -- Our server, an independent client --------------------------------------------------------


@pytest.mark.parametrize("binary", [False, True], ids=["text", "binary"])
async def test_websockets_gets_its_messages_back_over_tls(large, binary):
    assert large.server.url.startswith("wss://")
    async with connect_to(large) as client:
        for size in SIZES:
            sent = message(size, binary=binary)
            await client.send(sent)
            assert await client.recv() == sent
    await large.holds_invariants(Outcome.CLEAN)


async def test_many_small_messages_in_one_go_come_back_in_order(large):
    peer = await large.connect()
    count = 5000
    await peer.send(
        request("GET /plain HTTP/1.1") + b"".join(frame(TEXT, b"%d" % n) for n in range(count))
    )
    assert (await peer.response()).status == 101
    for number in range(count):
        assert await peer.frame() == (TEXT, b"%d" % number)
    await peer.send(close_frame(1000))
    assert (await peer.frame()).code == 1000
    assert await peer.read_to_end() == b""
    await large.holds_invariants(Outcome.CLEAN)


async def test_a_slow_reader_gets_everything(large, nursery):
    peer = await large.connect()
    await peer.send(request("GET /plain HTTP/1.1"))
    assert (await peer.response()).status == 101
    sent = [bytes((number,)) * 2**20 for number in range(20)]
    nursery.start_soon(peer.send, b"".join(frame(BINARY, one) for one in sent))
    for one in sent:
        await trio.sleep(0.02)
        assert await peer.frame() == (BINARY, one)
    await peer.send(close_frame(1000))
    assert (await peer.frame()).code == 1000
    await large.holds_invariants(Outcome.CLEAN)


async def test_a_client_that_never_reads_is_aborted_over_tls_too(
    serve, pem, nursery, autojump_clock
):
    wire = await serve(
        tls=pem.client_context(), tls_cert=pem.certificate, tls_key=pem.key, write_timeout_s=7
    )
    peer = await wire.open()

    async def flood() -> None:
        with pytest.raises(trio.BrokenResourceError):
            await peer.send(frame(TEXT, b"x" * 500_000) * 100)

    nursery.start_soon(flood)
    await wire.holds_invariants(Outcome.WRITE_TIMEOUT)


async def test_a_violation_over_tls_is_answered_on_the_wire(secure):
    peer = await secure.open()
    await peer.send(frame(3))
    assert (await peer.frame()).code == 1002
    assert await peer.read_to_end() == b""
    await peer.end()
    await secure.holds_invariants(Outcome.VIOLATION)


@pytest.mark.parametrize(
    ("line", "status", "reason"),
    [
        ("GET /nothing HTTP/1.1", 404, Reason.PATH),
        ("POST / HTTP/1.1", 405, Reason.METHOD),
    ],
)
async def test_a_handshake_is_refused_over_tls_as_without(secure, line, status, reason):
    peer = await secure.connect()
    await peer.send(request(line))
    assert (await peer.response()).status == status
    await peer.read_to_end()
    await peer.end()
    await secure.holds_invariants(Outcome.REFUSED, reason)


async def test_above_capacity_a_client_is_told_over_tls(serve, pem):
    wire = await serve(
        tls=pem.client_context(), tls_cert=pem.certificate, tls_key=pem.key, max_connections=1
    )
    inside = await wire.open()
    late = await wire.connect()
    await late.send(request())
    assert (await late.response()).status == 503
    await late.end()
    await inside.send(close_frame(1000))
    assert (await inside.frame()).opcode == CLOSE
    await wire.holds_invariants({Outcome.CLEAN: 1, Outcome.REFUSED: 1}, Reason.CAPACITY)


# -- What goes wrong before there is TLS ------------------------------------------------------


async def plain(wire) -> trio.SocketStream:
    return await trio.open_tcp_stream(wire.host, wire.port)


def client_hello() -> bytes:
    """The first flight of a TLS client."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname="localhost")
    with suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


@pytest.mark.parametrize(
    "said",
    [request(), b"\0" * 100, client_hello()[:50] + b"\xff" * 4000],
    ids=["plain HTTP", "zeros", "a damaged hello"],
)
async def test_bytes_that_are_not_tls_end_that_connection_alone(secure, said):
    async with await plain(secure) as stream:
        await stream.send_all(said)
        with suppress(trio.BrokenResourceError):
            while await stream.receive_some():
                pass
    await secure.holds_invariants(Outcome.TLS_FAILED)


@pytest.mark.parametrize(
    "said",
    [b"", client_hello()[:20], client_hello()],
    ids=["nothing", "half a hello", "a hello"],
)
@pytest.mark.parametrize("how", ["end", "reset"])
async def test_an_aborted_tls_handshake_ends_that_connection_alone(secure, said, how):
    async with await plain(secure) as stream:
        if said:
            await stream.send_all(said)
            await trio.testing.wait_all_tasks_blocked()
        if how == "reset":
            stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    await secure.holds_invariants(Outcome.TLS_FAILED)


@pytest.mark.parametrize(
    "said",
    [b"", client_hello()[:20], client_hello()],
    ids=["nothing", "half a hello", "a hello"],
)
async def test_a_stalled_tls_handshake_is_cut_at_the_open_timeout(serve, pem, said, autojump_clock):
    wire = await serve(
        tls=pem.client_context(), tls_cert=pem.certificate, tls_key=pem.key, open_timeout_s=7
    )
    began_s = trio.current_time()
    async with await plain(wire) as stream:
        if said:
            await stream.send_all(said)
        with suppress(trio.BrokenResourceError):
            while await stream.receive_some():
                pass
    assert trio.current_time() - began_s == pytest.approx(7, abs=1)
    await wire.holds_invariants(Outcome.TLS_FAILED)


async def test_the_open_timeout_bounds_tls_and_the_handshake_together(serve, pem, autojump_clock):
    wire = await serve(
        tls=pem.client_context(), tls_cert=pem.certificate, tls_key=pem.key, open_timeout_s=7
    )
    began_s = trio.current_time()
    stream = await plain(wire)
    await trio.sleep(5)
    secured = trio.SSLStream(stream, wire.tls, server_hostname="localhost")
    async with secured:
        await secured.do_handshake()
        assert (await secured.receive_some()).startswith(b"HTTP/1.1 408 ")
        assert trio.current_time() - began_s == pytest.approx(7, abs=1)
    await wire.holds_invariants(Outcome.REFUSED, Reason.TIMEOUT)


async def test_a_client_that_does_not_trust_us_ends_its_connection_alone(secure):
    stream = trio.SSLStream(
        await plain(secure), ssl.create_default_context(), server_hostname="localhost"
    )
    with pytest.raises(trio.BrokenResourceError):
        await stream.do_handshake()
    await trio.aclose_forcefully(stream)
    await secure.holds_invariants(Outcome.TLS_FAILED)


async def test_draining_cuts_a_tls_handshake_under_way(secure):
    async with await plain(secure) as stream:
        await secure.until(lambda: secure.counts.handshaking == 1)
        secure.server.drain()
        with suppress(trio.BrokenResourceError):
            assert await stream.receive_some() == b""
    await secure.until_ended()
    assert secure.counts.outcomes[Outcome.TLS_FAILED] == 1


# -- Our client, an independent server --------------------------------------------------------


@pytest.mark.parametrize("with_poller", [True, False], ids=["poller", "no-poller"])
async def test_our_client_gets_its_messages_back_from_websockets_over_tls(
    pem, nursery, with_poller
):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem.certificate, pem.key)

    async def echo(websocket) -> None:
        async for received in websocket:
            await websocket.send(received)

    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as serving:
            server = await serving.start(
                lambda task_status: serve_websockets(
                    echo, 0, host="127.0.0.1", ssl=context, max_size=None, task_status=task_status
                )
            )
            port = server.listeners[0].socket.getsockname()[1]
            poller = Poller() if with_poller else None
            if poller is not None:
                serving.start_soon(poller.run)
            sock = await tls.shake_hands(
                await sockets.connect((socket.AF_INET, ("127.0.0.1", port))),
                tls.client_context(pem.ca),
                server_name="localhost",
            )
            key = client_handshake.make_key()
            sock.send(client_handshake.request_bytes("/", "localhost", key))
            head, surplus = await handshake.receive_head(
                lambda: sockets.receive_some(sock, handshake.MAX_HEAD_BYTES)
            )
            client_handshake.parse_response(head, key)
            connection = Connection.opened(
                sock,
                client=True,
                limits=Limits(max_message_bytes=2**23),
                poller=poller,
                surplus=surplus,
            )
            assert connection.remote.is_ssl
            sending, receiving = trio.open_memory_channel[str | bytes](10_000)
            serving.start_soon(connection.run, sending.send_nowait)
            for size in SIZES:
                for binary in (False, True):
                    sent = message(size, binary=binary)
                    await connection.send_message(sent)
                    assert await receiving.receive() == sent
            for number in range(1000):
                connection.send_nowait(str(number))
            await connection.flush()
            for number in range(1000):
                assert await receiving.receive() == str(number)
            connection.close_nowait(1000)
            while connection.close_received is None:
                await trio.sleep(0.005)
            assert connection.clean
            serving.cancel_scope.cancel()


# -- As a process -----------------------------------------------------------------------------


def run_server(*flags: str) -> subprocess.CompletedProcess[str]:
    """Run a server that is not going to start."""
    return subprocess.run(
        [sys.executable, "-m", "echo_trio", "--port", "0", "--no-console", *flags],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("certificate", "key", "says"),
    [
        ("missing", "key", "No such file"),
        ("certificate", "other_key", "not the one of"),
        (None, "key", "--tls-key needs --tls-cert"),
    ],
)
def test_an_unusable_certificate_is_one_line_and_exit_code_2(pem, certificate, key, says):
    flags = []
    for flag, name in (("--tls-cert", certificate), ("--tls-key", key)):
        if name is not None:
            flags += [flag, str(getattr(pem, name, pem.ca.parent / name))]
    finished = run_server(*flags)
    assert (finished.returncode, finished.stdout) == (2, "")
    assert len(finished.stderr.splitlines()) == 1, finished.stderr
    assert says in finished.stderr


def test_the_ready_line_says_wss_and_a_signal_says_goodbye_over_tls(pem):
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "echo_trio", "--port", "0", "--no-console"),
            *("--tls-cert", str(pem.certificate), "--tls-key", str(pem.key)),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        line = process.stdout.readline()
        assert line.startswith("ready ws=wss://127.0.0.1:")
        url = line.split()[1].removeprefix("ws=")

        async def client() -> None:
            async with connect(url, ssl=pem.client_context()) as websocket:
                await websocket.send("over TLS")
                assert str(await websocket.recv()).startswith("over TLS ")
                process.send_signal(signal.SIGTERM)
                await websocket.wait_closed()
                assert websocket.close_code == 1001

        trio.run(client)
        assert process.wait(timeout=60) == 0
    finally:
        process.kill()
        process.communicate()
