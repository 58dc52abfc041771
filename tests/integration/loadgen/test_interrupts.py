"""Ctrl-C and SIGTERM in every phase: the same clean end, and a full report."""

import asyncio
import fcntl
import json
import os
import pty
import signal
import subprocess
import sys
import termios
import threading
import time
from contextlib import suppress

import pytest
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed


async def echo(connection: ServerConnection, counts):
    async for message in connection:
        counts["echoed"] += 1
        with suppress(
            ConnectionClosed
        ):  # What came before its close frame is counted all the same.
            await connection.send(f"{message} 1")


async def never(*_):
    await asyncio.Event().wait()


@pytest.fixture
def never_closing(serve_bytes, accept):
    """A server that opens sockets and then says nothing, not even a goodbye."""

    async def accept_and_ignore(reader, writer, key, counts):
        writer.write(accept(key))
        while await reader.read(1000):
            pass

    return serve_bytes(accept_and_ignore)


@pytest.fixture
def shake_hands_with_ten(serve_websockets):
    """A server that opens ten sockets and leaves the others waiting for their handshake."""

    async def answer_ten(connection, request):
        if len(connection.server.connections) >= 10:
            await never()

    return serve_websockets(echo, process_request=answer_ten, open_timeout=3600)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_while_opening_the_open_ones_are_closed_and_the_rest_not_attempted(
    shake_hands_with_ten, start_loadgen, number
):
    run = start_loadgen("5000", shake_hands_with_ten.url, "--connect-timeout", "1h", "--stream")
    # The server may know of one that is open before the generator does.
    for line in run.process.stdout:
        if json.loads(line)["connections"]["open"] == 10:
            break
    run.signal(number)
    done = run.finish()
    assert done.code == 130
    assert done.report["interrupted"]
    assert done.connections["opened"] == 10
    assert done.connections["not_attempted"] == 4990
    assert done.closed == {"clean": 10}
    assert done.messages == {}


def test_a_handshake_that_ctrl_c_abandons_is_in_one_column_and_its_server_has_seen_no_other(
    serve_bytes, accept, start_loadgen
):
    async def answer_ten_whole(reader, writer, key, counts):
        counts["asked"] += 1
        is_whole = counts["asked"] <= 10
        writer.write(accept(key) if is_whole else accept(key)[:-2])
        while await reader.read(1000):
            if is_whole:
                writer.write(b"\x88\x02\x03\xe8")  # Close 1000
                break
        counts["ended"] += 1

    server = serve_bytes(answer_ten_whole)
    run = start_loadgen("100", server.url, "--connect-concurrency", "20", "--connect-timeout", "1h",
                        "--stream")  # fmt: skip
    for line in run.process.stdout:
        if json.loads(line)["connections"]["open"] == 10:
            break
    server.wait_until(lambda: server.counts["asked"] == 30)  # As many as may ask at once.
    run.signal()
    done = run.finish()
    assert done.code == 130
    assert done.connections["funnel"] == {"requested": 100, "tcp": 30, "tls": None, "upgraded": 10}
    assert done.connections["not_attempted"] == 90
    assert done.failed == {}
    assert done.closed == {"clean": 10}
    # One that ends with bytes unread is reset, and seen as gone.
    server.wait_until(lambda: server.counts["ended"] + server.counts["gone"] == 30)


@pytest.mark.parametrize(
    ("number", "workers"), [(signal.SIGINT, "1"), (signal.SIGHUP, "1"), (signal.SIGHUP, "2")]
)
def test_interrupted_under_load_replies_are_in_flight_and_every_socket_is_closed(
    serve_websockets, start_loadgen, number, workers
):
    async def echo_every_other(connection: ServerConnection, counts):
        async for message in connection:
            counts["received"] += 1
            if counts["received"] % 2:
                with suppress(ConnectionClosed):  # if the close frame came first
                    await connection.send(f"{message} 1")
                    counts["answered"] += 1

    server = serve_websockets(echo_every_other)
    run = start_loadgen("20", server.url, "--rate-per-conn", "10/s", "--duration", "1h",
                        "--workers", workers)  # fmt: skip
    run.wait_for("load")
    server.wait_until(lambda: server.counts["received"] >= 40)
    run.signal(number)
    if number == signal.SIGHUP:
        run.signal(number)  # The shell and the kernel both send one.
    done = run.finish()
    server.wait_closed()
    assert done.code == 130
    assert done.report["interrupted"]
    assert done.messages["sent"] == server.counts["received"]
    assert done.messages["echoed"] == server.counts["answered"] >= 10
    assert done.messages["in_flight"] == server.counts["received"] - server.counts["answered"]
    assert "lost" not in done.messages
    assert done.closed == {"clean": 20}
    assert done.connections["not_attempted"] == 0
    assert server.counts["closed 1000"] == 20
    assert "interrupted" in done.stdout


def test_interrupted_while_closing_the_report_is_written_all_the_same(
    serve_bytes, accept, start_loadgen
):
    signalled = threading.Event()

    async def close_when_signalled(reader, writer, key, counts):
        writer.write(accept(key))
        await reader.read(2)
        await asyncio.to_thread(signalled.wait)
        writer.write(b"\x88\x02\x03\xe8")  # Close 1000

    run = start_loadgen("3", serve_bytes(close_when_signalled).url, "--duration", "0s")
    try:
        run.wait_for("closing")
        run.signal()
    finally:
        signalled.set()
    done = run.finish()
    assert done.code == 130
    assert done.report["interrupted"]
    assert done.closed == {"clean": 3}


def test_a_closed_loop_is_interrupted_as_well(serve_websockets, start_loadgen):
    server = serve_websockets(echo)
    run = start_loadgen("5", server.url, "--closed-loop", "--duration", "1h")
    run.wait_for("load")
    while server.counts["echoed"] < 100:
        time.sleep(0.01)
    run.signal()
    done = run.finish()
    server.wait_closed()
    assert done.code == 130
    assert done.messages["sent"] == server.counts["echoed"]
    assert done.messages.get("in_flight", 0) <= 5
    assert done.closed == {"clean": 5}


def test_the_second_signal_ends_it_at_once_and_says_where_the_journal_is(
    never_closing, start_loadgen, tmp_path
):
    journal = tmp_path / "run.journal"
    run = start_loadgen("3", never_closing.url, "--rate-per-conn", "0/s", "--duration", "1h",
                        "--stop-timeout", "1h", "--journal", str(journal))  # fmt: skip
    run.wait_for("load")
    while not journal.exists() or journal.stat().st_size < 4000:
        time.sleep(0.01)
    run.signal()
    run.wait_for("closing")
    run.signal()
    done = run.finish()
    assert done.code == 130
    assert done.report == {}
    assert f"what was measured is in {journal}: loadgen recover" in done.stderr


#: Imports stop in front of this one until somebody writes to the pipe.
HELD_IMPORT = """
import sys

class Hold:
    def find_spec(self, name, path=None, target=None):
        if name == "trio":
            sys.meta_path.remove(self)
            open({pipe!r}).close()

sys.meta_path.insert(0, Hold())
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_during_the_imports_ends_in_order_too(
    serve_websockets, start_loadgen, tmp_path_factory, number
):
    folder = tmp_path_factory.mktemp("imports")
    pipe = str(folder / "pipe")
    os.mkfifo(pipe)
    (folder / "sitecustomize.py").write_text(HELD_IMPORT.format(pipe=pipe))
    server = serve_websockets(echo)
    run = start_loadgen("2", server.url, "--duration", "1h",
                        env=os.environ | {"PYTHONPATH": str(folder)})  # fmt: skip
    run.wait_until_listening()
    run.signal(number)
    while run.process.poll() is None:
        with suppress(OSError):  # that nobody reads yet
            os.close(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))
            break
        time.sleep(0.01)
    done = run.finish()
    assert done.code == 130
    assert done.report["interrupted"]
    assert done.connections["not_attempted"] == 2
    assert done.report["verdict"] == "generator-limited"
    assert "before a socket was open" in done.report["verdict_reasons"][0]
    assert server.counts["opened"] == 0


def test_a_crowd_interrupted_before_all_of_it_was_started_is_accounted_for(nobody, start_loadgen):
    run = start_loadgen("5000", f"ws://127.0.0.1:{nobody}/", "--connect-rate", "10/s")
    run.wait_for("opening")
    run.signal()
    done = run.finish()
    assert done.code == 130
    assert done.connections["not_attempted"] > 4000


def test_on_a_terminal_ctrl_c_leaves_the_report_and_the_cursor(serve_websockets, start_loadgen):
    server = serve_websockets(echo)
    controller, terminal = pty.openpty()
    run = start_loadgen(
        "5", server.url, "--duration", "1h", "--rate-per-conn", "20/s",
        env=os.environ | {"TERM": "xterm-256color", "COLUMNS": "100"},
        on_terminal=terminal,
    )  # fmt: skip
    os.close(terminal)
    screen = b""
    while b"received" not in screen or server.counts["echoed"] < 50:
        screen += os.read(controller, 65536)
    run.signal()
    try:
        while chunk := os.read(controller, 65536):
            screen += chunk
    except OSError:  # The terminal's other end is closed: the process has ended.
        pass
    os.close(controller)
    done = run.finish()
    assert done.code == 130
    assert screen.rindex(b"\x1b[?25h") > screen.rindex(b"\x1b[?25l")
    assert b"interrupted" in screen[screen.rindex(b"\x1b[?25h") :]
    assert b"Traceback" not in screen


def test_when_its_terminal_goes_away_the_report_is_written_all_the_same(
    serve_websockets, start_loadgen
):
    server = serve_websockets(echo)
    controller, terminal = pty.openpty()
    run = start_loadgen(
        "2", server.url, "--duration", "1h", "--rate-per-conn", "20/s",
        on_terminal=terminal, start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(1, termios.TIOCSCTTY, 0),
    )  # fmt: skip
    os.close(terminal)
    while server.counts["echoed"] < 10:
        os.read(controller, 65536)
    os.close(controller)  # As closing its window does: a SIGHUP, and nowhere to write.
    done = run.finish()
    assert done.code == 130
    assert done.report["interrupted"]
    assert done.closed == {"clean": 2}


def test_ctrl_c_amid_the_first_imports_is_no_traceback():
    script = (
        "import os, runpy, signal, sys\n"
        "class Interrupt:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'loadgen.signals': os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Interrupt())\n"
        # A shell's background processes ignore it.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "runpy.run_module('loadgen', run_name='__main__')\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (130, b"")
