"""Echo in one process: alone, or for a supervisor, which starts processes that run this module.

A supervisor's worker has inherited its end of the control channel and its listening sockets. It
obeys the supervisor's orders and reports once a second; when the channel ends, the supervisor is
gone, and so is the worker.
"""

from __future__ import annotations

import os
import signal
import socket
import ssl
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, NoReturn, Self

import trio

from echo_trio import logs
from echo_trio.flags import EXIT_USAGE
from echo_trio.forks.server import FOR_THE_PARENT
from echo_trio.metrics.activity import Activity
from echo_trio.metrics.counters import ServerSnapshot
from echo_trio.metrics.nursery_tree import TaskNode, current_tasks
from echo_trio.process_channel import Channel
from echo_trio.proxy.proxy import Proxy
from echo_trio.server import EchoServer, proxy_of, tls_context_of
from echo_trio.settings import Settings
from echo_trio.wire import process, sockets
from echo_trio.wire.budget import Budget
from echo_trio.workers.channel import (
    AskReport,
    Drain,
    FaultsSet,
    Order,
    Ready,
    Reload,
    Report,
    SetFaults,
    ShowTasks,
    SnapshotReport,
    Start,
    Tasks,
    worker_end,
)

REPORT_INTERVAL_S: Final = 1.0
#: The share of a core that adding up the traffic of the connections may take, for it looks at each,
#: and the longest time for which it is put off: while somebody asks for the figures, and otherwise.
#: Once a second, six workers with 17,000 each took a tenth of a core for it.
ASKED_SHARE: Final = 0.005
ASKED_LONGEST_S: Final = 5.0
UNASKED_SHARE: Final = 0.001
UNASKED_LONGEST_S: Final = 30.0
#: What takes less is done for each report: once a second that is the smaller of the two shares.
CHEAP_S: Final = 0.001
#: The time for the last report, if the supervisor is slow to read.
FAREWELL_S: Final = 1.0


class Worker:
    """An `EchoServer` in a process that is made for ten thousand sockets.

    :ivar url: the URL that clients connect to.
    """

    def __init__(
        self,
        settings: Settings,
        listeners: list[socket.socket],
        log: Any,
        tls_context: ssl.SSLContext | None,
        workers: int = 1,
        proxy: Proxy | None = None,
    ) -> None:
        """Prepare to serve these listeners.

        :param workers: how many processes share the port.
        :param proxy: the upstream, for a proxy.
        """
        process.raise_file_limit()
        process.keep_large_buffers()
        self._server = EchoServer(
            settings, listeners, log, tls_context, workers=workers, proxy=proxy
        )
        self.url: str = self._server.url
        self.drain: Callable[..., None] = self._server.drain
        self.reload: Callable[[], None] = self._server.reload
        self.snapshot: Callable[..., ServerSnapshot] = self._server.snapshot

    @classmethod
    def listen(cls, settings: Settings, log: Any) -> Self:
        """Listen as the settings say, without accepting yet.

        :raises OSError: if the address can't be had, or the certificate can't be used.
        """
        tls_context, proxy = tls_context_of(settings), proxy_of(settings)
        listeners = sockets.listen(settings.host, settings.port)
        return cls(settings, listeners, log, tls_context, proxy=proxy)

    @property
    def open(self) -> int:
        """The number of open connections."""
        return self._server.open

    @property
    def activity(self) -> Activity:
        """The news that there is something to do."""
        return self._server.activity

    @property
    def budget(self) -> Budget:
        """The memory that all connections may hold together."""
        return self._server.budget

    @property
    def faults(self) -> str | None:
        """The faults of all pairs of a proxy, as they were written; ``None`` if it is none."""
        return self._server.faults

    async def set_faults(self, text: str) -> None:
        """Replace these faults, from the next message on.

        :raises ValueError: if they can't be read.
        """
        self._server.set_faults(text)

    async def ask(self) -> ServerSnapshot:
        """Return the counts and measurements as they are now."""
        return self.snapshot()

    async def tasks(self) -> TaskNode:
        """Return the nursery tree."""
        tree = current_tasks()
        assert tree is not None
        return tree

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run the server. Call it after the imports: objects that exist now are never collected.

        Draining and cancelling work as in `EchoServer.run`.
        """
        server = self._server
        async with trio.open_nursery() as nursery:
            nursery.start_soon(
                process.collect_after_crowds,
                lambda: server.open,
                lambda: server.ended,
                lambda: server.held_bytes,
                server.activity.wait_if_none_since,
            )
            process.spare_long_lived_objects()
            await server.run(task_status=task_status)
            nursery.cancel_scope.cancel()

    def abandon(self) -> None:
        """Save what can be: this process is about to end."""
        self._server.abandon()


async def serve_supervised(sock: socket.socket, listeners: list[socket.socket]) -> int:
    """Serve as the supervisor at the other end says, until it says to drain; return the status."""
    async with worker_end(sock) as channel:
        start = await channel.hear()
        if not isinstance(start, Start):
            return EXIT_USAGE  # The supervisor was gone before it had said anything.
        log = logs.configure(start.settings).bind(worker=start.number)
        try:
            tls_context, proxy = tls_context_of(start.settings), proxy_of(start.settings)
        except OSError as exc:  # The files could be read when the supervisor looked.
            log.error("can't serve", reason=exc.strerror)
            return EXIT_USAGE
        worker = Worker(start.settings, listeners, log, tls_context, start.workers, proxy)
        async with trio.open_nursery() as nursery:
            reports = Reports(channel, worker.snapshot)
            nursery.start_soon(_obey, channel, worker, reports)
            async with trio.open_nursery() as serving:
                await serving.start(worker.run)
                # A snapshot first: the supervisor shows one of every worker that is ready.
                await reports.report()
                await channel.say(Ready())
                log.debug("the worker serves", pid=os.getpid())
                nursery.start_soon(reports.report_forever)
            nursery.cancel_scope.cancel()
        with trio.move_on_after(FAREWELL_S):
            await channel.say(SnapshotReport(worker.snapshot()))
    return 0


async def _obey(channel: Channel[Report, Order], worker: Worker, reports: Reports) -> NoReturn:
    async for order in channel:
        if isinstance(order, Drain):
            worker.drain(order.late_s)
        elif isinstance(order, Reload):
            worker.reload()
        elif isinstance(order, SetFaults):
            await worker.set_faults(order.text)
            await channel.say(FaultsSet(order.text))
        elif isinstance(order, ShowTasks):
            await channel.say(Tasks(await worker.tasks()))
        elif isinstance(order, AskReport):
            await reports.report(order.number)
    os._exit(1)  # The supervisor is gone: an unsupervised worker must not go on.


class Reports:
    """The reports of a worker to its supervisor: once a second, and whenever it is asked.

    All that has a counter of its own is in each report as it is then. The traffic of the open
    connections has to be added up; where that takes long, some reports repeat what was found the
    last time: while nobody asks for the figures, nobody is shown that they are older.

    :param take: takes a snapshot; given an earlier one, with the traffic of that.
    """

    def __init__(
        self, channel: Channel[Report, Order], take: Callable[..., ServerSnapshot]
    ) -> None:
        self._channel = channel
        self._take = take
        self._added_up: ServerSnapshot | None = None
        self._added_up_at_s = 0.0
        self._took_s = 0.0

    async def report(self, number: int = 0) -> None:
        """Report once.

        :param number: of the question that this answers; 0 if nobody has asked.
        """
        await self._channel.say(SnapshotReport(self._snapshot(asked=bool(number)), number))

    async def report_forever(self) -> NoReturn:
        """Report once a second, after the first second."""
        due = trio.current_time()
        while True:
            due = max(due + REPORT_INTERVAL_S, trio.current_time())
            await trio.sleep_until(due)
            await self.report()

    def _snapshot(self, *, asked: bool) -> ServerSnapshot:
        now_s = trio.current_time()
        good_for_s = good_for(self._took_s, asked=asked)
        if self._added_up is not None and now_s < self._added_up_at_s + good_for_s:
            return self._take(self._added_up)
        # CPU time: by the clock a busy machine would make few connections look like many.
        began_s = time.thread_time()
        self._added_up = self._take()
        self._took_s = time.thread_time() - began_s
        self._added_up_at_s = now_s
        return self._added_up


def good_for(took_s: float, *, asked: bool) -> float:
    """Choose for how many seconds the traffic that was added up is good enough.

    :param took_s: the CPU time of adding it up, in seconds.
    :param asked: true if somebody asks for the figures.
    """
    if took_s <= CHEAP_S:
        return 0.0
    if asked:
        return min(took_s / ASKED_SHARE, ASKED_LONGEST_S)
    return min(took_s / UNASKED_SHARE, UNASKED_LONGEST_S)


def main(descriptors: Sequence[int]) -> int:
    """Serve for the supervisor that has started this process.

    :param descriptors: our end of the channel, and the listening sockets.
    """
    # Signals are the supervisor's: a terminal's Ctrl-C and systemd's SIGTERM reach us both.
    if sys.platform != "win32":
        os.setpgid(0, 0)
        for number in FOR_THE_PARENT:
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, FOR_THE_PARENT)
    channel, *listeners = [socket.socket(fileno=descriptor) for descriptor in descriptors]
    for sock in (channel, *listeners):
        sock.setblocking(False)
    return trio.run(serve_supervised, channel, listeners)


def _read_descriptors(arguments: list[str]) -> list[int]:
    """Read which descriptors a new program has inherited; empty if there are none."""
    try:
        descriptors = [int(argument) for argument in arguments]
        for descriptor in descriptors:
            os.fstat(descriptor)
    except (ValueError, OSError):
        return []
    return descriptors


if __name__ == "__main__":
    if not (inherited := _read_descriptors(sys.argv[1:])):
        print(
            "a worker is started by its supervisor: python -m echo_trio --workers 2",
            file=sys.stderr,
        )
        raise SystemExit(EXIT_USAGE)
    raise SystemExit(main(inherited))
