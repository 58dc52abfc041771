"""Shards on workers of a cluster that the test plays: Dask itself is the integration tests'."""

from __future__ import annotations

import asyncio
import logging
import queue
import socket
import threading
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import trio

from echo_trio.process_channel import frame
from loadgen.preflight.check import Refused
from loadgen.processes import messages
from loadgen.processes.messages import LinkLost
from loadgen.processes.placement import Network
from loadgen.workload.plan import Plan

dask = pytest.importorskip("loadgen.processes.dask")

PATIENCE_S = 60
HELLO, STOP = messages.encode(messages.Hello(7)), messages.encode(messages.Interrupt())


# -- On a worker --------------------------------------------------------------------------------


class Line(queue.Queue):
    """A queue of the scheduler's, as a worker has it."""

    def get(self, timeout=None):
        try:
            return super().get(timeout=0 if timeout == "at once" else PATIENCE_S)
        except queue.Empty:
            raise TimeoutError from None

    def all(self):
        taken = []
        while not self.empty():
            taken.append(self.get())
        return taken


class Process:
    killed = 0

    def kill(self):
        self.killed += 1


@pytest.fixture
def worker(monkeypatch):
    """A worker: its queues by name, what it starts, and the shard's end of the socket to it."""
    made = SimpleNamespace(lines={}, started=[], process=Process(), ended=0)
    made.sock, made.shard = socket.socketpair()

    @contextmanager
    def start(title):
        made.started.append(title)
        yield made.process, made.sock
        made.ended += 1

    async def wait_for_end(process):
        assert process is made.process
        return 3

    def find(name, client):
        assert client == "client"
        return made.lines.setdefault(name, Line())

    monkeypatch.setattr(dask, "get_client", lambda: "client")
    monkeypatch.setattr(dask, "Queue", find)
    monkeypatch.setattr(dask, "_STARTER", SimpleNamespace(start=start))
    monkeypatch.setattr(dask, "wait_for_end", wait_for_end)
    with made.sock, made.shard:
        made.shard.settimeout(PATIENCE_S)
        yield made


def test_words_go_up_and_orders_down_until_the_shard_has_ended(worker):
    down = worker.lines["run-2"] = Line()
    for message in (["go", b""], ["order", STOP], ["hold", b""], ["kill", b""], ["order", b"x"]):
        down.put(message)
    relaying = threading.Thread(target=dask.relay, args=("run", 2))
    relaying.start()
    orders = frame(STOP) + frame(b"x")
    heard = b""
    while len(heard) < len(orders):
        heard += worker.shard.recv(len(orders) - len(heard))
    assert heard == orders
    worker.shard.sendall(frame(HELLO) + frame(b"y" * 70_000))
    worker.shard.close()
    relaying.join(PATIENCE_S)
    assert not relaying.is_alive()
    assert worker.lines["run-up"].all() == [
        [2, "word", HELLO], [2, "word", b"y" * 70_000], [2, "ended", "it ended with exit code 3"]
    ]  # fmt: skip
    assert (worker.started, worker.ended, worker.process.killed) == (["3"], 1, 1)
    assert (down.all(), worker.sock.fileno()) == ([], -1)


@pytest.mark.parametrize("found", [["hold", b""], ["order", STOP], None])
def test_a_task_that_is_run_a_second_time_starts_nothing(worker, monkeypatch, found):
    down = worker.lines["run-0"] = Line()
    if found is None:
        monkeypatch.setattr(dask, "HOLD_TIMEOUT_S", "at once")
    else:
        down.put(found)
    dask.relay("run", 0)
    assert (worker.started, worker.lines["run-up"].all()) == ([], [])


@pytest.mark.parametrize("is_told", [True, False])
def test_a_shard_whose_coordinator_says_nothing_more_finds_its_channel_closed(
    worker, monkeypatch, is_told
):
    down = Line()
    down.put(["hold", b""])
    if is_told:
        down.put(["done", b""])
        down.put(["order", b"late"])
    else:
        monkeypatch.setattr(dask, "HOLD_TIMEOUT_S", "at once")
    dask._carry_down(down, worker.sock, worker.process)
    assert worker.shard.recv(100) == b""
    worker.shard.sendall(b"still heard")
    assert worker.sock.recv(100) == b"still heard"


def test_a_worker_tells_its_limit_and_which_addresses_are_its_own(monkeypatch):
    monkeypatch.setattr(dask.machine, "own_sources", lambda text: [f"{text}/1", f"{text}/2"])
    monkeypatch.setattr(dask.machine, "network", lambda: "net")
    monkeypatch.setattr(dask.process, "file_limit", lambda *, hard: 500 if hard else 100)
    assert dask.look_around(("a", "b")) == (500, Network("net", (("a/1", "a/2"), ("b/1", "b/2"))))


def test_workers_wait_for_ten_signs_of_life():
    assert dask.HOLD_TIMEOUT_S == 10 * dask.HOLD_INTERVAL_S


# -- Where the run is shown ---------------------------------------------------------------------


@pytest.fixture
async def link():
    told = []
    thread = SimpleNamespace(tell=lambda *what: told.append(what))
    made = dask.DaskLink(4, Plan(1), "w", thread)
    made.told = told
    return made


async def test_orders_and_words_are_those_of_its_shard(link):
    await link.send(messages.Interrupt())
    assert link.told == [(4, "order", STOP)]
    link.hear(HELLO)
    link.lose("killed by SIGKILL")
    assert await link.receive() == messages.Hello(7)
    with pytest.raises(LinkLost, match="killed by SIGKILL"):
        await link.receive()


async def test_who_is_killed_is_lost_for_that_reason_whatever_is_heard_later(link):
    link.hear(HELLO)
    link.kill("silent")
    link.lose("it ended with exit code 1")
    assert link.told == [(4, "kill", b"")]
    assert await link.receive() == messages.Hello(7)
    for _ in range(2):
        with pytest.raises(LinkLost, match="silent"):
            await link.receive()


class Awaited:
    """What is made by awaiting it, as Dask's own are."""

    def __await__(self):
        yield from asyncio.sleep(0).__await__()
        return self


class Scheduler:
    """A cluster: its workers, its queues, and what was submitted to it."""

    def __init__(self):
        self.workers = {
            "w1": {"nthreads": 2, "memory_limit": 2**34},
            "w2": {"nthreads": 1, "memory_limit": None},
        }
        self.around = {name: (10_000, Network(name, ())) for name in self.workers}
        self.lines, self.tasks, self.futures, self.asked = {}, [], [], []
        self.closed, self.problem = 0, None

    def put(self, name, item):
        """Put something into a queue, from outside of its loop."""
        line = self.lines[name]
        line.loop.call_soon_threadsafe(line.items.put_nowait, item)

    def told(self, index):
        """What was put for a shard, without signs of life."""
        (line,) = (line for name, line in self.lines.items() if name.endswith(f"-{index}"))
        return [item for item in line.put_in if item[0] != "hold"]

    def make_client(self, address, *, asynchronous, timeout):
        if self.problem is not None:
            raise self.problem
        self.asked.append((address, asynchronous, timeout))
        return Client(self)

    def make_queue(self, name, *, client):
        return self.lines.setdefault(name, SchedulersLine())


class Client(Awaited):
    def __init__(self, scheduler):
        self.of, self.scheduler = scheduler, self

    async def identity(self):
        return {"workers": self.of.workers}

    async def run(self, what, *arguments, on_error):
        assert (what, on_error) == (dask.look_around, "return")
        return self.of.around

    def submit(self, what, *arguments, **how):
        assert what is dask.relay
        self.of.tasks.append((arguments, how))
        self.of.futures.append(Future())
        return self.of.futures[-1]

    async def close(self):
        self.of.closed += 1


class Future:
    status = "pending"

    async def exception(self):
        return ValueError("no such module")


class SchedulersLine(Awaited):
    def __init__(self):
        self.loop, self.items, self.put_in = asyncio.get_running_loop(), asyncio.Queue(), []

    async def put(self, item):
        self.put_in.append(item)

    async def get(self):
        item = await self.items.get()
        if isinstance(item, Exception):
            raise item
        return item


@pytest.fixture
def scheduler(monkeypatch):
    made = Scheduler()
    monkeypatch.setattr(dask, "Client", made.make_client)
    monkeypatch.setattr(dask, "Queue", made.make_queue)
    monkeypatch.setattr(dask, "HOLD_INTERVAL_S", 0.005)
    monkeypatch.setattr(dask, "LOOK_INTERVAL_S", 0.005)
    return made


async def wait_for(holds):
    with trio.fail_after(PATIENCE_S):
        while not holds():
            await trio.sleep(0.002)


async def hear(link):
    with trio.fail_after(PATIENCE_S):
        return await link.receive()


async def test_shards_are_dealt_to_the_workers_and_talk_with_them(scheduler):
    plan = Plan(7)
    async with dask.Cluster("tcp://s").launch(plan) as links:
        assert scheduler.asked == [("tcp://s", True, dask.CONNECT_TIMEOUT_S)]
        assert sorted(link.worker for link in links) == ["w1", "w1", "w2"]
        assert [link.plan for link in links] == [plan.shard(index, 3) for index in range(3)]
        (run,) = {arguments[0] for arguments, _ in scheduler.tasks}
        for index, (arguments, how) in enumerate(scheduler.tasks):
            assert arguments == (run, index)
            assert how == {
                "key": f"{run}-{index}", "pure": False, "retries": 0,
                "workers": [links[index].worker], "allow_other_workers": False,
            }  # fmt: skip
            assert scheduler.told(index) == [["go", b""]]
        await links[1].send(messages.Interrupt())
        await wait_for(lambda: len(scheduler.told(1)) == 2)
        assert scheduler.told(1) == [["go", b""], ["order", STOP]]
        assert scheduler.told(0) == scheduler.told(2) == [["go", b""]]
        for index in (2, 0):
            scheduler.put(f"{run}-up", [index, "word", messages.encode(messages.Hello(index))])
            assert await hear(links[index]) == messages.Hello(index)
        scheduler.put(f"{run}-up", [1, "ended", "it ended with exit code 2"])
        with pytest.raises(LinkLost, match="exit code 2"):
            await hear(links[1])
        lines = [line for name, line in scheduler.lines.items() if not name.endswith("up")]
        await wait_for(lambda: all(line.put_in[-1] == ["hold", b""] for line in lines))
        assert not scheduler.closed
    assert scheduler.closed == 1
    await links[0].send(messages.Interrupt())  # Nobody is there any more: that is no error.


async def test_no_more_shards_are_started_than_are_wanted(scheduler):
    async with dask.Cluster("tcp://s", 2).launch(Plan(7)) as links:
        assert [link.plan.count for link in links] == [4, 3]


async def test_a_shard_whose_worker_or_task_is_gone_is_lost_once(scheduler):
    async with dask.Cluster("tcp://s").launch(Plan(7)) as links:
        there, gone = ([link for link in links if link.worker == name] for name in ("w1", "w2"))
        del scheduler.workers["w2"]
        with pytest.raises(LinkLost, match="its worker w2 left the cluster"):
            await hear(gone[0])
        failing = links.index(there[1])
        scheduler.futures[failing].status = "error"
        with pytest.raises(LinkLost, match="its task failed on w1: no such module"):
            await hear(there[1])
        await trio.sleep(0.05)
        with trio.move_on_after(0.01) as scope:
            await links[failing].receive()
        assert scope.cancelled_caught


async def test_when_the_scheduler_is_gone_all_shards_are_lost(scheduler):
    async with dask.Cluster("tcp://s").launch(Plan(7)) as links:
        (up,) = (name for name in scheduler.lines if name.endswith("-up"))
        scheduler.put(up, RuntimeError("stream is closed"))
        for link in links:
            with pytest.raises(LinkLost, match="the scheduler is gone"):
                await hear(link)
    assert scheduler.closed == 1


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"problem": OSError("x")}, "--dask tcp://s: no scheduler answers there"),
        ({"problem": ValueError("x")}, "no scheduler answers there"),
        ({"problem": TimeoutError()}, "no scheduler answers there"),
        ({"problem": RuntimeError("one\ntwo")}, "^--dask: one$"),
        ({"problem": RuntimeError()}, "^--dask: RuntimeError$"),
        ({"workers": {}}, "the scheduler has no workers"),
        ({"around": {"w1": ImportError("no loadgen")}}, r"worker w1 can't run a shard \(no loadg"),
        ({"around": {"w2": (50, Network("n", ()))}}, "1 workers with 1 threads.* 50 files"),
    ],
)
async def test_a_cluster_that_can_not_run_it_says_why(scheduler, changes, why):
    for name, value in changes.items():
        setattr(scheduler, name, value)
    with pytest.raises(Refused, match=why):
        async with dask.Cluster("tcp://s").launch(Plan(700)):
            pass


@pytest.mark.parametrize(("last", "named"), [("10.0.255.255", 65_536), ("10.1.0.0", 65_537)])
async def test_as_many_addresses_are_taken_as_each_worker_can_try(last, named):
    cluster = dask.Cluster("tcp://s")
    assert (cluster.scheduler, cluster.are_clocks_shared) == ("tcp://s", False)
    plan = Plan(1, source_ips=(f"10.0.0.0-{last}",))
    if named <= 65_536:
        assert await cluster.check(plan) == []
    else:
        with pytest.raises(Refused, match=f"names {named:,} addresses"):
            await cluster.check(plan)


def test_dask_logs_nothing_and_others_as_before():
    loud, other = logging.getLogger("distributed.x.y"), logging.getLogger("distributedly")
    before = other.level
    loud.setLevel(logging.DEBUG)
    dask._silence_dask()
    assert not loud.isEnabledFor(logging.CRITICAL)
    assert not logging.getLogger("distributed").isEnabledFor(logging.CRITICAL)
    assert other.level == before


async def test_a_worker_hears_from_us_ten_times_in_the_time_that_it_waits(monkeypatch):
    class Enough(Exception):
        pass

    class Down(list):
        async def put(self, message):
            self.append(message)

    async def sleep(seconds):
        slept.append(seconds)
        if len(slept) > 3:
            raise Enough

    slept, downs = [], [Down(), Down()]
    monkeypatch.setattr(dask.asyncio, "sleep", sleep)
    with pytest.raises(Enough):
        await dask._DaskThread._hold(None, downs)
    assert [len(down) for down in downs] == [3, 3]
    assert max(slept) <= dask.HOLD_TIMEOUT_S / 10
