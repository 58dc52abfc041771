"""A server inside somebody else's program: in a task, and in a thread of its own."""

from __future__ import annotations

import gc
import logging
import re
import socket
import threading
from pathlib import Path
from urllib.request import urlopen

import psutil
import pytest
import trio
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect
from websockets.trio.client import connect as connect_trio

from echo_trio import Settings, serving, serving_in_thread
from echo_trio.metrics.counters import Outcome
from echo_trio.testing.running_server import RunningServer
from echo_trio.testing.seen import KEPT_SIZE, Seen
from echo_trio.testing.summary import summarize

from ..conftest import handshake

#: A hang guard, nothing else.
PATIENCE_S = 60.0


def is_refused(url: str) -> bool:
    host, _, port = url.removeprefix("ws://").rstrip("/").partition(":")
    try:
        socket.create_connection((host, int(port))).close()
    except ConnectionRefusedError:
        return True
    return False


async def test_a_trio_program_is_served_in_its_own_loop_as_long_as_the_body_runs():
    with trio.fail_after(PATIENCE_S):
        async with serving(Settings(port=0, seed=1)) as server:
            async with connect_trio(server.path("/duplicate/1")) as client:
                await client.send("hello")
                assert [await client.recv(), await client.recv()] == ["hello 566561"] * 2
            await trio.to_thread.run_sync(server.wait_closed, 1, PATIENCE_S)
            (connection,) = server.connections
            assert (connection.path, connection.outcome) == ("/duplicate/1", "clean")
            assert (connection.close_code, connection.clean) == (1000, True)
            assert (connection.messages_in, connection.messages_out) == (1, 2)
            assert [(m.direction, m.data) for m in connection.last_messages] == [
                ("in", "hello"),
                ("out", "hello 566561"),
                ("out", "hello 566561"),
            ]
            server.assert_all_clean()
        assert is_refused(server.url)


async def test_the_end_of_the_body_says_goodbye_to_a_client_that_is_left():
    async with trio.open_nursery() as nursery:
        closed: list[int | None] = []

        async def stay(url: str, *, task_status: trio.TaskStatus[None]) -> None:
            async with connect_trio(url) as client:
                task_status.started()
                with pytest.raises(ConnectionClosed):
                    await client.recv()
                closed.append(client.close_code)

        async with serving() as server:
            await nursery.start(stay, server.url)
    assert closed == [1001]
    assert server.connections[0].close_code == 1001


class OddError(Exception):
    pass


async def test_what_the_body_raises_comes_out_as_it_is_and_everybody_is_dropped():
    async def fail() -> None:
        async with serving() as server:
            urls.append(server.url)
            stream = await trio.open_tcp_stream("127.0.0.1", int(server.url[:-1].split(":")[2]))
            async with stream:
                raise OddError

    urls: list[str] = []
    with pytest.raises(OddError):
        await fail()
    assert is_refused(urls[0])


async def test_a_cancelled_body_ends_the_server_with_it():
    with trio.CancelScope() as scope:
        async with serving() as server:
            scope.cancel()
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert is_refused(server.url)


async def test_waiting_in_the_servers_own_thread_is_refused_where_it_would_never_end():
    async with serving() as server:
        server.wait_closed(0)
        with pytest.raises(RuntimeError, match=r"trio\.to_thread\.run_sync"):
            server.wait_closed(1)


def test_a_thread_serves_programs_without_trio_and_leaves_nothing():
    with serving_in_thread():
        pass
    gc.collect()
    threads, descriptors = threading.active_count(), psutil.Process().num_fds()
    with serving_in_thread() as server:
        with connect(server.path("/close/4001/why?x=1"), proxy=None) as client:
            client.send(b"\x01")
            with pytest.raises(ConnectionClosed):
                client.recv()
        with pytest.raises(InvalidStatus), connect(server.path("status/503"), proxy=None):
            pass
        server.wait_closed(2, PATIENCE_S)
        closed, refused = server.connections
        assert (closed.path, closed.close_code, closed.clean) == ("/close/4001/why", 4001, True)
        assert (refused.path, refused.outcome, refused.status) == ("/status/503", "refused", 503)
        assert (refused.close_code, refused.clean) == (None, False)
        with pytest.raises(AssertionError, match=r"1 of 2 .*\n  /status/503: refused, HTTP 503,"):
            server.assert_all_clean()
    assert is_refused(server.url)
    gc.collect()
    assert (threading.active_count(), psutil.Process().num_fds()) == (threads, descriptors)


def test_a_client_that_is_left_open_and_answers_nothing_is_dropped_at_the_end():
    with serving_in_thread() as server:
        silent = socket.create_connection(("127.0.0.1", int(server.url[:-1].split(":")[2])))
        silent.sendall(handshake())
        assert silent.recv(12) == b"HTTP/1.1 101"
    with silent:
        (connection,) = server.connections
        assert connection.outcome in {"dropped", "close_timeout"}


def test_too_few_closed_connections_are_told_with_their_number():
    with serving_in_thread() as server:
        with connect(server.url, proxy=None):
            pass
        server.wait_closed(1, PATIENCE_S)
        with (
            connect(server.url, proxy=None),
            pytest.raises(TimeoutError, match=r"^1 of 2 .* within 0\.01 s; 1 open$"),
        ):
            server.wait_closed(2, timeout=0.01)


def test_a_port_in_use_is_told_to_the_thread_that_asked():
    with serving_in_thread() as server:
        port = int(server.url[:-1].split(":")[2])
        with pytest.raises(OSError, match="in use"), serving_in_thread(Settings(port=port)):
            pass


def test_several_workers_are_refused_for_they_are_processes():
    with pytest.raises(ValueError, match="one worker"), serving_in_thread(Settings(workers=2)):
        pass


def test_what_the_body_raises_in_a_thread_comes_out_too():
    with pytest.raises(OddError), serving_in_thread() as server:
        raise OddError
    assert is_refused(server.url)


def test_what_the_body_raises_drops_clients_at_once_without_a_close_frame():
    def fail(clients: list[socket.socket]) -> None:
        with serving_in_thread() as server:
            address = "127.0.0.1", int(server.url[:-1].split(":")[2])
            clients.append(socket.create_connection(address, PATIENCE_S))
            clients[0].sendall(handshake())
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += clients[0].recv(4096)
            raise OddError

    clients: list[socket.socket] = []
    with pytest.raises(OddError):
        fail(clients)
    with clients[0]:
        assert clients[0].recv(4096) == b""


def test_the_console_is_served_if_asked_for():
    settings = Settings(port=0, console_port=0)
    with serving_in_thread(settings) as server:
        assert server.console_url is None
    with serving_in_thread(settings, console=True) as server:
        assert server.console_url is not None
        with urlopen(server.console_url + "healthz") as answer:
            assert answer.status == 200


def test_the_log_goes_to_pythons_own_and_forges_no_line(caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO, "echo_trio")
    with serving_in_thread() as server:
        with connect(server.path("/drop/0"), proxy=None) as client, pytest.raises(ConnectionClosed):
            client.recv()
        server.wait_closed(1, PATIENCE_S)
    (line,) = [record.getMessage() for record in caplog.records if record.name == "echo_trio"]
    assert line.startswith("connection ended outcome='abnormal' peer='127.0.0.1:")


def test_of_a_message_and_of_the_connections_that_ended_a_bounded_part_is_kept(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr("echo_trio.testing.seen.KEPT_CONNECTIONS", 3)
    seen = Seen()
    open_one = seen.accepted("open")
    for number in range(5):
        observer = seen.accepted(str(number))
        for message in range(100):
            observer.received(f"{message} " + "x" * 10_000)
        observer.ended(Outcome.ABNORMAL, {})
    assert [connection.peer for connection in seen.connections] == ["open", "2", "3", "4"]
    kept = seen.connections[-1].last_messages
    assert (len(kept), len(kept[-1].data), kept[-1].size) == (10, KEPT_SIZE, 10_003)
    seen.wait_ended(5, 0)
    open_one.ended(Outcome.CLEAN, {"code": 1000})
    assert seen.connections[-1].peer == "4"


def test_a_summary_has_the_last_connections_and_says_how_many_there_were():
    seen = Seen()
    for number in range(25):
        observer = seen.accepted(str(number))
        observer.received(f"message {number}")
        observer.ended(Outcome.CLEAN, {"code": 1000, "messages_sent": 3})
    server = RunningServer("ws://here/", None, seen, lambda _: None)
    first, *lines = summarize(server).splitlines()
    assert first == "ws://here/ saw 25 connections; the last 20:"
    shown = [int(line.split()[-1]) for line in lines if "→ message" in line]
    assert shown == list(range(5, 25))
    assert lines[0] == "  (no request): clean, close code 1000, 1 in, 3 out"
    seen.accepted("long").received("y" * 150)  # is kept whole, and shown in part.
    assert summarize(server).splitlines()[-1] == f"    → {'y' * 100}… (150 characters)"


def test_the_how_tos_example_runs():
    page = (Path(__file__).parents[3] / "docs/how-to/use-as-a-library.md").read_text()
    (program,) = re.findall(r"```python\n([^`]*serving\([^`]*)```", page)
    exec(compile(program, "use-as-a-library.md", "exec"), {})
