"""Check how often a fork server is asked, and what becomes of an order that comes to nothing."""

from __future__ import annotations

import errno
import os
import signal
import socket
from typing import Any

import pytest
import trio

from echo_trio.forks import server
from echo_trio.forks import starter as starter_module
from echo_trio.forks.starter import PATIENCE_S, Forked, Starter, _ForkServer


class FakeChild:
    """A child that comes as the test says."""

    def __init__(self, comes: Any) -> None:
        self.was_killed = False
        self._comes = comes

    async def started(self) -> bool:
        await trio.lowlevel.checkpoint()
        if isinstance(self._comes, BaseException):
            raise self._comes
        if self._comes is None:
            await trio.sleep_forever()
        return self._comes

    def kill(self) -> None:
        self.was_killed = True


class FakeServer:
    """A fork server whose children come as the test says, one after the other."""

    def __init__(self, children: list[Any], *, forks: bool = True) -> None:
        self.ordered = list[tuple[str, list[int]]]()
        self.children = [FakeChild(comes) for comes in children]
        self.has_ended = False
        self._forks = forks

    async def is_ready(self) -> bool:
        await trio.lowlevel.checkpoint()
        return self._forks

    def order(self, title: str, descriptors: list[int]) -> FakeChild:
        if self.has_ended:
            raise BrokenPipeError
        self.ordered.append((title, descriptors))
        return self.children[len(self.ordered) - 1]

    def end(self) -> None:
        self.has_ended = True


@pytest.fixture
def starting(monkeypatch: pytest.MonkeyPatch):
    """A starter with these fork servers, one after the other, and the programs it has started."""

    def make(*servers: FakeServer) -> tuple[Starter, list[Any], list[FakeServer]]:
        starter, spawned, left = Starter("a.module"), list[Any](), list(servers)
        monkeypatch.setattr(starter, "_forks", True)
        monkeypatch.setattr(starter, "_spawn_server", lambda: left.pop(0))

        def spawn(*what: Any) -> str:
            spawned.append(what)
            return "a program"

        monkeypatch.setattr(starter_module, "Spawned", spawn)
        return starter, spawned, left

    return make


async def test_one_server_is_asked_for_all_as_long_as_it_forks(starting) -> None:
    only = FakeServer([True, True])
    starter, spawned, left = starting(only)
    assert [await starter.start(title, [3]) for title in "ab"] == only.children
    assert only.ordered == [("a", [3]), ("b", [3])]
    assert (spawned, left, only.has_ended) == ([], [], False)
    assert [child.was_killed for child in only.children] == [False, False]
    starter.end()
    starter.end()
    assert only.has_ended


async def test_where_none_can_fork_it_is_asked_once_and_all_are_programs(starting) -> None:
    only = FakeServer([], forks=False)
    starter, spawned, _left = starting(only)
    for _ in range(2):
        assert await starter.start("a", [3, 4]) == "a program"
    assert spawned == [("a.module", [3, 4])] * 2
    assert (only.ordered, only.has_ended) == ([], True)


@pytest.mark.parametrize("first", [False, ConnectionResetError()])
async def test_one_that_is_gone_is_replaced_once_and_by_a_program_then(starting, first) -> None:
    gone, other, new = FakeServer([first]), FakeServer([first]), FakeServer([True])
    starter, spawned, left = starting(gone, new)
    assert await starter.start("a", [3]) is new.children[0]
    assert (gone.has_ended, gone.children[0].was_killed, new.has_ended) == (True, True, False)
    assert spawned == []
    gone = FakeServer([first])
    starter, spawned, left = starting(gone, other, FakeServer([True]))
    assert await starter.start("a", [3]) == "a program"
    assert (len(left), gone.has_ended, other.has_ended) == (1, True, True)
    assert len(spawned) == 1


async def test_one_that_does_not_answer_in_time_is_replaced(starting, autojump_clock) -> None:
    stopped, new = FakeServer([None]), FakeServer([True])
    starter, _spawned, _ = starting(stopped, new)
    began_s = trio.current_time()
    assert await starter.start("a", [3]) is new.children[0]
    assert trio.current_time() - began_s == pytest.approx(PATIENCE_S)
    assert (stopped.has_ended, stopped.children[0].was_killed) == (True, True)


async def test_a_start_that_is_cancelled_kills_its_child_alone(starting, autojump_clock) -> None:
    only = FakeServer([None, True])
    starter, spawned, _ = starting(only)
    with trio.move_on_after(1) as waiting:
        await starter.start("a", [3])
    assert waiting.cancelled_caught
    assert (only.children[0].was_killed, only.has_ended, spawned) == (True, False, [])
    assert await starter.start("b", [3]) is only.children[1]


async def test_a_machine_that_can_not_start_a_process_says_so(starting) -> None:
    only = FakeServer([OSError(errno.EAGAIN, "none is left"), True])
    starter, spawned, _ = starting(only)
    with pytest.raises(OSError, match="none is left"):
        await starter.start("a", [3])
    assert (spawned, only.has_ended) == ([], False)


async def test_starts_wait_for_one_another(starting, nursery, autojump_clock) -> None:
    only = FakeServer([None, True])
    starter, _, _ = starting(only, FakeServer([True]))
    nursery.start_soon(starter.start, "a", [3])
    nursery.start_soon(starter.start, "b", [3])
    await trio.sleep(1)
    assert [title for title, _ in only.ordered] in (["a"], ["b"])


def test_a_starter_that_is_entered_where_there_are_threads_forks_nothing(monkeypatch) -> None:
    monkeypatch.setattr(server, "count_threads", lambda: 2)
    monkeypatch.setattr(os, "fork", lambda: pytest.fail("it forks"))
    with Starter("a.module") as starter:
        assert starter._server is None


class Told:
    """A child that the fork server tells us about."""

    def __init__(self) -> None:
        ours, self.theirs = socket.socketpair(type=socket.SOCK_SEQPACKET)
        self.child = Forked(ours)

    def tell(self, what: str, *descriptors: int) -> None:
        socket.send_fds(self.theirs, [what.encode()], descriptors)


@pytest.fixture
def told():
    made = Told()
    yield made
    made.theirs.close()


async def test_a_child_is_known_by_its_number_and_then_by_its_code(told, monkeypatch) -> None:
    assert (told.child.pid, told.child.returncode) == (0, None)
    killed = list[Any]()
    monkeypatch.setattr(os, "kill", lambda *who: killed.append(who))
    told.child.send_signal(signal.SIGTERM)  # There is nobody yet.
    told.tell("started 4242")
    with trio.fail_after(60):
        assert await told.child.started()
    assert (told.child.pid, told.child.returncode) == (4242, None)
    told.child.send_signal(signal.SIGTERM)
    told.tell("ended -15")
    with trio.fail_after(60):
        assert await told.child.wait() == -15
    assert (told.child.returncode, told.child.pid) == (-15, 4242)
    told.child.send_signal(signal.SIGTERM)
    told.child.kill()
    assert killed == [(4242, signal.SIGTERM)]


async def test_one_that_ended_before_it_was_looked_at_has_both_its_number_and_its_code(
    told,
) -> None:
    told.tell("started 4242")
    told.tell("ended 3")
    assert told.child.returncode == 3
    assert told.child.pid == 4242
    assert await told.child.started()


async def test_of_one_whose_server_is_gone_nobody_knows_how_it_ended(told) -> None:
    reading, writing = os.pipe()  # as readable as the descriptor of a process that has ended
    told.tell("started 4242", reading)
    os.close(reading)
    told.theirs.close()
    assert told.child.returncode is None
    with trio.move_on_after(0.01) as waiting:
        await told.child.wait()
    assert waiting.cancelled_caught
    os.close(writing)
    with trio.fail_after(60):
        assert await told.child.wait() is None


async def test_one_whose_server_is_gone_before_it_was_there_has_not_started(told) -> None:
    told.theirs.close()
    with trio.fail_after(60):
        assert not await told.child.started()
    assert (told.child.pid, told.child.returncode) == (0, None)
    told.child.kill()


@pytest.mark.parametrize(("word", "is_ready"), [(server.READY, True), (b"", False), (None, False)])
async def test_a_server_is_ready_once_it_has_said_so(word: bytes | None, is_ready: bool) -> None:
    ours, theirs = socket.socketpair(type=socket.SOCK_SEQPACKET)
    ended = list[str]()

    class Process:
        def kill(self) -> None:
            ended.append("kill")

        def wait(self) -> None:
            ended.append("wait")

    made = _ForkServer(Process(), ours)  # type: ignore[arg-type]
    if word:
        theirs.send(word)
    else:
        theirs.close()
    with trio.fail_after(60):
        for _ in range(2):  # It is asked once, and remembered.
            assert await made.is_ready() is is_ready
    made.end()
    assert ended == ["kill", "wait"]
    assert ours.fileno() == -1
    theirs.close()
