"""One plan on one process and on several: the same books, one report, one clean end."""

import asyncio
import itertools
import json
import os
import signal
from pathlib import Path

import psutil
import pytest
from websockets.asyncio.server import ServerConnection

from .conftest import PATIENCE_S


async def echo(connection: ServerConnection, counts):
    async for message in connection:
        counts["echoed"] += 1
        await connection.send(f"{message} 1")


@pytest.fixture
def server(serve_websockets):
    return serve_websockets(echo)


def shards_of(run):
    """The processes of a run, once all of them hold sockets."""
    run.wait_for("load")
    (fork_server,) = psutil.Process(run.process.pid).children()
    shards = fork_server.children()
    assert len(shards) == int(run.process.args[run.process.args.index("--workers") + 1])
    return shards


def sockets_of(process):
    """The sockets that a process has open, as the kernel numbers them; stderr is everybody's."""
    files = Path(f"/proc/{process.pid}/fd")
    links = [str(file.readlink()) for file in files.iterdir() if file.name != "2"]
    return {link for link in links if link.startswith("socket:")}


def are_gone(processes):
    _, alive = psutil.wait_procs(processes, timeout=PATIENCE_S)
    return not alive


def test_three_processes_do_what_one_does(server, loadgen):
    plan = ("90", server.url, "--rate", "300/s", "--duration", "1s", "--seed", "7")
    one, several = loadgen(*plan), loadgen(*plan, "--workers", "3")
    assert several.connections["opened"] == 90
    assert several.closed == one.closed == {"clean": 90}
    assert several.messages == one.messages == {"sent": 300, "received": 300, "echoed": 300}
    assert several.report["messages"]["sent_bytes"] == one.report["messages"]["sent_bytes"]
    assert several.report["generator"]["processes"] == 3
    assert (several.report["plan"]["workers"], several.report["plan"]["dask"]) == (3, None)
    assert len(several.report["generator"]["cpu_shares"]) == 3
    assert several.report["connections"]["all_open_after_s"] is not None
    assert server.counts["echoed"] == 600
    assert "in 3 processes" in several.stdout


def test_no_shard_sends_before_the_last_has_its_sockets_open(serve_websockets, loadgen):
    early, handshakes = [], 0

    async def note_early(connection: ServerConnection, counts):
        async for message in connection:
            if counts["opened"] < 40:
                early.append(message)
            await connection.send(f"{message} 1")

    async def hold_up_the_last(*_):
        nonlocal handshakes
        handshakes += 1
        if handshakes == 40:
            await asyncio.sleep(1)

    server = serve_websockets(note_early, process_request=hold_up_the_last)
    done = loadgen("40", server.url, "--workers", "2", "--messages", "1")
    assert done.messages == {"sent": 40, "received": 40, "echoed": 40}
    assert early == []


def test_shards_share_what_they_have_imported_and_nothing_else(server, start_loadgen):
    run = start_loadgen("30", server.url, "--workers", "3", "--duration", "1h")
    shards = shards_of(run)
    everybody = [psutil.Process(run.process.pid), shards[0].parent(), *shards]
    held = [sockets_of(process) for process in everybody]
    for one, other in itertools.combinations(held, 2):
        assert not one & other
    assert all(len(sockets) > 10 for sockets in held[2:])
    # A process of its own takes 25 MB; 9 MB were measured.
    assert max(shard.memory_full_info().uss for shard in shards) < 16 * 2**20
    assert [" ".join(shard.cmdline()) for shard in shards] == [
        f"loadgen.processes.shard {number}/3" for number in (1, 2, 3)
    ]
    run.signal()
    assert run.finish().closed == {"clean": 30}
    assert are_gone(everybody[1:])


def test_one_ctrl_c_on_the_terminal_is_one_clean_stop_of_all_shards(server, start_loadgen):
    """The terminal sends SIGINT to the shards as well: none may take it for a second one."""
    run = start_loadgen("60", server.url, "--workers", "3", "--duration", "1h", "--rate", "100/s",
                        start_new_session=True)  # fmt: skip
    shards = shards_of(run)
    assert {os.getpgid(shard.pid) for shard in shards} == {run.process.pid}
    os.killpg(run.process.pid, signal.SIGINT)
    done = run.finish()
    assert done.code == 130
    assert done.closed == {"clean": 60}
    assert done.report["messages"]["lost"] == 0
    assert are_gone(shards)
    server.wait_closed()
    assert server.counts["closed 1000"] == 60


def test_interrupted_before_the_shards_are_up_nothing_is_attempted(server, start_loadgen):
    run = start_loadgen("30", server.url, "--workers", "3")
    run.wait_until_listening()
    run.signal()
    done = run.finish()
    assert done.code == 130
    assert done.connections["opened"] + done.connections["not_attempted"] == 30


def test_a_second_signal_ends_all_shards_at_once(never_closing, start_loadgen):
    run = start_loadgen("30", never_closing.url, "--workers", "3", "--duration", "1h",
                        "--stop-timeout", "1h")  # fmt: skip
    shards = shards_of(run)
    run.signal()
    run.wait_for("closing")
    run.signal()
    assert run.process.wait(timeout=PATIENCE_S) == 130
    assert are_gone(shards)
    run.finish()


@pytest.fixture
def never_closing(serve_bytes, accept):
    """A server that opens sockets and then says nothing, not even a goodbye."""

    async def accept_and_ignore(reader, writer, key, counts):
        writer.write(accept(key))
        while await reader.read(1000):
            pass

    return serve_bytes(accept_and_ignore)


def test_a_killed_shard_is_in_the_books_and_the_others_go_on(server, start_loadgen):
    run = start_loadgen("60", server.url, "--workers", "3", "--rate", "300/s", "--duration", "1h",
                        "--stream")  # fmt: skip
    shards = shards_of(run)
    for line in run.process.stdout:
        snapshot = json.loads(line)
        if snapshot["messages"]["received"] > 100:
            break
    os.kill(shards[1].pid, signal.SIGKILL)
    for line in run.process.stdout:
        after = json.loads(line)
        is_known = after["connections"]["open"] == 40
        if is_known and after["messages"]["received"] > snapshot["messages"]["received"] + 300:
            break
    run.signal()
    done = run.finish()
    assert done.code == 130
    assert done.closed == {"clean": 40, "abnormal": 20}
    assert done.report["verdict"] == "failed"
    assert "killed by SIGKILL" in done.report["verdict_reasons"][0]
    assert "20 open sockets" in done.report["verdict_reasons"][0]


def test_a_generator_that_is_killed_takes_its_shards_along(server, start_loadgen):
    run = start_loadgen("30", server.url, "--workers", "3", "--duration", "1h")
    shards = shards_of(run)
    everybody = [shards[0].parent(), *shards]
    run.signal(signal.SIGKILL)
    run.process.wait()
    assert are_gone(everybody)
    server.wait_closed()
    assert server.counts["closed 1000"] == 30  # with a goodbye, though nobody asked for one
    run.finish()


def test_a_refusal_of_the_whole_is_one_line(loadgen):
    done = loadgen("200000", "ws://127.0.0.1:9/", "--workers", "2")
    assert done.code == 2
    assert len(done.stderr.splitlines()) == 1
    assert "--workers" in done.stderr or "--source-ip" in done.stderr
