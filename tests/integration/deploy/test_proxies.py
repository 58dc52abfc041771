"""Real nginx and HAProxy before the server: an independent client gets through as without them."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from echo_trio import units
from echo_trio.settings import Settings

from ..conftest import ServerProcess
from .conftest import DEPLOY, Front, Pem, program

StartServer = Callable[..., ServerProcess]
#: Where the client connects from, which is neither the proxy's address nor the server's.
CLIENT = "127.0.0.9"


def open_from_client(url: str, pem: Pem) -> ClientConnection:
    options: dict[str, Any] = {"ssl": pem.client_context()} if url.startswith("wss") else {}
    return connect(url, source_address=(CLIENT, 0), open_timeout=60, max_size=None, **options)


def end_of(client: ClientConnection) -> int:
    """The code it was closed with; 0 if it still echoes."""
    try:
        client.send("still there?")
        client.recv(timeout=60)
    except ConnectionClosed as exc:
        return exc.rcvd.code if exc.rcvd is not None else 1006
    return 0


def assert_passes_through(urls: list[str], pem: Pem, server: ServerProcess) -> set[str]:
    """All that there is of WebSocket passes, both ways; returns whom the server takes us for."""
    peers = set()
    for url in urls:
        with open_from_client(url + "info", pem) as client:
            peers.add(json.loads(client.recv(timeout=60))["peer"])
            client.send("m")
            assert re.fullmatch("m [0-9]{1,6}", str(client.recv(timeout=60)))
            assert client.ping().wait(30)
        with open_from_client(url + "plain", pem) as client:
            large = bytes(range(256)) * 4096  # 1 MiB, the longest there may be
            client.send(large)
            assert client.recv(timeout=60) == large
            client.close(4711, "enough")
    with ExitStack() as stack:
        clients = [stack.enter_context(open_from_client(url, pem)) for url in urls]
        server.process.send_signal(signal.SIGTERM)
        for client in clients:
            with pytest.raises(ConnectionClosed) as closed:
                client.recv(timeout=60)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1001
    assert server.process.wait(60) == 0
    assert server.summary["close_codes"] == dict.fromkeys(["1000", "4711", "1001"], len(urls))
    return peers


def test_ws_and_wss_through_nginx(
    start_server: StartServer, start_nginx: Callable[[str], None], pem: Pem, front: Front
) -> None:
    server = start_server("--trust-proxy", "127.0.0.1")
    start_nginx(server.url)
    assert assert_passes_through([front.plain, front.secure], pem, server) == {CLIENT}


def test_ws_and_wss_through_haproxy(
    start_server: StartServer, start_haproxy: Callable[..., None], pem: Pem, front: Front
) -> None:
    server = start_server("--trust-proxy", "127.0.0.1", console=True)
    start_haproxy(a=(server.url, server.console))
    assert assert_passes_through([front.plain, front.secure], pem, server) == {CLIENT}


@pytest.mark.parametrize("version", ["send-proxy", "send-proxy-v2"])
def test_tls_through_haproxy_to_the_server_itself(
    start_server: StartServer,
    start_haproxy: Callable[..., None],
    pem: Pem,
    front: Front,
    version: str,
) -> None:
    server = start_server(
        *("--tls-cert", str(pem.certificate), "--tls-key", str(pem.key)),
        *("--trust-proxy", "127.0.0.1", "--proxy-protocol"),
        console=True,
    )
    start_haproxy({"send-proxy-v2": version}, c=(server.url, server.console))
    (peer,) = assert_passes_through([front.through], pem, server)
    assert re.fullmatch(re.escape(CLIENT) + ":[0-9]+", peer)
    assert server.summary["outcomes"] == {"clean": 3}  # The health checks were none of these.


def test_a_proxy_that_nobody_trusts_is_the_client(
    start_server: StartServer, start_nginx: Callable[[str], None], pem: Pem, front: Front
) -> None:
    start_nginx(start_server().url)
    with open_from_client(front.plain + "info", pem) as client:
        about = json.loads(client.recv(timeout=60))
    assert about["headers"]["x-forwarded-for"] == CLIENT
    assert about["peer"].startswith("127.0.0.1:")


@pytest.mark.parametrize(
    ("file", "timeout"),
    [
        ("nginx.conf", r"proxy_read_timeout (\S+);"),
        ("nginx.conf", r"proxy_send_timeout (\S+);"),
        ("haproxy.cfg", r"timeout tunnel (\S+)"),
    ],
)
def test_the_proxies_wait_longer_than_it_takes_to_ping_and_give_up(file: str, timeout: str) -> None:
    (found,) = re.findall(timeout, (DEPLOY / file).read_text())
    settings = Settings()
    assert units.parse_duration(found) > 2 * settings.ping_interval_s + settings.ping_timeout_s


def test_haproxy_sends_nobody_to_an_instance_that_drains(
    start_server: StartServer, start_haproxy: Callable[..., None], pem: Pem, front: Front
) -> None:
    going, staying = (start_server(console=True) for _ in range(2))
    start_haproxy(a=(going.url, going.console), b=(staying.url, staying.console))
    with open_from_client(front.plain, pem) as first, open_from_client(front.plain, pem) as second:
        # One each: leastconn. Whoever is on the one that goes is told so, and comes again.
        going.process.send_signal(signal.SIGTERM)
        assert going.process.wait(60) == 0
        assert sorted(end_of(client) for client in (first, second)) == [0, 1001]
    for _ in range(4):
        with open_from_client(front.plain, pem) as client:
            client.send("m")
            client.recv(timeout=60)
    assert staying.stop() == 0
    assert staying.summary["outcomes"] == {"clean": 5}


def test_haproxy_finds_no_fault_with_its_file(pem: Pem, tmp_path) -> None:
    haproxy = program("haproxy", "haproxy")
    config = tmp_path / "haproxy.cfg"
    text = (DEPLOY / "haproxy.cfg").read_text()
    config.write_text(
        text.replace("/etc/haproxy", str(pem.folder)).replace("maxconn 50000", "maxconn 500")
    )
    checked = subprocess.run(
        [haproxy, "-c", "-f", str(config)], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr
    assert "WARNING" not in checked.stderr, checked.stderr
