"""A supervisor whose workers the test plays."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
import trio
from structlog.testing import LogCapture
from trio.testing import wait_all_tasks_blocked

from echo_trio.metrics import totals
from echo_trio.metrics.counters import Outcome, ServerSnapshot
from echo_trio.settings import Settings
from echo_trio.workers.channel import Ready, SnapshotReport, Start, worker_end
from echo_trio.workers.supervisor import Supervisor, WorkerFailed

from ..conftest import log_to

#: A hang guard, by the virtual clock.
HANGS_S = 600.0


def worker(accepted: int, open_: int, handshaking: int = 0) -> ServerSnapshot:
    ended = accepted - open_ - handshaking
    return replace(
        totals.nothing(), accepted=accepted, open=open_, handshaking=handshaking, peak_open=open_,
        outcomes={Outcome.CLEAN: ended} if ended else {},
    )  # fmt: skip


class FakeProcess:
    """A worker's process, as the supervisor sees it."""

    pid = 1

    def __init__(self, on_end: Callable[[], None]) -> None:
        self.returncode: int | None = None
        self._on_end = on_end
        self._over = trio.Event()

    def end(self, code: int) -> None:
        if self.returncode is None:
            self.returncode = code
            self._on_end()
            self._over.set()

    def send_signal(self, number: int) -> None:
        self.end(-number)

    def kill(self) -> None:
        self.end(-9)

    async def wait(self) -> int | None:
        await self._over.wait()
        return self.returncode


class FakeWorker:
    """A worker without a server: says what the test wants."""

    def __init__(self, title: str, descriptors: Sequence[int]) -> None:
        self.title = title
        sock, *self.listeners = (socket.socket(fileno=os.dup(each)) for each in descriptors)
        sock.setblocking(False)
        self.channel = worker_end(sock)
        self.process = FakeProcess(self._let_go)

    def _let_go(self) -> None:
        self.channel.close()
        for listener in self.listeners:
            listener.close()

    async def hear(self) -> Any:
        with trio.fail_after(HANGS_S):
            return await self.channel.hear()

    async def serve(self, snapshot: ServerSnapshot) -> Start:
        start = await self.hear()
        await self.channel.say(SnapshotReport(snapshot))
        await self.channel.say(Ready())
        await wait_all_tasks_blocked()
        assert isinstance(start, Start)
        return start


class FakeStarter:
    """Starts workers that the test plays."""

    def __init__(self) -> None:
        self.failure: OSError | None = None
        self.ended = False
        self.put, self.take = trio.open_memory_channel[FakeWorker](100)

    async def start(self, title: str, descriptors: Sequence[int]) -> FakeProcess:
        await trio.lowlevel.checkpoint()
        if self.failure is not None:
            raise self.failure
        worker = FakeWorker(title, descriptors)
        self.put.send_nowait(worker)
        return worker.process

    def end(self) -> None:
        self.ended = True


class Supervised:
    """A supervisor that runs, whose workers the test plays."""

    def __init__(self, **settings: Any) -> None:
        self.logged, self.starter = LogCapture(), FakeStarter()
        self.started_s: float | None = None
        self.failed = ""
        self.over = trio.Event()
        self.it = Supervisor.listen(
            Settings(port=0, workers=2, console=False, **settings),
            log_to(self.logged),
            self.starter,  # type: ignore[arg-type]
        )

    def started(self, _: None = None) -> None:
        self.started_s = trio.current_time()

    async def run(self) -> None:
        try:
            await self.it.run(task_status=self)  # type: ignore[arg-type]
        except* WorkerFailed as group:
            failed: BaseException = group
            while isinstance(failed, BaseExceptionGroup):
                failed = failed.exceptions[0]
            self.failed = str(failed)
        finally:
            self.over.set()

    async def next(self) -> FakeWorker:
        with trio.fail_after(HANGS_S):
            return await self.starter.take.receive()

    async def both(self) -> list[FakeWorker]:
        return sorted([await self.next(), await self.next()], key=lambda each: each.title)

    async def end(self) -> None:
        with trio.fail_after(HANGS_S):
            await self.over.wait()

    def lines(self, event: str) -> list[dict[str, Any]]:
        return [dict(line) for line in self.logged.entries if line["event"] == event]


@pytest.fixture
async def supervise(nursery: trio.Nursery) -> Callable[..., Supervised]:
    def start(**settings: Any) -> Supervised:
        supervised = Supervised(**settings)
        nursery.start_soon(supervised.run)
        return supervised

    return start
