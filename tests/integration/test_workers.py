"""`python -m echo_trio --workers 2`: one port, whoever dies; one ready line; one sum."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psutil
import pytest
import trustme
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

from . import threaded_tls
from .conftest import ServerProcess

CROWD = 300
#: A hang guard, nothing else.
PATIENCE_S = 120.0
HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
MASKED_M = bytes([0x81, 0x81, 1, 2, 3, 4, ord("m") ^ 1])
EMPTY_MASKED_CLOSE = bytes([0x88, 0x80, 1, 2, 3, 4])

StartServer = Callable[..., ServerProcess]
OpenSocket = Callable[[str], socket.socket]


#: Clients as bytes take the next frame for an echo, and a test may stand still for twenty seconds.
NO_PINGS = ("--ping-interval", "1h")


@pytest.fixture
def server(start_server: StartServer) -> ServerProcess:
    return start_server("--workers", "2", *NO_PINGS, console=True)


@pytest.fixture
def open_socket() -> Iterator[Callable[[str], socket.socket]]:
    """Open a WebSocket, as bytes."""
    with ExitStack() as stack:

        def open_one(url: str) -> socket.socket:
            parts = urlsplit(url)
            client = socket.create_connection((parts.hostname, parts.port), timeout=PATIENCE_S)
            stack.enter_context(client)
            client.sendall(HANDSHAKE)
            # Nothing follows the head before we say something.
            assert client.recv(4096).startswith(b"HTTP/1.1 101 ")
            return client

        yield open_one


@pytest.fixture
def crowd(server: ServerProcess, open_socket: OpenSocket) -> list[socket.socket]:
    """Open WebSockets, each of which has had an echo."""
    clients = [open_socket(server.url) for _ in range(CROWD)]
    assert [echoes(client) for client in clients] == [True] * CROWD
    return clients


def echoes(client: socket.socket) -> bool:
    try:
        client.sendall(MASKED_M)
        reply = client.recv(4096)
    except (ConnectionResetError, BrokenPipeError):
        return False
    return reply[:1] == b"\x81" and reply[2:4] == b"m "


def workers_of(server: ServerProcess) -> list[psutil.Process]:
    (fork_server,) = psutil.Process(server.process.pid).children()
    return fork_server.children()


def counts(server: ServerProcess) -> dict[str, Any]:
    snapshot = httpx.get(server.console + "api/server", timeout=PATIENCE_S).json()
    ended = sum(snapshot["outcomes"].values())
    assert snapshot["accepted"] == snapshot["handshaking"] + snapshot["open"] + ended
    return snapshot


def counts_when(server: ServerProcess, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    deadline = time.monotonic() + PATIENCE_S
    while not holds(now := counts(server)):
        assert time.monotonic() < deadline, now
        time.sleep(0.05)
    return now


def wait_until_gone(process: psutil.Process) -> None:
    psutil.wait_procs([process], timeout=PATIENCE_S)
    # A zombie is gone as well: in a container it may have nobody to reap it.
    assert not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def test_workers_share_the_port_and_their_counts_are_one_sum(
    server: ServerProcess, crowd: list[socket.socket]
) -> None:
    now = counts_when(server, lambda now: now["messages_sent"] == CROWD)
    assert (now["workers"], now["accepted"], now["open"]) == (2, CROWD, CROWD)
    assert now["messages_received"] == CROWD
    assert now["peak_open"] == CROWD
    assert now["histograms"]["handshake_s"]["sum_s"] > 0
    held = [worker.num_fds() for worker in workers_of(server)]
    assert len(held) == 2
    assert min(held) > CROWD // 10
    for client in crowd:
        client.sendall(EMPTY_MASKED_CLOSE)
    now = counts_when(server, lambda now: not now["open"])
    assert now["outcomes"] == {"clean": CROWD}
    assert now["close_codes"] == {"1005": CROWD}
    assert server.stop() == 0
    assert server.summary["outcomes"] == {"clean": CROWD}


def test_who_asks_for_the_figures_of_workers_gets_those_of_this_moment(
    server: ServerProcess, crowd: list[socket.socket]
) -> None:
    for echoed in range(CROWD, CROWD + 20):
        page = httpx.get(server.console + "metrics", timeout=PATIENCE_S).text
        assert f'\necho_trio_messages_total{{direction="sent"}} {echoed}.0\n' in page
        assert echoes(crowd[echoed - CROWD])
        now = counts(server)
        assert (now["messages_received"], now["messages_sent"]) == (echoed + 1, echoed + 1)


def test_a_killed_worker_takes_no_others_along_and_another_takes_its_place(
    server: ServerProcess, crowd: list[socket.socket], open_socket: OpenSocket
) -> None:
    counts_when(server, lambda now: now["messages_sent"] == CROWD)
    killed, other = workers_of(server)
    killed.send_signal(signal.SIGKILL)
    wait_until_gone(killed)
    alive = [client for client in crowd if echoes(client)]
    lost = CROWD - len(alive)
    assert 0 < lost < CROWD
    # Some of these wait for the worker that is not there yet.
    new = [open_socket(server.url) for _ in range(20)]
    assert all(echoes(client) for client in [*new, *alive])
    now = counts_when(
        server, lambda now: now["workers"] == 2 and now["open"] == len(alive) + len(new)
    )
    assert now["outcomes"] == {"lost_with_worker": lost}
    assert now["close_codes"] == {"1006": lost}
    assert now["accepted"] == CROWD + len(new)
    now = counts_when(server, lambda now: now["messages_sent"] == CROWD + 2 * len(alive) + len(new))
    assert other in workers_of(server)
    assert killed not in workers_of(server)
    (event,) = [event for event in server.events if event["level"] == "warning"]
    assert (event["how"], event["lost"]) == ("killed by SIGKILL", lost)


def test_a_signal_turns_readiness_off_and_closes_every_client_with_1001(
    start_server: StartServer, open_socket: OpenSocket
) -> None:
    server = start_server("--workers", "2", *NO_PINGS, "--drain-timeout", "1h", console=True)
    clients = [open_socket(server.url) for _ in range(CROWD)]
    assert httpx.get(server.console + "readyz", timeout=PATIENCE_S).status_code == 200
    server.process.send_signal(signal.SIGTERM)
    for client in clients:
        assert client.recv(4096)[:4] == bytes([0x88, 24]) + (1001).to_bytes(2, "big")
    # Nobody has answered yet, so the server is still there to be asked.
    assert httpx.get(server.console + "readyz", timeout=PATIENCE_S).status_code == 503
    for client in clients:
        client.sendall(EMPTY_MASKED_CLOSE)
        assert client.recv(4096) == b""
    assert server.process.wait(PATIENCE_S) == 0
    assert server.summary["outcomes"] == {"clean": CROWD}
    assert server.summary["close_codes"] == {"1001": CROWD}


def test_a_second_signal_exits_1_at_once_and_leaves_no_worker(
    start_server: StartServer, open_socket: OpenSocket
) -> None:
    server = start_server(
        "--workers", "2", *NO_PINGS, "--drain-timeout", "1h", "--close-timeout", "1h"
    )
    workers = workers_of(server)
    silent = open_socket(server.url)
    server.process.send_signal(signal.SIGTERM)
    assert silent.recv(64)[:1] == b"\x88"
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(PATIENCE_S) == 1
    for worker in workers:
        wait_until_gone(worker)


def test_a_terminals_ctrl_c_is_the_supervisors_alone(
    start_server: StartServer, open_socket: OpenSocket
) -> None:
    server = start_server("--workers", "2", *NO_PINGS, "--close-timeout", "100ms")
    client, workers = open_socket(server.url), workers_of(server)
    for worker in workers:
        worker.send_signal(signal.SIGINT)
        worker.send_signal(signal.SIGTERM)
    assert echoes(client)
    assert {os.getpgid(worker.pid) for worker in workers}.isdisjoint([os.getpgid(0)])
    assert server.stop() == 0
    assert [event for event in server.events if event["level"] == "warning"] == []


def test_workers_do_not_outlive_their_supervisor(start_server: StartServer) -> None:
    server = start_server("--workers", "2")
    workers = workers_of(server)
    assert server.stop(signal.SIGKILL) == -signal.SIGKILL
    for worker in workers:
        wait_until_gone(worker)


@pytest.mark.parametrize("first", ["1", "2"])
def test_a_port_that_an_instance_has_is_in_use_for_one_with_workers(
    start_server: StartServer, first: str
) -> None:
    port = urlsplit(start_server("--workers", first).url).port
    finished = run_server("--port", str(port), "--workers", "2")
    assert_one_line_of_usage_error(finished)
    assert f"127.0.0.1:{port}: Address already in use" in finished.stderr


def test_the_console_shows_the_tasks_of_every_worker(
    server: ServerProcess, open_socket: OpenSocket
) -> None:
    assert echoes(open_socket(server.url))
    tree = httpx.get(server.console + "api/tasks", timeout=PATIENCE_S).text
    assert [child["name"] for child in json.loads(tree)["children"][-2:]] == [
        "worker 1",
        "worker 2",
    ]
    assert tree.count("echo_trio.session.serve_session") == 1


def test_every_worker_serves_tls_and_its_share_of_the_connections(
    start_server: StartServer, tmp_path: Path
) -> None:
    authority, certificate = trustme.CA(), tmp_path / "certificate.pem"
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(certificate))
    context = threaded_tls.client_context(authority)
    server = start_server(
        "--workers", "2", "--tls-cert", str(certificate), "--max-connections", "2"
    )
    assert server.url.startswith("wss://")
    with ExitStack() as stack:
        clients: list[ClientConnection] = []
        # The kernel chooses the worker, so the first two may come to the same one, and one wait.
        while len(clients) < 2:
            with suppress(InvalidStatus):
                clients.append(stack.enter_context(connect(server.url, ssl=context)))
        for client in clients:
            client.send("m")
            assert str(client.recv(timeout=PATIENCE_S)).startswith("m ")
        for _ in range(5):
            with pytest.raises(InvalidStatus) as refused:
                connect(server.url, ssl=context)
            assert refused.value.response.status_code == 503


def test_a_worker_whose_certificate_is_gone_says_so_in_one_line(
    start_server: StartServer, tmp_path: Path
) -> None:
    certificate = tmp_path / "certificate.pem"
    trustme.CA().issue_cert("x").private_key_and_cert_chain_pem.write_to_path(str(certificate))
    server = start_server("--workers", "2", "--tls-cert", str(certificate))
    certificate.unlink()
    workers_of(server)[0].kill()
    deadline = time.monotonic() + PATIENCE_S
    while "can't serve" not in server.log:
        assert time.monotonic() < deadline, server.log
        time.sleep(0.05)
    assert server.stop() == 0
    event = next(event for event in server.events if event["event"] == "can't serve")
    assert event["reason"] == f"can't read {certificate}: No such file or directory"


def test_systemd_is_told_of_readiness_and_of_the_stop(
    start_server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"\0echo-trio-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(name)
        systemd.settimeout(PATIENCE_S)
        monkeypatch.setenv("NOTIFY_SOCKET", "@" + name[1:])
        server = start_server("--workers", "2")
        assert systemd.recv(64) == b"READY=1"
        assert server.stop() == 0
        assert systemd.recv(64) == b"STOPPING=1"


def test_a_bad_number_of_workers_is_one_line_and_exit_code_2() -> None:
    finished = run_server("--workers", "0")
    assert_one_line_of_usage_error(finished)
    assert "--workers" in finished.stderr


def test_a_worker_that_no_supervisor_started_says_in_one_line_how_it_is_done() -> None:
    finished = subprocess.run(
        [sys.executable, "-m", "echo_trio.workers.worker", "99"],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert_one_line_of_usage_error(finished)
    assert "--workers" in finished.stderr


def run_server(*flags: str) -> subprocess.CompletedProcess[str]:
    """Run a server that is not going to start."""
    return subprocess.run(
        [sys.executable, "-m", "echo_trio", "--no-console", *flags],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def assert_one_line_of_usage_error(finished: subprocess.CompletedProcess[str]) -> None:
    assert (finished.returncode, finished.stdout) == (2, "")
    assert len(finished.stderr.splitlines()) == 1, finished.stderr
