"""--proxy, against proxies of our own: CONNECT read by h11, SOCKS 5 by the RFC's tables."""

from __future__ import annotations

import base64
import socket
import socketserver
import ssl
import threading
from contextlib import suppress

import h11
import pytest
import trustme
from websockets.asyncio.server import ServerConnection

QUICK = ("--messages", "2", "--closed-loop")


async def echo(connection: ServerConnection, counts):
    async for message in connection:
        await connection.send(f"{message} 1")


def relay(one: socket.socket, other: socket.socket) -> None:
    """Carry bytes both ways until both directions have ended."""

    def carry(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    back = threading.Thread(target=carry, args=(other, one))
    back.start()
    carry(one, other)
    back.join()


class HttpProxy(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        peer = h11.Connection(h11.SERVER)
        while not isinstance(request := peer.next_event(), h11.Request):
            if request is h11.NEED_DATA:
                peer.receive_data(self.request.recv(4096))
        headers = {name: value.decode() for name, value in request.headers}
        token = headers.get(b"proxy-authorization", "").removeprefix("Basic ")
        self.server.asked.append((request.target.decode(), base64.b64decode(token).decode()))
        status = 200 if self.server.credentials in (None, self.server.asked[-1][1]) else 407
        self.request.sendall(
            peer.send(h11.InformationalResponse(status_code=103, headers=[]))
            + peer.send(h11.Response(status_code=status, headers=[]))
        )
        if status == 200:
            host, _, port = request.target.decode().rpartition(":")
            with socket.create_connection((host.strip("[]"), int(port))) as target:
                relay(self.request, target)


class SocksProxy(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        receive = self.request.makefile("rb").read
        _, count = receive(2)
        methods = receive(count)
        said = ""
        if self.server.credentials is None:
            self.request.sendall(b"\5\0")
        elif 2 not in methods:
            self.request.sendall(b"\5\xff")
            return
        else:
            self.request.sendall(b"\5\2")
            user, password = (receive(receive(at)[at - 1]).decode() for at in (2, 1))
            said = f"{user}:{password}"
            self.request.sendall(b"\1\0" if said == self.server.credentials else b"\1\1")
            if said != self.server.credentials:
                return
        kind = receive(4)[3]
        name = receive(receive(1)[0]).decode() if kind == 3 else socket.inet_ntoa(receive(4))
        port = int.from_bytes(receive(2), "big")
        self.server.asked.append((f"{name}:{port}", said))
        try:
            target = socket.create_connection((name, port))
        except ConnectionRefusedError:
            self.request.sendall(b"\5\5\0\1" + bytes(6))
            return
        self.request.sendall(b"\5\0\0\3\4here\0\1")
        with target:
            relay(self.request, target)


@pytest.fixture
def proxy():
    """Starts a proxy; returns what `--proxy` takes, and what it is asked for."""
    started = []

    def start(handler, credentials=None):
        server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler)
        server.daemon_threads = True
        server.asked, server.credentials = [], credentials
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        started.append(server)
        scheme = "http" if handler is HttpProxy else "socks5"
        user = f"{credentials}@" if credentials else ""
        return f"{scheme}://{user}127.0.0.1:{server.server_address[1]}", server.asked

    yield start
    for server in started:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("handler", [HttpProxy, SocksProxy])
@pytest.mark.parametrize("credentials", [None, "me:s3cret"])
def test_sockets_go_through_the_proxy_which_resolves_the_name(
    serve_websockets, loadgen, proxy, handler, credentials
):
    server = serve_websockets(echo)
    url, asked = proxy(handler, credentials)
    target = server.url.replace("127.0.0.1", "localhost")
    run = loadgen("4", target, *QUICK, "--proxy", url)
    assert (run.target_did_right, run.closed) == (True, {"clean": 4})
    assert asked == [(target.removeprefix("ws://").rstrip("/"), credentials or "")] * 4
    assert run.report["plan"]["proxy"] == url.replace("me:s3cret", "***")
    assert "s3cret" not in run.stdout + run.stderr
    assert "through" in run.stdout
    assert run.connections["addresses"] == {}


def test_tls_goes_through_it_to_the_target(serve_websockets, loadgen_here, proxy, tmp_path):
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    server = serve_websockets(echo, ssl=context)
    url = server.url.replace("ws:", "wss:")
    run = loadgen_here("2", url, *QUICK, "--proxy", proxy(HttpProxy)[0],
                       "--cacert", str(tmp_path / "ca.pem"))  # fmt: skip
    assert run.closed == {"clean": 2}


@pytest.mark.parametrize("handler", [HttpProxy, SocksProxy])
def test_a_proxys_refusal_is_told_as_its_own(loadgen_here, proxy, handler, nobody):
    wrong = proxy(handler, "me:s3cret")[0].replace("s3cret", "guess")
    run = loadgen_here("2", f"ws://127.0.0.1:{nobody}/", "--proxy", wrong)
    assert run.connections["failed"]["rejected"] == 2
    assert run.connections["failed_status"] == {}
    assert "proxy: " in run.report["verdict_reasons"][0]
    assert "user and a password" in run.report["hints"][0]


def test_what_the_socks_proxy_says_of_the_target_is_told(loadgen_here, proxy, nobody):
    run = loadgen_here("1", f"ws://127.0.0.1:{nobody}/", "--proxy", proxy(SocksProxy)[0])
    assert "proxy: connection refused" in run.report["verdict_reasons"][0]


class Banner(socketserver.BaseRequestHandler):
    """Speaks first, and something else."""

    def handle(self) -> None:
        self.request.sendall(b"220 ready\r\n\r\n")
        self.request.recv(4096)


@pytest.mark.parametrize("scheme", ["http", "socks5"])
def test_a_proxy_that_is_not_there_is_refused_and_what_is_none_breaks_the_protocol(
    loadgen_here, proxy, nobody, scheme
):
    gone = loadgen_here("1", "ws://h/", "--proxy", f"{scheme}://127.0.0.1:{nobody}")
    assert gone.connections["failed"]["refused"] == 1
    assert "--proxy" in gone.report["hints"][0]
    other = proxy(Banner)[0].replace("socks5", scheme)
    none = loadgen_here("1", "ws://h/", "--proxy", other)
    assert none.connections["failed"]["protocol"] == 1
    assert "proxy" in none.report["verdict_reasons"][0]
