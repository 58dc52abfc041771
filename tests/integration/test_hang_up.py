"""SIGHUP: certificates are read again; and where the terminal went away, the server drains."""

from __future__ import annotations

import os
import pty
import select
import signal
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from urllib.parse import urlsplit

import pytest
import trustme
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from . import threaded_tls
from .conftest import READY, ServerProcess

StartServer = Callable[..., ServerProcess]
PATIENCE_S = 120.0
WORKERS = pytest.mark.parametrize("workers", ["1", "2"])


def renew(folder: Path) -> ssl.SSLContext:
    """Put a pair of a new authority into the folder; returns who trusts that one alone."""
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    issued.cert_chain_pems[0].write_to_path(folder / "certificate.pem")
    issued.private_key_pem.write_to_path(folder / "key.pem")
    return threaded_tls.client_context(authority)


def start_wss(start_server: StartServer, folder: Path, workers: str) -> ServerProcess:
    return start_server(
        "--workers", workers,
        "--tls-cert", str(folder / "certificate.pem"), "--tls-key", str(folder / "key.pem"),
    )  # fmt: skip


def assert_echoes(url: str, context: ssl.SSLContext | None = None) -> None:
    with connect(url, ssl=context) as client:
        client.send("m")
        assert str(client.recv(timeout=PATIENCE_S)).startswith("m ")


def until_logged(server: ServerProcess, event: str, times: int = 1) -> None:
    began_s = monotonic()
    while server.log.count(f'"event": "{event}"') < times:
        assert monotonic() - began_s < PATIENCE_S, server.log
        assert server.process.poll() is None, server.log
        select.select([], [], [], 0.02)


@WORKERS
def test_a_renewed_certificate_is_served_and_who_is_connected_stays(
    start_server: StartServer, tmp_path: Path, workers: str
) -> None:
    old = renew(tmp_path)
    server = start_wss(start_server, tmp_path, workers)
    with connect(server.url, ssl=old) as before:
        new = renew(tmp_path)
        server.process.send_signal(signal.SIGHUP)
        until_logged(server, "the certificate was read again", int(workers))
        for _ in range(4):  # The kernel chooses the worker.
            assert_echoes(server.url, new)
        with pytest.raises(ssl.SSLCertVerificationError):
            connect(server.url, ssl=old)
        before.send("m")
        assert str(before.recv(timeout=PATIENCE_S)).startswith("m ")
    assert server.stop() == 0


@pytest.mark.parametrize(
    ("what", "workers"),
    [("not a pair", "1"), ("no certificate", "1"), ("gone", "1"), ("not a pair", "2")],
)
def test_a_bad_pair_is_logged_and_the_old_one_stays(
    start_server: StartServer, tmp_path: Path, workers: str, what: str
) -> None:
    context = renew(tmp_path)
    server = start_wss(start_server, tmp_path, workers)
    if what == "not a pair":
        trustme.CA().issue_cert("x").private_key_pem.write_to_path(tmp_path / "key.pem")
    elif what == "no certificate":
        (tmp_path / "certificate.pem").write_text("nothing of the kind")
    else:
        (tmp_path / "key.pem").unlink()
    server.process.send_signal(signal.SIGHUP)
    until_logged(server, "the certificate stays as it was")
    assert_echoes(server.url, context)
    renewed = renew(tmp_path)
    server.process.send_signal(signal.SIGHUP)
    until_logged(server, "the certificate was read again", int(workers))
    assert_echoes(server.url, renewed)
    assert server.stop() == 0
    assert "Traceback" not in server.log
    errors = [event for event in server.events if event["level"] == "error"]
    assert [error["event"] for error in errors] == ["the certificate stays as it was"]


@WORKERS
def test_without_tls_a_hang_up_changes_nothing(start_server: StartServer, workers: str) -> None:
    server = start_server("--workers", workers)
    with connect(server.url) as client:
        server.process.send_signal(signal.SIGHUP)
        until_logged(server, "there is no certificate to read again")
        client.send("m")
        assert str(client.recv(timeout=PATIENCE_S)).startswith("m ")
    assert server.stop() == 0


@contextmanager
def at_a_terminal(log: Path, *before: str) -> Iterator[tuple[subprocess.Popen[bytes], str, int]]:
    """A server with a terminal of its own: the process, its URL, and the terminal's other end."""
    ours, theirs = pty.openpty()
    with log.open("w") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-c", TAKE_TERMINAL, *before, sys.executable, "-m", "echo_trio",
             "--port=0", "--no-console", "--log-format=json"],
            stdin=theirs, stdout=subprocess.PIPE, stderr=stderr, start_new_session=True,
        )  # fmt: skip
    os.close(theirs)
    try:
        assert process.stdout is not None
        ready = READY.fullmatch(process.stdout.readline().decode())
        assert ready, log.read_text()
        yield process, ready[1], ours
    finally:
        process.kill()
        process.communicate()


#: As a shell that has just been started at a terminal: it is that session's.
TAKE_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execvp(sys.argv[1], sys.argv[1:])
"""


def test_where_the_terminal_went_away_the_server_drains(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with at_a_terminal(log) as (process, url, terminal), connect(url) as client:
        os.close(terminal)
        with pytest.raises(ConnectionClosed) as closed:
            client.recv(timeout=PATIENCE_S)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1001
        assert process.wait(PATIENCE_S) == 0
    assert '"signal": "SIGHUP"' in log.read_text()


def test_told_twice_that_the_terminal_went_away_it_still_drains(tmp_path: Path) -> None:
    with at_a_terminal(tmp_path / "log") as (process, url, terminal):
        with connect(url) as client:
            os.close(terminal)
            with pytest.raises(ConnectionClosed):
                client.recv(timeout=PATIENCE_S)
            process.send_signal(signal.SIGHUP)
        assert process.wait(PATIENCE_S) == 0


def test_at_a_terminal_that_is_still_there_a_hang_up_does_not_end_it(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with at_a_terminal(log) as (process, url, _):
        process.send_signal(signal.SIGHUP)
        assert_echoes(url)
        process.terminate()
        assert process.wait(PATIENCE_S) == 0
    assert "there is no certificate to read again" in log.read_text()


def test_under_nohup_it_outlives_its_terminal(tmp_path: Path) -> None:
    with at_a_terminal(tmp_path / "log", "nohup") as (process, url, terminal):
        assert urlsplit(url).port
        os.close(terminal)
        process.send_signal(signal.SIGHUP)
        assert_echoes(url)
        process.terminate()
        assert process.wait(PATIENCE_S) == 0
