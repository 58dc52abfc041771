"""`python -m echo_trio` as a user runs it: its ready line, its signals, its exit codes."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import urlopen

import psutil
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from .conftest import ServerProcess
from .starter import run

StartServer = Callable[..., ServerProcess]
#: A hang guard, nothing else.
PATIENCE_S = 120.0

REASON = b"the server is stopping"
CLOSE_1001 = bytes([0x88, 2 + len(REASON)]) + (1001).to_bytes(2, "big") + REASON


def run_server(
    *flags: str, limit: int | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a server that is not going to start.

    :param limit: on its open files.
    """
    if limit is None:
        return run("echo_trio", *flags, env={**os.environ, **environment}, timeout=PATIENCE_S)
    return subprocess.run(
        [*limited(limit), sys.executable, "-m", "echo_trio", *flags],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
        env={**os.environ, **environment},
    )


def limited(limit: int | None) -> list[str]:
    """What runs the command behind it with a limit on open files, soft and hard."""
    return ["sh", "-c", f'ulimit -n {limit}; exec "$@"', "sh"] if limit is not None else []


@contextmanager
def started(*flags: str, limit: int | None = None, **pipes: Any) -> Iterator[subprocess.Popen[str]]:
    """A server whose output goes somewhere else."""
    process = subprocess.Popen(
        [
            *limited(limit),
            *(sys.executable, "-m", "echo_trio", "--port=0", "--no-console", "--log-format=json"),
            *flags,
        ],
        text=True,
        **pipes,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def assert_echoes(url: str) -> None:
    with connect(url) as client:
        client.send("m")
        assert str(client.recv(timeout=PATIENCE_S)).startswith("m ")


def assert_one_line_of_usage_error(finished: subprocess.CompletedProcess[str]) -> None:
    assert finished.returncode == 2
    assert finished.stdout == ""
    assert len(finished.stderr.splitlines()) == 1, finished.stderr
    assert "Traceback" not in finished.stderr


def open_raw(url: str) -> socket.socket:
    parts = urlsplit(url)
    assert parts.hostname is not None
    return socket.create_connection((parts.hostname, parts.port or 80), timeout=PATIENCE_S)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_a_signal_closes_every_client_with_1001_and_exits_0(
    start_server: StartServer, number: int
) -> None:
    server = start_server()
    with ExitStack() as stack:
        clients = [stack.enter_context(connect(server.url)) for _ in range(3)]
        for client in clients:
            client.send("still there?")
            assert str(client.recv(timeout=PATIENCE_S)).startswith("still there? ")
        server.process.send_signal(number)
        for client in clients:
            with pytest.raises(ConnectionClosed) as closed:
                client.recv(timeout=PATIENCE_S)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1001
    assert server.process.wait(timeout=PATIENCE_S) == 0
    assert server.summary["outcomes"] == {"clean": 3}
    assert server.summary["close_codes"] == {"1001": 3}


def test_a_second_signal_exits_1_at_once_and_what_was_recorded_is_there(
    start_server: StartServer, tmp_path: Path
) -> None:
    file = tmp_path / "record.ndjson"
    # A client that never answers our close frame holds the drain up.
    server = start_server(
        "--drain-timeout", "1h", "--close-timeout", "1h", "--record", str(file)
    )  # fmt: skip
    with _handshake_only(server) as silent:
        server.process.send_signal(signal.SIGTERM)
        assert silent.recv(64).startswith(CLOSE_1001)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(timeout=PATIENCE_S) == 1
    assert [json.loads(line)["type"] for line in file.read_text().splitlines()] == ["opened"]


def test_a_client_that_never_answers_is_dropped_when_the_drain_timeout_is_over(
    start_server: StartServer,
) -> None:
    server = start_server("--drain-timeout", "200ms", "--close-timeout", "1h")
    with _handshake_only(server) as silent:
        assert server.stop() == 0
        assert silent.recv(64).startswith(CLOSE_1001)
    assert server.summary["outcomes"] == {"dropped": 1}


def test_a_half_open_handshake_gets_503_when_the_server_stops(start_server: StartServer) -> None:
    server = start_server()
    half = open_raw(server.url)
    half.sendall(b"GET / HTTP/1.1\r\n")
    with connect(server.url):  # By now the half handshake was accepted too: they come in order.
        pass
    server.process.send_signal(signal.SIGTERM)
    answer = b"".join(iter(lambda: half.recv(4096), b""))
    half.close()
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"\r\nRetry-After: " in answer
    assert server.process.wait(timeout=PATIENCE_S) == 0
    assert server.summary["outcomes"] == {"clean": 1, "refused": 1}


def test_a_ready_line_that_nobody_takes_does_not_keep_the_server_from_serving() -> None:
    nobody, stdout = os.pipe()
    os.close(nobody)
    with started(stdout=stdout, stderr=subprocess.PIPE) as process:
        os.close(stdout)
        assert process.stderr is not None
        log = map(json.loads, process.stderr)
        assert next(log)["event"] == "nobody takes the ready line"
        assert_echoes(next(log)["url"])
        process.terminate()
        assert [event["event"] for event in log] == ["draining", "stopped"]
        assert process.wait(timeout=PATIENCE_S) == 0


def test_a_log_that_nobody_takes_does_not_end_the_server() -> None:
    with (
        Path("/dev/full").open("w") as full,
        started(stdout=subprocess.PIPE, stderr=full) as process,
    ):
        assert process.stdout is not None
        url = process.stdout.readline().split()[1].removeprefix("ws=")
        with pytest.raises(InvalidStatus), connect(url + "nowhere"):
            pass  # That is logged.
        assert_echoes(url)
        process.terminate()
        assert process.wait(timeout=PATIENCE_S) == 0


def test_a_server_that_is_stuck_ends_at_a_second_signal() -> None:
    log, stderr = os.pipe()
    size = fcntl.fcntl(stderr, fcntl.F_SETPIPE_SZ, 4096)
    with started(stdout=subprocess.PIPE, stderr=stderr) as process, os.fdopen(log) as lines:
        assert json.loads(lines.readline())["event"] == "serving"
        os.write(stderr, b"x" * size)  # Now the next line of the log has to wait.
        for number in (signal.SIGTERM, signal.SIGINT):
            process.send_signal(number)
        assert process.wait(timeout=PATIENCE_S) == 1
        os.close(stderr)


def test_port_0_takes_a_free_port_and_prints_it(start_server: StartServer) -> None:
    first, second = start_server(), start_server()
    assert first.url != second.url
    assert first.console == "-"
    assert urlsplit(first.url).port


def test_a_port_in_use_ends_the_start_in_one_line(start_server: StartServer) -> None:
    port = urlsplit(start_server().url).port
    finished = run_server("--port", str(port), "--no-console")
    assert_one_line_of_usage_error(finished)
    assert f"127.0.0.1:{port}" in finished.stderr


def test_a_console_port_in_use_ends_the_start_in_one_line(start_server: StartServer) -> None:
    port = urlsplit(start_server(console=True).console).port
    assert_one_line_of_usage_error(run_server("--port", "0", "--console-port", str(port)))


@pytest.mark.parametrize(
    ("flags", "environment", "names"),
    [
        (["--port", "70000"], {}, "--port"),
        (["--port", "http"], {}, "--port"),
        (["--open-timeout", "10"], {}, "--open-timeout"),
        (["--max-message-size", "1MB"], {}, "--max-message-size"),
        (["--log-level", "loud"], {}, "--log-level"),
        (["--no-such-flag"], {}, "--no-such-flag"),
        (["--trust-proxy", "10.0.0.1/8"], {}, "--trust-proxy"),
        (["--drain-grace", "10s"], {}, "--drain-grace"),
        (["--proxy-protocol"], {}, "--proxy-protocol needs --trust-proxy"),
        (["stray"], {}, "stray"),
        (["--host", "no.such.host.invalid"], {}, "no.such.host.invalid"),
        (["--console-host", "0.0.0.0", "--console-port", "0", "--port", "0"], {}, "console"),
        ([], {"ECHO_TRIO_PORT": "http"}, "ECHO_TRIO_PORT"),
        (["--config", "/no/such/file.toml"], {}, "/no/such/file.toml"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_bad_setting_is_one_line_and_exit_code_2(
    flags: list[str], environment: dict[str, str], names: str
) -> None:
    finished = run_server(*flags, **environment)
    assert_one_line_of_usage_error(finished)
    assert names in finished.stderr


@pytest.mark.parametrize(
    ("limit", "flags"),
    [
        (5, ["--no-console"]),
        (12, ["--console-port=0"]),
        (63, ["--console-port=0"]),
        (63, ["--workers=2"]),
    ],
)
def test_a_file_limit_that_no_server_can_live_with_is_one_line_and_exit_code_2(
    limit: int, flags: list[str]
) -> None:
    finished = run_server("--port=0", *flags, limit=limit)
    assert_one_line_of_usage_error(finished)
    assert f"the limit on open files is {limit}," in finished.stderr
    assert "ulimit -n 64" in finished.stderr


def test_with_many_workers_more_files_are_needed() -> None:
    finished = run_server("--port=0", "--no-console", "--workers=20", limit=100)
    assert_one_line_of_usage_error(finished)
    assert "ulimit -n 192" in finished.stderr


def test_with_the_least_file_limit_it_serves() -> None:
    with started("--workers=2", limit=64, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert_echoes(process.stdout.readline().split()[1].removeprefix("ws="))
        process.terminate()
        assert process.wait(timeout=PATIENCE_S) == 0


@pytest.mark.parametrize(
    ("toml", "names"),
    [("no-such-key = 1", "no-such-key"), ("port = ", "config.toml"), ("port = 'x'", "port")],
    ids=["unknown key", "not TOML", "bad value"],
)
def test_a_bad_config_file_is_one_line_and_exit_code_2(
    tmp_path: Path, toml: str, names: str
) -> None:
    config = tmp_path / "config.toml"
    config.write_text(toml)
    finished = run_server("--config", str(config))
    assert_one_line_of_usage_error(finished)
    assert names in finished.stderr


def test_settings_come_from_the_flag_else_the_environment_else_the_file(
    tmp_path: Path, start_server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "config.toml"
    config.write_text('max-message-size = "10"\nseed = 1\nlog-level = "debug"\n')
    monkeypatch.setenv("ECHO_TRIO_MAX_MESSAGE_SIZE", "20")
    monkeypatch.setenv("ECHO_TRIO_SEED", "2")
    monkeypatch.setenv("ECHO_TRIO_PORT_8765_TCP", "tcp://10.96.0.12:8765")
    server = start_server("--config", str(config), "--max-message-size", "30")
    with connect(server.url) as client:
        client.send("x" * 30)
        from_environment = client.recv(timeout=PATIENCE_S)
    monkeypatch.delenv("ECHO_TRIO_MAX_MESSAGE_SIZE")
    with connect(start_server("--seed", "2").url) as client:
        client.send("x" * 30)
        assert client.recv(timeout=PATIENCE_S) == from_environment
    assert server.stop() == 0
    assert [e["event"] for e in server.events if e["level"] == "debug"] == ["connection ended"]
    (warning,) = [e["event"] for e in server.events if e["level"] == "warning"]
    assert warning.startswith("ECHO_TRIO_PORT_8765_TCP: set by Kubernetes")


def test_a_seed_fixes_the_suffixes_of_every_connection(start_server: StartServer) -> None:
    server = start_server("--seed", "7")
    with connect(server.url) as one, connect(server.url) as other:
        assert _replies(one) == _replies(other)


@pytest.mark.parametrize("level", ["info", "debug"])
def test_who_does_not_end_well_is_logged_with_how_and_at_debug_everybody_is(
    start_server: StartServer, level: str
) -> None:
    server = start_server("--log-level", level)
    with connect(server.url) as client:
        client.send("m")
        client.recv(timeout=PATIENCE_S)
    with pytest.raises(InvalidStatus), connect(server.url + "nowhere"):
        pass
    with _handshake_only(server) as violator:
        address, port = violator.getsockname()
        violator.sendall(b"\x81\x01m")  # not masked
        assert b"\x03\xea" in violator.recv(64)
    assert server.stop() == 0
    ends = [event for event in server.events if event["event"] == "connection ended"]
    clean = [end for end in ends if end["outcome"] == "clean"]
    assert len(clean) == (level == "debug")
    for end in clean:
        assert (end["messages_received"], end["messages_sent"], end["code"]) == (1, 1, 1000)
        assert end["closed_first"] == "peer"
    (refused,) = (end for end in ends if end["outcome"] == "refused")
    assert (refused["status"], refused["reason"]) == (404, "path")
    (violation,) = (end for end in ends if end["outcome"] == "violation")
    assert (violation["code"], violation["peer"]) == (1002, f"{address}:{port}")
    assert violation["duration_s"] >= 0
    assert {end["level"] for end in ends} == {level}


def test_nothing_that_clients_say_is_logged(start_server: StartServer) -> None:
    server = start_server("--log-level", "debug")
    with connect(server.url) as client:
        client.send("a secret")
        client.recv(timeout=PATIENCE_S)
    assert server.stop() == 0
    assert "secret" not in server.log


def _replies(client: ClientConnection) -> list[str | bytes]:
    replies = []
    for _ in range(5):
        client.send("m")
        replies.append(client.recv(timeout=PATIENCE_S))
    return replies


def _handshake_only(server: ServerProcess) -> socket.socket:
    """A client that says nothing after its handshake, not even goodbye."""
    sock = open_raw(server.url)
    sock.sendall(
        b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    assert sock.recv(4096).startswith(b"HTTP/1.1 101 ")
    return sock


def wait_until_it_sleeps(server: ServerProcess) -> None:
    """Wait until for more than a second the process is not woken once, however late that is."""
    process, until = psutil.Process(server.process.pid), time.monotonic() + PATIENCE_S
    while True:
        before = process.num_ctx_switches().voluntary
        time.sleep(1.3)
        if process.num_ctx_switches().voluntary == before:
            return
        assert time.monotonic() < until, "it is woken again and again"


@pytest.mark.skipif(sys.platform != "linux", reason="there the poller waits in Trio's place")
def test_a_server_sleeps_when_its_clients_and_readers_of_its_figures_have_gone(
    start_server: StartServer,
) -> None:
    """Its console listens, and no page is open: nothing looks at the loop, samples or collects."""
    server = start_server(console=True)
    with connect(server.url) as client:
        client.send("hello")
        assert str(client.recv()).startswith("hello ")
    wait_until_it_sleeps(server)
    with urlopen(f"{server.console}api/live", timeout=PATIENCE_S) as stream:
        while not stream.readline().startswith(b"data: "):
            pass
    wait_until_it_sleeps(server)
