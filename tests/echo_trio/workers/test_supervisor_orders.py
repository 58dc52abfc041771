"""Test what a supervisor passes on to its workers: drains, certificates, faults, questions."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from echo_trio.metrics.counters import Outcome
from echo_trio.metrics.nursery_tree import TaskNode
from echo_trio.settings import Settings
from echo_trio.workers import supervisor as supervisor_module
from echo_trio.workers.channel import (
    AskReport,
    Drain,
    FaultsSet,
    Ready,
    Reload,
    SetFaults,
    ShowTasks,
    SnapshotReport,
    Start,
    Tasks,
)
from echo_trio.workers.supervisor import ANSWER_S, CHANGE_S, OWN_END_S

from .conftest import FakeWorker, Supervised, worker


@pytest.mark.parametrize("late_s", [0.0, 2.0])
async def test_a_drain_is_passed_on_and_who_has_not_ended_shortly_before_its_end_is_killed(
    supervise, autojump_clock, late_s: float
) -> None:
    served = supervise(drain_timeout_s=10.0)
    first, second = await served.both()
    await first.serve(worker(100, 40))
    await second.serve(worker(50, 5, 2))
    await trio.sleep(3)
    began_s = trio.current_time()
    served.it.drain(late_s)
    served.it.drain(1000.0)
    assert not any(place.listeners for place in served.it._places)
    for each in (first, second):
        order = await each.hear()
        assert isinstance(order, Drain)
        assert order.late_s == pytest.approx(late_s + OWN_END_S)
    await first.channel.say(SnapshotReport(worker(100, 0)))
    await wait_all_tasks_blocked()
    first.process.end(0)
    await served.end()
    assert trio.current_time() - began_s == pytest.approx(10 - OWN_END_S - late_s)
    assert (first.process.returncode, second.process.returncode) == (0, -9)
    now = served.it.snapshot()
    assert now.outcomes == {Outcome.CLEAN: 143, Outcome.DROPPED: 7}
    assert (now.close_codes, now.open, now.handshaking) == ({1001: 5}, 0, 0)
    assert (now.workers, now.draining, served.starter.ended) == (0, True, True)
    assert served.lines("a worker died, another takes its place") == []


@pytest.mark.parametrize(("drain_timeout_s", "own_s"), [(0.4, 0.1), (2.4, 0.6), (100.0, 0.6)])
async def test_workers_are_told_to_end_as_long_before_the_drains_end_as_they_are_killed(
    supervise, autojump_clock, drain_timeout_s: float, own_s: float
) -> None:
    served = supervise(drain_timeout_s=drain_timeout_s)
    workers = await served.both()
    for each in workers:
        await each.serve(worker(10, 1))
    began_s = trio.current_time()
    served.it.drain()
    for each in workers:
        assert await each.hear() == Drain(pytest.approx(own_s))
    await served.end()
    assert trio.current_time() - began_s == pytest.approx(drain_timeout_s - own_s)
    assert [each.process.returncode for each in workers] == [-9, -9]


async def test_a_drain_ends_with_the_last_worker_and_nobody_is_awaited_who_is_not_there(
    supervise, autojump_clock
) -> None:
    served = supervise(drain_timeout_s=1000.0)
    first, second = await served.both()
    await first.serve(worker(1, 0))
    await second.serve(worker(1, 0))
    first.process.kill()
    await wait_all_tasks_blocked()
    began_s = trio.current_time()
    served.it.drain()
    assert isinstance(await second.hear(), Drain)
    second.process.end(0)
    await served.end()
    assert trio.current_time() == began_s
    with pytest.raises(trio.WouldBlock):
        served.starter.take.receive_nowait()


async def test_one_that_is_told_to_stop_before_it_serves_stops_as_any_other(
    supervise, autojump_clock
) -> None:
    served = supervise()
    workers = await served.both()
    served.it.drain()
    for each in workers:
        assert isinstance(await each.hear(), Start)
        assert isinstance(await each.hear(), Drain)
        each.process.end(0)
    await served.end()
    assert (served.failed, served.started_s is None) == ("", False)


async def test_whoever_ends_it_ends_its_workers(autojump_clock) -> None:
    async with trio.open_nursery() as nursery:
        served = Supervised()
        nursery.start_soon(served.run)
        workers = await served.both()
        await workers[0].serve(worker(10, 3))
        nursery.cancel_scope.cancel()
    assert [each.process.returncode for each in workers] == [-9, -9]
    assert served.starter.ended
    assert served.it.snapshot().outcomes == {Outcome.CLEAN: 7, Outcome.DROPPED: 3}


async def test_each_worker_reads_the_certificate_again_if_it_can_be_used(
    supervise, autojump_clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    problems = list[OSError]()

    def read_certificate(_: Settings) -> None:
        if problems:
            raise problems[0]

    monkeypatch.setattr(supervisor_module, "tls_context_of", read_certificate)
    served = supervise(tls_cert=Path("cert.pem"))
    assert served.it.url.startswith("wss://")
    workers = await served.both()
    for each in workers:
        await each.serve(worker(1, 0))
    served.it.reload()
    for each in workers:
        assert await each.hear() == Reload()
    problems.append(OSError(errno.ENOENT, "no such file"))
    served.it.reload()
    await wait_all_tasks_blocked()
    (line,) = served.lines("the certificate stays as it was")
    assert (line["reason"], line["log_level"]) == ("no such file", "error")
    problems.clear()
    served.it.reload()
    await wait_all_tasks_blocked()
    workers[0].process.kill()
    workers[0] = await served.next()  # It has read what there is by now.
    await workers[0].serve(worker(1, 0))
    assert await workers[1].hear() == Reload()
    served.it.drain()
    for each in workers:
        assert isinstance(await each.hear(), Drain)


async def test_without_a_certificate_no_worker_is_bothered(supervise, autojump_clock) -> None:
    served = supervise()
    workers = await served.both()
    for each in workers:
        await each.serve(worker(1, 0))
    served.it.reload()
    await wait_all_tasks_blocked()
    assert len(served.lines("there is no certificate to read again")) == 1
    served.it.drain()
    for each in workers:
        assert isinstance(await each.hear(), Drain)


async def test_faults_hold_once_every_worker_has_said_so_or_has_had_its_time(
    supervise, autojump_clock, nursery
) -> None:
    served = supervise(upstream="ws://127.0.0.1:1", fault="~silent")
    assert served.it.faults == "~silent"
    workers = await served.both()
    starts = [await each.serve(worker(1, 0)) for each in workers]
    assert {start.settings.fault for start in starts} == {"~silent"}
    held = dict[str, float]()

    async def change(text: str) -> None:
        await served.it.set_faults(text)
        held[text] = trio.current_time()

    began_s = trio.current_time()
    nursery.start_soon(change, "~delay/1s")
    for each in workers:
        assert await each.hear() == SetFaults("~delay/1s")
        assert held == {}
        await trio.sleep(1)
        await each.channel.say(FaultsSet("~delay/1s"))
        await wait_all_tasks_blocked()
    assert held == {"~delay/1s": pytest.approx(began_s + 2)}
    assert served.lines("a worker has not yet said that the faults hold") == []

    began_s = trio.current_time()
    nursery.start_soon(change, "~drop/3")
    assert await workers[0].hear() == SetFaults("~drop/3")
    await workers[0].channel.say(FaultsSet("~drop/3"))
    await trio.sleep(CHANGE_S + 1)
    assert held["~drop/3"] == pytest.approx(began_s + CHANGE_S)
    (line,) = served.lines("a worker has not yet said that the faults hold")
    assert line["faults"] == "~drop/3"

    with pytest.raises(ValueError, match="~nothing is no fault"):
        await served.it.set_faults("~nothing")
    assert (served.it.faults, served.it.snapshot().faults) == ("~drop/3", "~drop/3")
    assert served.it.snapshot().upstream == "ws://127.0.0.1:1"
    workers[0].process.kill()
    successor = await served.next()
    assert (await successor.serve(worker(1, 0))).settings.fault == "~drop/3"
    served.it.drain()
    assert isinstance(await successor.hear(), Drain)


async def test_who_changes_faults_does_not_wait_for_what_another_has_changed_since(
    supervise, autojump_clock, nursery
) -> None:
    served = supervise(upstream="ws://127.0.0.1:1")
    workers = await served.both()
    for each in workers:
        await each.serve(worker(1, 0))
    began_s, held = trio.current_time(), dict[str, float]()

    async def change(text: str) -> None:
        await served.it.set_faults(text)
        held[text] = trio.current_time() - began_s

    for text in ("~drop/3", "~silent"):
        nursery.start_soon(change, text)
        for each in workers:
            assert await each.hear() == SetFaults(text)
        await wait_all_tasks_blocked()
    for each in workers:
        await each.channel.say(FaultsSet("~silent"))
    await trio.sleep(CHANGE_S + 1)
    assert held == {"~drop/3": pytest.approx(0), "~silent": pytest.approx(0)}
    assert served.lines("a worker has not yet said that the faults hold") == []
    served.it.drain()
    for each in workers:
        assert isinstance(await each.hear(), Drain)


async def test_who_changes_faults_does_not_wait_for_a_worker_that_has_died_meanwhile(
    supervise, autojump_clock, nursery
) -> None:
    served = supervise(upstream="ws://127.0.0.1:1")
    workers = await served.both()
    for each in workers:
        await each.serve(worker(1, 0))
    began_s, held = trio.current_time(), list[float]()

    async def change() -> None:
        await served.it.set_faults("~silent")
        held.append(trio.current_time() - began_s)

    nursery.start_soon(change)
    for each in workers:
        assert await each.hear() == SetFaults("~silent")
    await workers[0].channel.say(FaultsSet("~silent"))
    await wait_all_tasks_blocked()
    workers[1].process.kill()
    successor = await served.next()
    assert (await successor.serve(worker(1, 0))).settings.fault == "~silent"
    await trio.sleep(CHANGE_S + 1)
    assert held == [pytest.approx(0)]
    assert served.lines("a worker has not yet said that the faults hold") == []
    served.it.drain()
    for each in (workers[0], successor):
        assert isinstance(await each.hear(), Drain)


async def test_the_tasks_are_those_of_the_workers_that_answer_in_time(
    supervise, autojump_clock, nursery
) -> None:
    served = supervise()
    workers = await served.both()
    for each in workers:
        await each.serve(worker(1, 0))
    trees = list[TaskNode]()

    async def ask() -> None:
        trees.append(await served.it.tasks())

    async def answer(each: FakeWorker, tree: TaskNode) -> None:
        assert await each.hear() == ShowTasks()
        await each.channel.say(Tasks(tree))

    nursery.start_soon(ask)
    await answer(workers[0], TaskNode("one", 1))
    await answer(workers[1], TaskNode("other", 2))
    await wait_all_tasks_blocked()
    began_s = trio.current_time()
    nursery.start_soon(ask)
    await answer(workers[1], TaskNode("new", 3))
    while len(trees) < 2:
        await trio.sleep(0.1)
    assert trio.current_time() - began_s == pytest.approx(ANSWER_S, abs=0.11)
    shown = [[child for child in tree.children if child.name.startswith("worker ")]
             for tree in trees]  # fmt: skip
    assert shown == [
        [
            TaskNode("worker 1", 1, (TaskNode("one", 1),)),
            TaskNode("worker 2", 1, (TaskNode("other", 2),)),
        ],
        [TaskNode("worker 2", 1, (TaskNode("new", 3),))],
    ]
    assert all(tree.children[: -len(its)] for tree, its in zip(trees, shown, strict=True))
    workers[0].process.kill()  # Who is not there is not asked.
    await wait_all_tasks_blocked()
    began_s = trio.current_time()
    nursery.start_soon(ask)
    await answer(workers[1], TaskNode("last", 4))
    await wait_all_tasks_blocked()
    assert (len(trees), trio.current_time()) == (3, began_s)


async def test_who_asks_is_shown_what_workers_answer_and_not_what_they_had_reported(
    supervise, autojump_clock, nursery
) -> None:
    served = supervise()
    first, second = await served.both()
    for each in (first, second):
        await each.serve(worker(1, 0))
    shown = list[int]()

    async def ask() -> None:
        shown.append((await served.it.ask()).accepted)

    async def answer(each: FakeWorker, accepted: int) -> None:
        question = await each.hear()
        assert isinstance(question, AskReport)
        await each.channel.say(SnapshotReport(worker(accepted, 0), question.number))
        await wait_all_tasks_blocked()

    began_s = trio.current_time()
    nursery.start_soon(ask)
    await answer(first, 10)
    assert shown == []
    for each, accepted in ((first, 10), (second, 50)):  # This answers nothing, and undoes nothing.
        await each.channel.say(SnapshotReport(worker(accepted, 0)))
    await wait_all_tasks_blocked()
    assert shown == []
    await answer(second, 100)
    assert (shown, trio.current_time()) == ([110], began_s)

    # Who asks while another waits is not served by the answer to that.
    nursery.start_soon(ask)
    earlier = await first.hear()
    await answer(second, 200)
    nursery.start_soon(ask)
    await wait_all_tasks_blocked()
    await first.channel.say(SnapshotReport(worker(20, 0), earlier.number))
    await wait_all_tasks_blocked()
    assert shown == [110, 220]
    await answer(second, 300)
    assert shown == [110, 220]
    await answer(first, 30)
    assert shown == [110, 220, 330]

    # One that doesn't answer in time is shown as it was, and one that dies is not waited for.
    nursery.start_soon(ask)
    await answer(second, 400)
    await trio.sleep(ANSWER_S + 0.01)
    assert shown[3:] == [430]
    nursery.start_soon(ask)
    await answer(second, 500)
    began_s = trio.current_time()
    first.process.kill()
    await wait_all_tasks_blocked()
    assert (shown[4:], trio.current_time()) == ([530], began_s)
    # Who takes its place has reported when it serves, and is asked from then on.
    successor = await served.next()
    nursery.start_soon(ask)
    await successor.serve(worker(7, 0))
    await answer(second, 600)
    assert shown[5:] == [637]
    nursery.start_soon(ask)
    await answer(second, 700)
    await answer(successor, 8)
    assert shown[6:] == [738]


async def test_who_does_not_serve_yet_is_not_asked(supervise, autojump_clock, nursery) -> None:
    served = supervise()
    first, second = await served.both()
    await first.serve(worker(3, 0))
    assert isinstance(await second.hear(), Start)
    shown = list[int]()

    async def ask() -> None:
        shown.append((await served.it.ask()).accepted)

    nursery.start_soon(ask)
    question = await first.hear()
    await first.channel.say(SnapshotReport(worker(4, 0), question.number))
    await wait_all_tasks_blocked()
    assert shown == [4]
    await second.channel.say(SnapshotReport(worker(10, 0)))
    await second.channel.say(Ready())
    await wait_all_tasks_blocked()
    nursery.start_soon(ask)
    for each, accepted in ((first, 5), (second, 11)):
        question = await each.hear()
        assert question == AskReport(2)
        await each.channel.say(SnapshotReport(worker(accepted, 0), question.number))
        await wait_all_tasks_blocked()
    assert shown == [4, 16]
