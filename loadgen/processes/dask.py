"""Run shards on the workers of a Dask cluster; imported only where --dask is given.

On each worker a task starts the same process that `--workers` starts, and carries messages between
it and the scheduler's queues: so the load shares no interpreter with Dask, and ends in good order
if its worker dies. No task is run again elsewhere: a shard that is gone is written off.

    orders: DaskLink ─► _DaskThread ─► a queue for each shard ─► relay ─► the shard's process
    words:  DaskLink ◄─ _DaskThread ◄─ one queue for all ◄────── relay ◄─ the shard's process

Dask lives in asyncio, in one thread; Trio hears from it through `run_sync_soon`.
"""

from __future__ import annotations

import asyncio
import logging
import math
import socket
import threading
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, Final

import trio
from distributed import Client, Queue, get_client

from echo_trio.forks.starter import Process
from echo_trio.process_channel import LENGTH_BYTES, frame
from echo_trio.wire import process
from loadgen.preflight import machine
from loadgen.preflight.check import Refused
from loadgen.processes import messages
from loadgen.processes.local import SHARD, explain_exit, wait_for_end
from loadgen.processes.messages import Link, LinkLost
from loadgen.processes.placement import Network, WorkerLimits, cut, deal
from loadgen.processes.shared_starter import SharedStarter
from loadgen.workload.plan import Plan
from loadgen.workload.sources import Sources

#: The time for a scheduler to answer.
CONNECT_TIMEOUT_S: Final = 5.0
#: The interval of telling workers that we are still there, and the time they wait for that: ten
#: intervals, as a scheduler may be busy.
HOLD_INTERVAL_S: Final = 3.0
HOLD_TIMEOUT_S: Final = 30.0
#: The addresses that a worker is asked to try; each keeps it from all else for some 20 µs.
MAX_SOURCES: Final = 65_536
#: The interval of looking whether all workers are there.
LOOK_INTERVAL_S: Final = 1.0

_GO, _ORDER, _HOLD, _KILL, _DONE = "go", "order", "hold", "kill", "done"
_WORD, _ENDED = "word", "ended"


# -- On a worker ----------------------------------------------------------------------------


def look_around(source_ips: tuple[str, ...]) -> tuple[int, Network]:
    """Describe a worker's machine: how many files a process may open at most, and its addresses."""
    own = tuple(tuple(machine.own_sources(text)) for text in source_ips)
    return process.file_limit(hard=True), Network(machine.network(), own)


def relay(run: str, index: int) -> None:
    """Run a shard in a process beside the worker; carry its words up, and orders down."""
    client = get_client()
    up, down = Queue(f"{run}-up", client=client), Queue(f"{run}-{index}", client=client)
    try:
        # There is one _GO for each shard. Should Dask run a lost task again, which would open the
        # sockets a second time, it finds none and ends.
        if down.get(timeout=HOLD_TIMEOUT_S)[0] != _GO:
            return
    except TimeoutError:
        return
    with _STARTER.start(str(index + 1)) as (process, sock):
        carrying = threading.Thread(target=_carry_down, args=(down, sock, process), daemon=True)
        carrying.start()
        try:
            with sock.makefile("rb") as reader:
                while head := reader.read(LENGTH_BYTES):
                    message = reader.read(int.from_bytes(head, "big"))
                    up.put([index, _WORD, message])
        except OSError:
            pass
        code = trio.run(wait_for_end, process)
    # First the news, then the end of the other direction: its thread waits for a message, and this
    # one ends it.
    up.put([index, _ENDED, explain_exit(code)])
    down.put([_DONE, b""])
    carrying.join()
    sock.close()


#: The starter of all shards in one worker.
_STARTER: Final = SharedStarter(SHARD)


def _carry_down(down: Queue, sock: socket.socket, process: Process) -> None:
    """Carry orders to the shard, as long as a message comes at least every `HOLD_TIMEOUT_S`."""
    with suppress(OSError):  # A `TimeoutError` is one.
        while (message := down.get(timeout=HOLD_TIMEOUT_S))[0] != _DONE:
            if message[0] == _KILL:
                process.kill()
            elif message[0] == _ORDER:
                sock.sendall(frame(message[1]))
    # Also if nothing has come for `HOLD_TIMEOUT_S`: the shard takes this for the end of its
    # coordinator, and ends in good order.
    with suppress(OSError):
        sock.shutdown(socket.SHUT_WR)


# -- Where the run is shown -----------------------------------------------------------------


class DaskLink:
    """The coordinator's link to a shard on a worker."""

    def __init__(self, index: int, plan: Plan, worker: str, thread: _DaskThread) -> None:
        self.plan = plan
        self.worker: str | None = worker
        self._index = index
        self._thread = thread
        self._killed: str | None = None
        self._put, self._take = trio.open_memory_channel[bytes | LinkLost](math.inf)

    async def send(self, order: messages.Order) -> None:
        """Send an order; nothing happens if the shard is gone, which `receive` finds out."""
        self._thread.tell(self._index, _ORDER, messages.encode(order))

    async def receive(self) -> messages.Word:
        """Wait for the shard's next message.

        :raises LinkLost: if it is gone.
        """
        message = await self._take.receive()
        if isinstance(message, LinkLost):
            raise LinkLost(self._killed or str(message))
        return messages.decode_word(message)

    def kill(self, why: str) -> None:
        """End the shard at once; `receive` then raises for this reason."""
        self._killed = why
        self._thread.tell(self._index, _KILL, b"")
        self.lose(why)

    def hear(self, message: bytes) -> None:
        """Take a message that the shard has sent."""
        self._put.send_nowait(message)

    def lose(self, how: str) -> None:
        """Note that the shard is gone."""
        self._put.send_nowait(LinkLost(how))


def _silence_dask() -> None:
    """Silence Dask's loggers: it reports a lost scheduler in tracebacks, and we in one line.

    Some of its loggers have levels and handlers of their own.
    """
    for name in ["distributed", *logging.root.manager.loggerDict]:
        if name.partition(".")[0] == "distributed":
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)


class _DaskThread:
    """The one thread in which Dask runs.

    :ivar links: one for each shard, once they are started.
    :ivar ready: set once the shards are started, or can't be.
    :ivar problem: the reason why they can't be, or why Dask failed later.
    """

    def __init__(self, address: str, wanted: int | None, plan: Plan) -> None:
        self.links: list[DaskLink] = []
        self.ready: trio.Event = trio.Event()
        self.problem: str | None = None
        self._address = address
        self._wanted = wanted
        self._plan = plan
        self._run = f"loadgen-{uuid.uuid4().hex[:12]}"
        self._trio = trio.lowlevel.current_trio_token()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._orders: asyncio.Queue[tuple[int, str, bytes]] = asyncio.Queue()
        self._stop = asyncio.Event()

    def tell(self, index: int, kind: str, message: bytes) -> None:
        """Send something to a worker."""
        self._call(partial(self._orders.put_nowait, (index, kind, message)))

    def stop(self) -> None:
        """End the thread."""
        self._call(self._stop.set)

    def _call(self, what: Any) -> None:
        assert self._loop is not None
        with suppress(RuntimeError):  # The loop has ended.
            self._loop.call_soon_threadsafe(what)

    def run(self) -> None:
        """Run Dask's event loop until it ends: the body of the thread."""
        _silence_dask()
        try:
            asyncio.run(self._main())
        except Refused as refused:
            self.problem = str(refused)
        except Exception as exc:  # noqa: BLE001 - Dask may raise anything, and the run outlives it
            self.problem = f"--dask: {str(exc).splitlines()[0] if str(exc) else type(exc).__name__}"
            for link in self.links:
                self._trio.run_sync_soon(link.lose, "the scheduler is gone")
        self._trio.run_sync_soon(self.ready.set)

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        try:
            client = await Client(self._address, asynchronous=True, timeout=CONNECT_TIMEOUT_S)
        except (OSError, ValueError):
            raise Refused(
                f"--dask {self._address}: no scheduler answers there; start one: dask scheduler"
            ) from None
        try:
            limits, networks = await self._find_limits(client)
            dealt = deal(self._plan.count, limits, self._wanted)
            parts = cut(self._plan, dealt, networks)
            up = await Queue(f"{self._run}-up", client=client)
            # Every _GO is in its queue before the first task starts: a task that finds none takes
            # itself for a second run.
            downs = [
                await Queue(f"{self._run}-{index}", client=client) for index in range(len(dealt))
            ]
            for down in downs:
                await down.put([_GO, b""])
            self.links = [
                DaskLink(index, part, worker, self)
                for index, (part, worker) in enumerate(zip(parts, dealt, strict=True))
            ]
            futures = [
                client.submit(
                    relay, self._run, index, key=f"{self._run}-{index}", pure=False, retries=0,
                    workers=[worker], allow_other_workers=False,
                )
                for index, worker in enumerate(dealt)
            ]  # fmt: skip
            self._trio.run_sync_soon(self.ready.set)
            tasks = [
                asyncio.create_task(each)
                for each in (
                    self._carry_up(up), self._carry_down(downs), self._hold(downs),
                    self._look(client, futures), self._stop.wait(),
                )
            ]  # fmt: skip
            done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in pending:
                task.cancel()
            for task in done:
                task.result()
        finally:
            await client.close()

    async def _find_limits(
        self, client: Client
    ) -> tuple[dict[str, WorkerLimits], dict[str, Network]]:
        """Ask each worker for its limits and its addresses."""
        workers = (await client.scheduler.identity())["workers"]
        around = {}
        if workers:
            around = await client.run(look_around, self._plan.source_ips, on_error="return")
        for address, found in around.items():
            if isinstance(found, BaseException):
                raise Refused(
                    f"--dask: worker {address} can't run a shard ({found}): it needs the same "
                    "version of this, with its extra cluster (docs/how-to/cluster.md)"
                )
        limits = {
            address: WorkerLimits(each["nthreads"], each["memory_limit"] or 0, around[address][0])
            for address, each in workers.items()
            if address in around
        }
        return limits, {address: found[1] for address, found in around.items()}

    async def _carry_up(self, up: Queue) -> None:
        while True:
            index, kind, message = await up.get()
            link = self.links[index]
            self._trio.run_sync_soon(link.hear if kind == _WORD else link.lose, message)

    async def _carry_down(self, downs: list[Queue]) -> None:
        while True:
            index, kind, message = await self._orders.get()
            await downs[index].put([kind, message])

    async def _hold(self, downs: list[Queue]) -> None:
        while True:
            await asyncio.sleep(HOLD_INTERVAL_S)
            for down in downs:
                await down.put([_HOLD, b""])

    async def _look(self, client: Client, futures: list[Any]) -> None:
        """Watch that no shard is waited for whose worker is gone."""
        lost: set[int] = set()
        while True:
            await asyncio.sleep(LOOK_INTERVAL_S)
            workers = (await client.scheduler.identity())["workers"]
            for index, link in enumerate(self.links):
                how = None
                if link.worker not in workers:
                    how = f"its worker {link.worker} left the cluster"
                elif futures[index].status == "error":
                    how = f"its task failed on {link.worker}: {await futures[index].exception()}"
                if how is not None and index not in lost:
                    lost.add(index)
                    self._trio.run_sync_soon(link.lose, how)


class Cluster:
    """The workers of a Dask cluster.

    :param address: of its scheduler.
    :param wanted: the number of shards; by default one for each thread of a worker.
    """

    are_clocks_shared = False

    def __init__(self, address: str, wanted: int | None = None) -> None:
        self.scheduler: str | None = address
        self._address = address
        self._wanted = wanted

    async def check(self, plan: Plan) -> list[str]:
        """Check the little that can be known here: preflight is each shard's own, on its machine.

        :raises Refused: if `--source-ip` names more addresses than each worker can try.
        """
        if (named := Sources(plan.source_ips).total) > MAX_SOURCES:
            raise Refused(
                f"--source-ip names {named:,} addresses, and each machine of a cluster tries which "
                f"of them are its own: name {MAX_SOURCES:,} at most"
            )
        return []

    @asynccontextmanager
    async def launch(self, plan: Plan) -> AsyncIterator[Sequence[Link]]:
        """Start the shards on the workers; they end with the block.

        :raises Refused: if there is no such cluster, or the plan doesn't fit it.
        """
        thread = _DaskThread(self._address, self._wanted, plan)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.to_thread.run_sync, thread.run)
            await thread.ready.wait()
            try:
                if not thread.links:
                    # Raised below, outside of the nursery, which would wrap it in a group.
                    problem = thread.problem or "--dask: it ended at once"
                else:
                    problem = None
                    yield thread.links
            finally:
                if thread.links:
                    thread.stop()
        if problem is not None:
            raise Refused(problem)
