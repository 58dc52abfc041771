"""The processes of one machine: as many as were asked for, and none without a socket."""

from __future__ import annotations

import math
import os
import signal
import socket
from typing import Any

import pytest
import trio
import trio.testing

from echo_trio.process_channel import Channel
from loadgen.preflight.check import Refused
from loadgen.processes import local, messages
from loadgen.processes.local import ProcessLink, explain_exit, start_shard, wait_for_end
from loadgen.processes.messages import LinkLost
from loadgen.workload.plan import Plan

STARTER: Any = object()


class Process:
    """A process that ends some time after it was told to, or was killed."""

    def __init__(self, code: int | None = 0, *, ends_s: float = 0.0, dies_s: float = 0.0) -> None:
        self.code, self.killed = code, 0
        self._ends_s, self._dies_s = trio.current_time() + ends_s, dies_s

    async def wait(self) -> int | None:
        await trio.sleep_until(self._ends_s)
        return self.code

    def kill(self) -> None:
        self.killed += 1
        self._ends_s, self.code = trio.current_time() + self._dies_s, -signal.SIGKILL


@pytest.mark.parametrize(
    ("code", "how"),
    [(None, "how it ended is not known"), (0, "it ended with exit code 0"),
     (1, "it ended with exit code 1"), (-9, "killed by SIGKILL"), (-1, "killed by SIGHUP")],
)  # fmt: skip
def test_an_end_is_told_by_code_or_signal(code: int | None, how: str) -> None:
    assert explain_exit(code) == how


@pytest.mark.parametrize(
    ("ends_s", "dies_s", "code", "killed", "took_s"),
    [(0.0, 0.0, 7, 0, 0.0), (4.9, 0.0, 7, 0, 4.9), (5.5, 0.0, -9, 1, 5.0), (99.0, 4.5, -9, 1, 9.5),
     (99.0, math.inf, None, 1, 10.0)],
)  # fmt: skip
async def test_a_process_has_five_seconds_to_end_is_killed_then_and_has_five_more_to_be_gone(
    autojump_clock: trio.testing.MockClock,
    ends_s: float, dies_s: float, code: int | None, killed: int, took_s: float,
) -> None:  # fmt: skip
    process: Any = Process(7, ends_s=ends_s, dies_s=dies_s)
    began_s = trio.current_time()
    assert await wait_for_end(process) == code
    assert (process.killed, round(trio.current_time() - began_s, 1)) == (killed, took_s)


async def test_a_link_carries_orders_and_words_and_says_how_its_process_was_lost() -> None:
    for is_killed in (False, True):
        ours, theirs = socket.socketpair()
        process: Any = Process(3)
        link = ProcessLink(Plan(1), process, ours)
        shard = Channel(theirs, messages.encode, messages.decode_order)
        await link.send(messages.Interrupt())
        assert await shard.hear() == messages.Interrupt()
        await shard.say(messages.Hello(9))
        assert await link.receive() == messages.Hello(9)
        if is_killed:
            link.kill("silent for 60 s")
        shard.close()
        how = "silent for 60 s" if is_killed else "it ended with exit code 3"
        with pytest.raises(LinkLost, match=how):
            await link.receive()
        assert (process.killed, link.worker) == (int(is_killed), None)
        await link.aclose()
        assert ours.fileno() == -1


async def test_a_shard_has_one_end_of_a_socket_and_no_end_is_left_if_it_can_not_be_started() -> (
    None
):
    made = list[socket.socket]()

    class Starter:
        async def start(self, module: str, descriptors: list[int]) -> Any:
            await trio.lowlevel.checkpoint()
            (descriptor,) = descriptors
            made.append(socket.socket(fileno=os.dup(descriptor)))
            if "bad" in module:
                raise OSError(11, "no more processes")
            return module

    starter: Any = Starter()
    process, ours = await start_shard(starter, "1/2")
    with ours, made[0] as theirs:
        assert process == "loadgen.processes.shard 1/2"
        ours.send(b"hello")
        assert theirs.recv(10) == b"hello"
    with pytest.raises(OSError, match="no more processes"):
        await start_shard(starter, "bad")
    with made[1] as theirs:
        theirs.settimeout(60)
        assert theirs.recv(10) == b""  # The other end is closed.


@pytest.mark.parametrize(("asked", "sockets", "count"), [(5, 2, 2), (2, 5, 2), (3, 3, 3)])
async def test_no_process_is_started_that_would_have_no_socket(
    monkeypatch: pytest.MonkeyPatch, asked: int, sockets: int, count: int
) -> None:
    told = list[str]()

    async def start(_: object, place: str) -> None:
        told.append(place)
        raise OSError(11, "no more processes")

    monkeypatch.setattr(local, "start_shard", start)
    with pytest.raises(Refused, match=f"--workers {count}: process 1 .*no more processes"):
        async with local.Processes(asked, STARTER).launch(Plan(sockets)):
            pass
    assert told == [f"1/{count}"]


async def test_each_process_has_its_part_of_the_plan_and_all_are_waited_for_in_the_end(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    started, ends = list[Any](), list[socket.socket]()

    async def start(starter: object, place: str) -> Any:
        assert starter is STARTER
        if len(started) == 3:
            raise OSError(11, "no more processes")
        ours, theirs = socket.socketpair()
        started.append((place, Process(0, ends_s=2.0)))
        ends.append(theirs)
        return started[-1][1], ours

    monkeypatch.setattr(local, "start_shard", start)
    plan, began_s = Plan(7), trio.current_time()
    async with local.Processes(3, STARTER).launch(plan) as links:
        assert [place for place, _ in started] == ["1/3", "2/3", "3/3"]
        assert [link.plan for link in links] == [plan.shard(index, 3) for index in range(3)]
    assert round(trio.current_time() - began_s, 1) == 2.0
    started.clear()
    with pytest.raises(Refused, match="--workers 5: process 4 can't be started: no more processes"):
        async with local.Processes(5, STARTER).launch(plan):
            pass
    for end in ends:
        with end:
            assert end.recv(10) == b""


async def test_preflight_is_done_once_for_all_and_leaves_names_without_address_to_the_shards(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = list[Any]()

    def check(plan: Plan, facts: object, *, processes: int) -> list[str]:
        asked.append((plan, facts, processes))
        return ["tight"]

    monkeypatch.setattr(local.check, "check", check)
    monkeypatch.setattr(local.machine, "gather", lambda addresses, sources: (addresses, sources))
    launcher = local.Processes(3, STARTER)
    plan = Plan(7, "ws://127.0.0.1:9/")
    assert await launcher.check(plan) == ["tight"]
    ((of, (addresses, _), processes),) = asked
    assert (of, [address[1] for address in addresses], processes) == (plan, [("127.0.0.1", 9)], 3)
    for nowhere in ("ws://no.such.name.invalid/", f"ws://{'a' * 64}.example/"):
        assert await launcher.check(Plan(7, nowhere)) == []
    assert len(asked) == 1
    assert (launcher.are_clocks_shared, launcher.scheduler) == (True, None)
    monkeypatch.setattr(local, "AVAILABLE", False)
    with pytest.raises(Refused, match="--workers 3 needs a system"):
        await launcher.check(plan)


def test_processes_are_had_where_sockets_are_inherited_and_signals_blocked() -> None:
    assert hasattr(signal, "pthread_sigmask") == local.AVAILABLE
