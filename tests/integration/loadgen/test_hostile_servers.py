"""Servers, and pages of targets, that do their worst to the generator."""

import asyncio
import csv
import functools
import json
import math
import re
import subprocess
import sys
from pathlib import Path

import pytest

from . import hostile_servers

SCRIPT = Path(__file__).with_name("hostile_servers.py")


def settings(times=1):
    """Return the flags of a run that waits this many times a quarter of a second for each answer.

    For so long both ends are busy.
    """
    return ("--rate-per-conn", "20/s", "--duration", "250ms", "--stop-timeout", f"{250 * times}ms",
            "--connect-timeout", f"{250 * times}ms")  # fmt: skip


#: Handshakes, the load, and twice the stop timeout.
MAX_S = 0.25 + 0.25 + 2 * 0.25
#: Of the processor, for starting and for what a turn has begun when the time is over. A run that
#: ends in time can't have used more than that and `MAX_S`, however busy the machine; one that did
#: not end used 20 s and more.
BESIDE_CPU_S = 6
MAX_MORE_BYTES = 128 * 2**20

#: What the reasons for the verdict name, of each attack.
CAUSES = {
    "endless head": "did not open: protocol",
    "endless headers": "did not open: protocol",
    "a byte of head at a time": "did not open: timeout",
    "endless interim answers": "did not open: ",
    "a refusal with an endless body": "did not open: rejected (HTTP 503",
    "an endless frame": "the server sent more than is taken in",
    "one text of a GiB": "the server sent more than is taken in",
    "texts of 16 MiB, none of them whole": "sockets",
    "texts of 4 MiB": "corrupt",
    "endless fragments": "the server sent more than is taken in",
    "endless fragments of a byte": "went on sending",
    "endless empty fragments": "the server broke the protocol",
    "messages in two fragments": "unexpected",
    "messages of a byte": "unexpected",
    "empty messages": "unexpected",
    "right answers for ever": "duplicate",
    "pings from who reads nothing": "went on sending",
    "pongs for nothing": "went on sending",
    "pings within a message": "went on sending",
    "bombs of 256 MiB": "the server sent more than is taken in",
    "bombs of 8 MiB": "corrupt",
    "a bomb in endless fragments": "sockets",
    "a close reason with escape sequences": "code 4000",
    "messages after the close frame": "the server closed 4 sockets before the end",
    "messages instead of an answer to the close frame": "went on sending",
    "noise": "the server broke the protocol",
}


@pytest.fixture(scope="module")
def serve():
    """Starts a hostile server, in a process of its own, once by each name; returns its URL."""
    started = []

    @functools.cache
    def start(name):
        server = subprocess.Popen(
            [sys.executable, "-IS", str(SCRIPT), name],  # it needs no package: half of a start
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        started.append(server)
        return f"ws://127.0.0.1:{server.stdout.readline().strip()}/"

    yield start
    for server in started:
        server.communicate()


@pytest.fixture(scope="module")
def honest_bytes(serve):
    """The memory of the same run against a server that does right."""
    done = subprocess.run(
        [sys.executable, "-m", "loadgen", "4", serve("an honest echo"), *settings(),
         "--compression", "--journal", "off", "--quiet", "--json", "-"],
        capture_output=True, check=False,
    )  # fmt: skip
    return json.loads(done.stdout)["generator"]["peak_rss_bytes"]


def test_every_attack_has_a_cause():
    assert set(CAUSES) | {"an honest echo"} == set(hostile_servers.ATTACKS)


#: What a run says of sockets that its own clock ended before the attack came to what names it: on a
#: busy machine the server may not have sent the 16 MiB that are too much by then.
TIME_WAS_UP = re.compile(
    r"did not open: timeout|went on sending|ended without an answer to our close frame"
)


@pytest.mark.parametrize("name", CAUSES)
def test_a_hostile_server_costs_neither_time_nor_memory_and_is_named(
    serve, loadgen, honest_bytes, tmp_path, name
):
    """Each run has to end in time, stay small, fail, and say what ended its sockets.

    A run whose sockets its clock ended says just that; only such a run is repeated, with more time,
    and one at last has to name the attack. Of eighty runs at a load of 30 eleven were repeated,
    all of them of the three attacks that are named by what they have sent.
    """
    compression = ["--compression"] if name in hostile_servers.COMPRESSED else []
    seconds = tmp_path / "seconds.csv"
    url = serve(name)
    for times in (1, 4, 16, 128):
        run = loadgen("4", url, *settings(times), *compression, "--csv", str(seconds))
        # Its own word: it is no child of this process, which would know otherwise.
        assert 0 < run.report["generator"]["cpu_s"] < times * MAX_S + BESIDE_CPU_S
        assert run.report["verdict"] == "failed"
        assert run.code == (1 if run.connections["opened"] else 69)
        assert run.report["generator"]["peak_rss_bytes"] < honest_bytes + MAX_MORE_BYTES
        for said in (run.stdout, run.stderr):
            assert all(line.isprintable() for line in said.splitlines())
        # Not a word of the server's, which a spreadsheet might compute.
        _, *rows = csv.reader(seconds.read_text().splitlines())
        assert all(not cell or math.isfinite(float(cell)) for row in rows for cell in row)
        reasons = "; ".join(run.report["verdict_reasons"])
        if CAUSES[name] in reasons:
            break
        assert TIME_WAS_UP.search(reasons), reasons
    assert CAUSES[name] in reasons


# -- Pages of targets -----------------------------------------------------------------------

JSON, TEXT = b"application/json", b"text/plain; version=0.0.4"
MIB = 2**20


def answer(content_type, body):
    return b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n%b" % (
        content_type, len(body), body,
    )  # fmt: skip


CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"
#: What is sent once, and what is sent again and again behind it.
PAGES = {
    "brackets": (answer(JSON, b"[" * 2_000_000), b""),
    "brackets in a snapshot": (answer(JSON, b'{"open": ' + b"[" * 2_000_000), b""),
    "many lists": (answer(JSON, b'{"open": [' + b"[]," * 2_000_000 + b"[]]}"), b""),
    "a number of 400 digits": (answer(JSON, b'{"open": %b}' % (b"9" * 400)), b""),
    "a number of 5,000 digits": (answer(JSON, b'{"open": %b}' % (b"9" * 5000)), b""),
    "numbers that are none": (answer(JSON, b'{"open": NaN, "cpu_s": Infinity, "a": 1e999}'), b""),
    "gauges that are none": (
        answer(TEXT, b"process_open_fds NaN\nprocess_cpu_seconds_total +Inf"),
        b"",
    ),
    "8 MiB of text": (answer(TEXT, b'http_requests{a="b"} 1\n' * (8 * MIB // 24)), b""),
    "8 MiB of what is asked for": (answer(TEXT, b"process_open_fds 1\n" * (8 * MIB // 20)), b""),
    "a line of 8 MiB": (answer(TEXT, b"process_open_fds{" + b"a" * (8 * MIB - 100)), b""),
    "an endless body": (b"HTTP/1.1 200 OK\r\n\r\n", b"a 1\n" * 10_000),
    "an endless body in bytes": (CHUNKED, b"1\r\na\r\n" * 10_000),
    "an endless head": (b"HTTP/1.1 200 OK\r\nX: ", b"a" * 65536),
    "endless interim answers": (b"", b"HTTP/1.1 102 Go\r\n\r\n" * 1000),
    "escape sequences": (b"\x1b[2J\x1b]0;owned\x07 VALID\r\n\r\n", b""),
}


@pytest.fixture
def serve_page(in_thread):
    """Answers every request with these bytes; returns the URL."""

    def begin(name):
        once, again = PAGES[name]

        def start(counts):
            async def handle(reader, writer):
                try:
                    await reader.readuntil(b"\r\n\r\n")
                    writer.write(once)
                    while again:
                        writer.write(again)
                        await writer.drain()
                    await reader.read()
                except (ConnectionError, asyncio.IncompleteReadError):
                    pass
                finally:
                    writer.close()

            return asyncio.start_server(handle, "127.0.0.1", 0)

        return in_thread(start).url.replace("ws:", "http:") + "metrics"

    return begin


@pytest.mark.parametrize("name", PAGES)
def test_a_hostile_page_of_a_target_ends_no_run_and_is_named(
    serve, serve_page, loadgen, honest_bytes, name
):
    run = loadgen("4", serve("an honest echo"), "--duration", "1500ms", "--console",
                  serve_page(name))  # fmt: skip
    assert run.target_did_right, run.stderr
    target = run.report["target"]
    assert all(value is None for value in target["loop_lag"].values())
    assert target["connections"] is None
    assert target["errors"] > 0
    assert target["last_error"].isprintable()
    assert run.report["generator"]["peak_rss_bytes"] < honest_bytes + MAX_MORE_BYTES
    assert all(line.isprintable() for line in (run.stdout + run.stderr).splitlines())
