"""Every fault of a server ends in its own column, with the count that the server itself kept.

The servers are the `websockets` library's, or raw TCP: nothing here shares code with the generator.
"""

import asyncio
import itertools
import json
import resource
import socket
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from websockets.asyncio.server import ServerConnection

from ..books import check_report
from .conftest import LONG, PATIENCE_S

#: 5 sockets, 4 messages on each, in a fifth of a second.
CROWD = ("5", "--rate-per-conn", "20/s", "--duration", "200ms")
SOCKETS, MESSAGES = 5, 20
IDLE = ("3", "--rate-per-conn", "0/s", "--duration", "100ms")
#: Where something never comes, nobody waits long for it; half of this is for replies.
NEVER_COMES = ("--stop-timeout", "6s")
NOTHING_COMES = ("--stop-timeout", "500ms")


def load(run, server, *more):
    return run(CROWD[0], server.url, *CROWD[1:], *more)


def hold(run, server, *more):
    return run(IDLE[0], server.url, *IDLE[1:], *more)


async def never(*_):
    await asyncio.Event().wait()


# -- Messages ---------------------------------------------------------------------------------


def test_right_echoes_are_a_valid_run(serve_websockets, loadgen):
    async def echo(connection: ServerConnection, counts):
        async for message in connection:
            counts["echoed"] += 1
            await connection.send(f"{message} {counts['echoed']}")

    server = serve_websockets(echo)
    run = load(loadgen, server)
    assert run.messages == {"sent": MESSAGES, "echoed": MESSAGES, "received": MESSAGES}
    assert run.messages["echoed"] == server.counts["echoed"]
    assert run.closed == {"clean": SOCKETS}
    assert run.connections["close_codes"] == {"1000": SOCKETS}
    server.wait_closed()
    assert server.counts["closed 1000"] == SOCKETS
    assert run.target_did_right


WRONG = {
    "no-suffix": lambda message: message,
    "suffix-out-of-range": lambda message: f"{message} 1000000",
    "one-letter": lambda message: f"{message[:-1]}! 7",
    "other-opcode": lambda message: f"{message} 7".encode(),
    "something-else": lambda _: "WRONG",
    "nothing": lambda _: "",
    "number-of-5000-digits": lambda message: f"0-{'9' * 5000} 1",
}


@pytest.mark.parametrize("spoil", [pytest.param(how, id=name) for name, how in WRONG.items()])
def test_wrong_echoes_are_corrupt(serve_websockets, loadgen, spoil):
    async def corrupt(connection: ServerConnection, counts):
        async for message in connection:
            counts["received"] += 1
            if counts["received"] % 2:
                counts["corrupt"] += 1
                await connection.send(spoil(message))
            else:
                await connection.send(f"{message} 1")

    server = serve_websockets(corrupt)
    # What resembles nothing may be anything: its message waits for a better answer.
    run = load(loadgen, server, *NEVER_COMES)
    half = MESSAGES // 2
    assert server.counts["corrupt"] == half
    assert run.messages == {"sent": MESSAGES, "echoed": half, "corrupt": half, "received": MESSAGES}
    assert (run.code, run.report["verdict"]) == (1, "failed")
    assert run.faults == [f"{half} replies corrupt"]


def test_a_reply_sent_twice_is_a_duplicate(serve_websockets, loadgen):
    async def echo_twice(connection: ServerConnection, counts):
        async for message in connection:
            await connection.send(f"{message} 1")
            counts["duplicate"] += 1
            await connection.send(f"{message} 2")

    server = serve_websockets(echo_twice)
    run = load(loadgen, server)
    assert run.messages == {
        "sent": MESSAGES,
        "echoed": MESSAGES,
        "received": 2 * MESSAGES,
        "duplicate": server.counts["duplicate"],
    }
    assert run.code == 1


def test_replies_out_of_order_are_reordered(serve_websockets, loadgen):
    async def swap_pairs(connection: ServerConnection, counts):
        while True:
            first, second = await connection.recv(), await connection.recv()
            await connection.send(f"{second} 1")
            counts["reordered"] += 1
            await connection.send(f"{first} 2")

    server = serve_websockets(swap_pairs)
    run = load(loadgen, server)
    assert run.messages == {
        "sent": MESSAGES,
        "echoed": MESSAGES // 2,
        "reordered": MESSAGES // 2,
        "received": MESSAGES,
    }
    assert server.counts["reordered"] == MESSAGES // 2
    assert run.code == 1


def test_replies_that_never_come_are_lost(serve_websockets, loadgen):
    async def swallow_thirds(connection: ServerConnection, counts):
        async for message in connection:
            counts["received"] += 1
            if counts["received"] % 3 == 0:
                counts["swallowed"] += 1
            else:
                await connection.send(f"{message} 1")

    server = serve_websockets(swallow_thirds)
    run = load(loadgen, server, *NEVER_COMES)
    assert run.messages["lost"] == server.counts["swallowed"] == MESSAGES // 3
    assert run.messages["echoed"] == MESSAGES - MESSAGES // 3
    assert run.closed == {"clean": SOCKETS}
    assert run.code == 1


def test_replies_to_another_socket_are_unexpected_there_and_lost_here(serve_websockets, loadgen):
    connections = []

    async def pass_to_the_next(connection: ServerConnection, counts):
        connections.append(connection)
        own = len(connections) - 1
        async for message in connection:
            counts["misdelivered"] += 1
            await connections[(own + 1) % len(connections)].send(f"{message} 1")

    server = serve_websockets(pass_to_the_next)
    run = load(loadgen, server, *NEVER_COMES)
    assert server.counts["misdelivered"] == MESSAGES
    assert run.messages == {
        "sent": MESSAGES,
        "lost": MESSAGES,
        "received": MESSAGES,
        "unexpected": MESSAGES,
    }
    assert run.code == 1


def test_a_greeting_is_unexpected_and_answers_nothing(serve_websockets, loadgen):
    async def greet(connection: ServerConnection, counts):
        counts["greeted"] += 1
        await connection.send("Welcome to the chat!")
        async for message in connection:
            await connection.send(f"{message} 1")

    server = serve_websockets(greet)
    run = load(loadgen, server)
    assert run.messages == {
        "sent": MESSAGES,
        "echoed": MESSAGES,
        "received": MESSAGES + SOCKETS,
        "unexpected": SOCKETS,
    }
    assert server.counts["greeted"] == SOCKETS
    assert run.code == 1


# -- Endings ----------------------------------------------------------------------------------


def test_sockets_closed_early_are_counted_by_their_code(serve_websockets, loadgen):
    codes = itertools.cycle([1011, 4000, 1001])

    async def close_at_the_second_message(connection: ServerConnection, counts):
        await connection.send(f"{await connection.recv()} 1")
        await connection.recv()
        counts["early"] += 1
        await connection.close(next(codes), "enough")

    server = serve_websockets(close_at_the_second_message)
    run = load(loadgen, server)
    assert server.counts["early"] == SOCKETS
    assert run.closed == {"by_peer": SOCKETS}
    assert run.connections["close_codes"] == {"1001": 1, "1011": 2, "4000": 2}
    assert run.faults[:3] == [
        'the server closed 1 socket before the end, code 1001: "enough"',
        'the server closed 2 sockets before the end, code 1011: "enough"',
        'the server closed 2 sockets before the end, code 4000: "enough"',
    ]
    assert run.messages["echoed"] == SOCKETS
    assert run.code == 1


def test_a_load_ends_with_its_last_socket(serve_websockets, loadgen):
    async def close_soon(connection: ServerConnection, counts):
        await asyncio.sleep(0.3)
        await connection.close(1001)

    run = loadgen("3", serve_websockets(close_soon).url, "--rate-per-conn", "0/s",
                  "--duration", "1h")  # fmt: skip
    assert run.closed == {"by_peer": 3}
    assert run.code == 1


async def reset(writer):
    linger = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)


def test_sockets_reset_half_way_are_abnormal_and_their_messages_lost(serve_bytes, loadgen, accept):
    async def reset_at_the_first_message(reader, writer, key, counts):
        writer.write(accept(key))
        await reader.read(1)
        counts["reset"] += 1
        await reset(writer)

    server = serve_bytes(reset_at_the_first_message)
    run = load(loadgen, server)
    assert server.counts["reset"] == SOCKETS
    assert run.closed == {"abnormal": SOCKETS}
    assert run.connections["close_codes"] == {"1006": SOCKETS}
    assert run.faults[0] == ("the server cut 5 sockets before the end, without a close frame")
    assert run.messages["lost"] == run.messages["sent"]
    assert run.code == 1


def test_a_flood_into_sockets_being_reset_breaks_nothing(serve_bytes, loadgen, accept):
    async def reset_in_the_middle(reader, writer, key, counts):
        writer.write(accept(key))
        await reader.readexactly(20_000)
        await reset(writer)

    run = loadgen("20", serve_bytes(reset_in_the_middle).url, "--rate-per-conn", "1k/s",
                  "--duration", "2s", "--size", "500")  # fmt: skip
    assert run.closed == {"abnormal": 20}
    assert run.messages["lost"] == run.messages["sent"]
    assert run.code == 1


def test_a_server_that_breaks_the_protocol_is_failed_with_1002(serve_bytes, loadgen, accept):
    async def send_a_masked_frame(reader, writer, key, counts):
        writer.write(accept(key) + b"\x81\x82\x00\x00\x00\x00hi")
        await never()  # nor end TCP, as it should

    run = hold(loadgen, serve_bytes(send_a_masked_frame), *NOTHING_COMES)
    assert run.closed == {"abnormal": 3}
    assert run.connections["close_codes"] == {"1002": 3}
    assert run.faults == [
        "the server broke the protocol on 3 sockets, which we failed with code 1002"
    ]
    assert run.code == 1


def test_a_socket_closed_early_whose_end_comes_late_was_closed_early(serve_bytes, loadgen, accept):
    async def close_and_stay(reader, writer, key, counts):
        writer.write(accept(key) + b"\x88\x02\x03\xe9")  # Close 1001
        await never()

    run = hold(loadgen, serve_bytes(close_and_stay), *NOTHING_COMES)
    assert run.closed == {"by_peer": 3}
    assert run.faults == ["the server closed 3 sockets before the end, code 1001"]
    assert run.code == 1


def test_a_close_that_is_never_answered_is_cut_in_time(serve_bytes, loadgen, accept):
    async def read_and_say_nothing(reader, writer, key, counts):
        writer.write(accept(key))
        while await reader.read(100):
            pass

    run = hold(loadgen, serve_bytes(read_and_say_nothing), *NOTHING_COMES)
    assert run.closed == {"timeout": 3}
    assert run.connections["close_codes"] == {"1006": 3}
    assert run.faults == ["3 sockets had to be cut: no answer to our close frame in time"]
    assert run.code == 1


def test_a_close_answered_by_the_end_of_tcp_alone_is_abnormal(serve_bytes, loadgen, accept):
    async def end_at_the_first_byte(reader, writer, key, counts):
        writer.write(accept(key))
        await reader.read(1)

    run = hold(loadgen, serve_bytes(end_at_the_first_byte))
    assert run.closed == {"abnormal": 3}
    assert run.faults == ["3 sockets ended without an answer to our close frame"]


def test_a_server_that_stops_reading_is_cut_in_time(serve_bytes, loadgen, accept):
    async def stop_reading(reader, writer, key, counts):
        writer.transport.pause_reading()
        writer.write(accept(key))
        await never()

    run = loadgen("2", serve_bytes(stop_reading).url, "--rate-per-conn", "100/s", "--size", "1MiB",
                  "--duration", "300ms", *NOTHING_COMES)  # fmt: skip
    assert run.closed == {"timeout": 2}
    messages = {"missed": 0, **run.messages}
    # A machine that is held up sends late, and what it can't send in time at all is missed.
    assert messages.keys() == {"sent", "lost", "missed"}
    assert messages["sent"] + messages["missed"] == 60
    assert messages["lost"] == messages["sent"] > 0
    assert run.code == 1


# -- Handshakes -------------------------------------------------------------------------------

ANOTHER_ACCEPT = b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
RESPONSES = {
    "200": (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", "rejected", {"200": 3}),
    "503": (b"HTTP/1.1 503 Busy\r\nRetry-After: 1\r\n\r\n", "rejected", {"503": 3}),
    "garbage": (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "protocol", {}),
    "binary-garbage": (b"\x00\xff\xfe\r\n\r\n", "protocol", {}),
    "endless-head": (b"HTTP/1.1 101 X\r\n" + b"A: b\r\n" * 10_000, "protocol", {}),
    "accept-of-another-key": (
        b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" + ANOTHER_ACCEPT,
        "protocol",
        {},
    ),
    "no-accept": (
        b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        "protocol",
        {},
    ),
    "cut-half-way": (b"HTTP/1.1 101 Swi", "reset", {}),
    "nothing": (b"", "reset", {}),
}


@pytest.mark.parametrize(
    ("response", "column", "statuses"),
    [pytest.param(*expected, id=name) for name, expected in RESPONSES.items()],
)
def test_a_handshake_answered_wrongly_has_its_column(
    serve_bytes, loadgen, response, column, statuses
):
    async def answer(reader, writer, key, counts):
        counts["answered"] += 1
        writer.write(response)

    server = serve_bytes(answer)
    run = hold(loadgen, server)
    assert server.counts["answered"] == 3
    assert run.failed == {column: 3}
    assert run.connections["failed_status"] == statuses
    assert run.code == 69
    (line,) = [line for line in run.stderr.splitlines() if line.startswith("loadgen:")]
    assert "no socket could be opened" in line


def test_some_handshakes_may_fail_and_the_others_are_loaded(serve_bytes, loadgen, accept):
    async def refuse_every_other(reader, writer, key, counts):
        counts["asked"] += 1
        if counts["asked"] % 2:
            writer.write(b"HTTP/1.1 503 Busy\r\n\r\n")
            return
        counts["opened"] += 1
        writer.write(accept(key))
        await reader.read(2)
        writer.write(b"\x88\x02\x03\xe8")  # Close 1000

    server = serve_bytes(refuse_every_other)
    run = loadgen("10", server.url, *IDLE[1:])
    assert run.failed == {"rejected": 5}
    assert run.connections["opened"] == server.counts["opened"] == 5
    assert run.connections["all_open_after_s"] is None
    assert run.closed == {"clean": 5}
    assert run.code == 1


def test_a_handshake_reset_has_its_column(serve_bytes, loadgen):
    async def reset_the_handshake(reader, writer, key, counts):
        await reset(writer)

    run = hold(loadgen, serve_bytes(reset_the_handshake))
    assert run.failed == {"reset": 3}
    assert run.code == 69


def test_a_handshake_never_answered_times_out(serve_bytes, loadgen):
    server = serve_bytes(never)
    run = hold(loadgen, server, "--connect-timeout", "300ms")
    assert run.failed == {"timeout": 3}
    # They were in the kernel's queue, whenever the server got round to them.
    server.wait_until(lambda: server.counts["connected"] == 3)
    assert run.code == 69


@pytest.mark.parametrize("pace", [(), ("--connect-rate", "20/s")], ids=["at-once", "at-a-rate"])
def test_nobody_waits_for_a_silent_server_wave_after_wave(serve_bytes, loadgen, pace):
    run = loadgen("1000", serve_bytes(never).url, *IDLE[1:], "--connect-timeout", "300ms",
                  "--connect-concurrency", "10", *pace)  # fmt: skip
    assert set(run.failed) == {"timeout"}, (run.failed, run.stderr)
    # A machine that is held up may time out a wave or two more; a hundred there would be.
    assert 10 <= run.failed["timeout"] < 100
    assert run.connections["not_attempted"] == 1000 - run.failed["timeout"]
    assert run.code == 69


def test_where_nothing_listens_one_line_says_how_to_start_a_server(loadgen, nobody):
    run = loadgen("100", f"ws://127.0.0.1:{nobody}/", "--quiet")
    assert run.failed == {"refused": 100}
    assert run.code == 69
    assert run.stderr == (
        f"loadgen: no socket could be opened to ws://127.0.0.1:{nobody}/: 100 × refused. "
        f"Nothing listens there; start a server: python -m echo_trio --port {nobody}\n"
    )
    assert run.stdout == ""


@pytest.mark.parametrize(
    "host",
    [pytest.param("no-such-host.invalid", id="unknown"), pytest.param("a" * 64, id="no-name")],
)
def test_a_name_without_address_is_a_dns_failure(loadgen, host):
    run = loadgen("3", f"ws://{host}/", "--quiet")
    assert run.failed == {"dns": 3}
    assert run.code == 69
    assert run.stderr.count("\n") == 1


def test_the_file_limit_is_this_machines_fault_and_the_rest_is_loaded(
    serve_websockets, start_loadgen
):
    admitted = itertools.count()

    async def lower_the_limit(connection, request):
        # Behind preflight's back, which would have refused.
        if next(admitted) == 20:
            resource.prlimit(run.process.pid, resource.RLIMIT_NOFILE, (64, 64))

    async def echo(connection: ServerConnection, counts):
        async for message in connection:
            await connection.send(f"{message} 1")

    server = serve_websockets(echo, process_request=lower_the_limit)
    run = start_loadgen("100", server.url, "--duration", "1s", "--connect-concurrency", "4")
    done = run.finish()
    assert set(done.failed) == {"file_limit"}
    assert done.connections["opened"] == server.counts["opened"] > 20
    assert done.closed == {"clean": done.connections["opened"]}
    assert done.messages["echoed"] == done.messages["sent"] == done.connections["opened"]
    assert done.code == 1
    assert done.connections["faults"] == {
        "target": 0, "network": 0, "machine": done.failed["file_limit"]
    }  # fmt: skip
    assert "of 100 sockets did not open: file limit (this machine's limit" in json.dumps(
        done.report["verdict_reasons"]
    )


def test_what_this_machine_cannot_do_is_refused_in_one_line_that_says_what_to_change(
    serve_websockets, start_loadgen
):
    server = serve_websockets(never)
    run = start_loadgen(
        "100", server.url,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)),
    )  # fmt: skip
    done = run.finish()
    assert (done.code, done.stdout, done.report) == (2, "", {})
    assert done.stderr.startswith("loadgen: 100 sockets need 1")
    assert "ulimit -Hn 1" in done.stderr
    assert done.stderr.count("\n") == 1
    assert server.counts["opened"] == 0


def test_an_address_that_is_not_this_machines_is_refused(serve_websockets, start_loadgen):
    done = start_loadgen("1", serve_websockets(never).url, "--source-ip", "192.0.2.7").finish()
    assert done.code == 2
    assert done.stderr == (
        "loadgen: --source-ip 192.0.2.7: not an address of this machine; see ip address, "
        "or add it there\n"
    )


def test_being_out_of_ports_is_this_machines_fault_and_the_rest_is_loaded(tmp_path):
    if subprocess.run(["unshare", "--net", "true"], check=False).returncode:
        pytest.skip("needs a network namespace of its own: root's, or the like")
    report = tmp_path / "report.json"
    done = subprocess.run(
        ["unshare", "--net", sys.executable, str(Path(__file__).with_name("out_of_ports.py")),
         "--duration", "1s", *LONG, "--connect-concurrency", "4",
         "--json", str(report), "--quiet"],
        capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    found = json.loads(report.read_text())
    check_report(found)
    connections, messages = found["connections"], found["messages"]
    opened = connections["opened"]
    assert 20 <= opened < 50
    assert {name: n for name, n in connections["failed"].items() if n} == {
        "address_in_use": 100 - opened
    }
    assert connections["faults"] == {"target": 0, "network": 0, "machine": 100 - opened}
    assert messages["echoed"] == messages["sent"] == opened
