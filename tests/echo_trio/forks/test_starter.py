"""Processes are forked, know nothing of each other, and end as new programs do."""

from __future__ import annotations

import errno
import json
import os
import select
import signal
import socket
import subprocess
import sys
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
import trio

from echo_trio.forks import server
from echo_trio.forks import starter as starter_module
from echo_trio.forks.starter import Forked, Spawned, Starter

MODULE = "children"
#: A hang guard, nothing else.
PATIENCE_S = 120.0


@pytest.fixture(autouse=True, scope="module")
def children_can_be_imported():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parent))
        yield


@pytest.fixture(scope="module")
def shared(children_can_be_imported):
    """One fork server for the tests that leave it as it was: a new program, as we have threads."""
    starter = Starter(MODULE)
    yield starter
    starter.end()


@pytest.fixture
def own():
    starter = Starter(MODULE)
    yield starter
    starter.end()


class Child:
    """A process of `children.py`, and what it said."""

    def __init__(self, process, sock):
        self.process, self._sock = process, sock

    async def read(self):
        line = b""
        with trio.fail_after(PATIENCE_S):
            while not line.endswith(b"\n"):
                data = await self._sock.recv(4096)
                assert data, "it ended without a word"
                line += data
        self.said = json.loads(line)

    async def end(self, order=b"0"):
        await self._sock.send(order)
        with trio.fail_after(PATIENCE_S):
            return await self.process.wait()


@asynccontextmanager
async def child(starter, title="a title", *more):
    ours, theirs = socket.socketpair()
    with theirs:
        process = await starter.start(title, [theirs.fileno(), *more])
    with trio.socket.from_stdlib_socket(ours) as sock:
        started = Child(process, sock)
        await started.read()
        assert started.said["pid"] == process.pid
        yield started


def pid_of(starter):
    return starter._server._process.pid


async def test_a_child_has_what_it_was_given_and_nothing_of_the_others(shared):
    reading, writing = os.pipe()
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(child(shared, "the first", reading))
        second = await stack.enter_async_context(child(shared, "the second", writing))
        for number in (reading, writing):
            os.close(number)
        assert isinstance(first.process, Forked)
        own = []
        for each in (first, second):
            files = each.said["files"].values()
            assert sum(file.startswith("pipe:") for file in files) == 1
            sockets = {file for file in files if file.startswith("socket:")}
            # stderr may be one, of whoever runs the tests.
            own.append(sockets - {each.said["files"]["2"]})
            assert (each.said["files"]["0"], each.said["files"]["1"]) == ("/dev/null", "/dev/null")
        assert [len(sockets) for sockets in own] == [1, 1]
        assert own[0] != own[1]
        assert (first.said["title"], second.said["title"]) == ("the first", "the second")
        assert first.said["chance"] != second.said["chance"]
        assert first.said["blocked"] == second.said["blocked"] == sorted(server.FOR_THE_PARENT)


async def test_when_the_last_that_has_a_socket_ends_it_is_closed(shared):
    """So the fork server and the other children have kept none of it."""
    ours, theirs = socket.socketpair()
    ours.settimeout(PATIENCE_S)
    with ours:
        async with child(shared, "the heir", theirs.fileno()) as heir, child(shared, "another"):
            theirs.close()
            assert await heir.end() == 0
            assert ours.recv(1) == b""


async def test_of_processes_that_have_ended_no_file_is_kept_here_or_in_the_fork_server(shared):
    async def live_and_die():
        async with child(shared, "short-lived") as each:
            await each.end()

    def count_files():
        return [len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in ("self", pid_of(shared))]

    await live_and_die()  # The fork server is there by now.
    before = count_files()
    for _ in range(5):
        await live_and_die()
    # It lets go of a child right behind its last word, which may be a moment too late for us.
    assert all(now <= then + 1 for now, then in zip(count_files(), before, strict=True))


@pytest.mark.parametrize(
    ("order", "code"), [(b"7", 7), (b"exit 3", 3), (b"raise", 1), (b"", 0)], ids=repr
)
async def test_it_ends_as_a_program_does(shared, order, code):
    async with child(shared) as started:
        if not order:
            started._sock.shutdown(socket.SHUT_WR)
            assert await started.process.wait() == code
        else:
            assert await started.end(order) == code
        assert started.process.returncode == code
        started.process.kill()  # It is gone: nothing happens.


async def test_one_that_is_killed_is_told_by_its_signal(shared):
    async with child(shared) as started:
        started.process.kill()
        assert await started.process.wait() == -signal.SIGKILL


async def test_a_fork_server_that_was_killed_is_replaced_and_its_children_go_on(own):
    async with child(own) as orphan:
        os.kill(pid_of(own), signal.SIGKILL)
        async with child(own) as later:
            assert isinstance(later.process, Forked)
            assert await later.end(b"4") == 4
        with trio.move_on_after(0.1) as waiting:
            await orphan.process.wait()
        assert waiting.cancelled_caught  # It runs still.
        # Nobody knows how, but that it has ended is seen.
        assert await orphan.end(b"5") is None


async def test_a_fork_server_that_was_stopped_is_replaced(own, monkeypatch):
    async with child(own) as first:
        os.kill(pid_of(own), signal.SIGSTOP)
        monkeypatch.setattr(starter_module, "PATIENCE_S", 0.2)
        async with child(own) as second:
            assert await second.end(b"6") == 6
        first.process.kill()
        assert await first.process.wait() is None


async def test_nobody_is_left_of_a_start_that_was_cancelled(own):
    async with child(own):
        ours, theirs = socket.socketpair()
        os.kill(pid_of(own), signal.SIGSTOP)
        with trio.move_on_after(0.1) as start, theirs:
            await own.start("unwanted", [theirs.fileno()])
        assert start.cancelled_caught
        os.kill(pid_of(own), signal.SIGCONT)
        with trio.socket.from_stdlib_socket(ours) as sock:
            while await sock.recv(4096):  # It may come to say what it is.
                pass


async def test_a_fork_that_fails_is_an_error_of_the_system(shared, tmp_path, monkeypatch):
    (tmp_path / "full.py").write_text(
        "import errno, os\n"
        "def fork(): raise OSError(errno.EAGAIN, 'none is left')\n"
        "os.fork = fork\n"
        "def main(descriptors): pass\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    starter = Starter("full")
    with pytest.raises(OSError, match=os.strerror(errno.EAGAIN)):
        await starter.start("one too many", [0])
    starter.end()


async def test_a_fork_that_failed_is_told_to_who_awaits_its_start_and_not_to_who_kills_it():
    ours, theirs = socket.socketpair(type=socket.SOCK_SEQPACKET)
    process = Forked(ours)
    with theirs:
        theirs.send(f"{server.FAILED} {errno.EAGAIN}".encode())
        process.kill()
        assert process.returncode is None
        with pytest.raises(OSError, match=os.strerror(errno.EAGAIN)):
            await process.started()


async def test_where_an_import_starts_a_thread_processes_are_new_programs(tmp_path, monkeypatch):
    (tmp_path / "threaded.py").write_text(
        "import sys, threading\n"
        "threading.Thread(target=threading.Event().wait, daemon=True).start()\n"
        "def main(descriptors): return len(descriptors)\n"
        "if __name__ == '__main__': sys.exit(main(sys.argv[1:]))\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    starter = Starter("threaded")
    process = await starter.start("a thread", [0, 1, 2])
    assert isinstance(process, Spawned)
    assert await process.wait() == 3


def test_a_parent_that_wants_nothing_after_all_is_no_error(capfd):
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-m", server.TITLE, MODULE, str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
        )
    with ours:
        # It has said that it is ready, and nobody reads that.
        assert select.select([ours], [], [], PATIENCE_S)[0]
    assert process.wait(PATIENCE_S) == 0
    assert capfd.readouterr().err == ""
