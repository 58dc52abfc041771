"""Run shards as processes of this machine."""

from __future__ import annotations

import signal
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

import trio

from echo_trio.forks.starter import Process, Starter
from echo_trio.process_channel import Channel
from echo_trio.wire import sockets
from loadgen.engine.dialer import reachable_from
from loadgen.preflight import check, machine
from loadgen.preflight.check import Refused
from loadgen.processes import messages
from loadgen.processes.messages import Link, LinkLost
from loadgen.workload.plan import Plan

#: The module that a shard runs.
SHARD: Final = "loadgen.processes.shard"
#: The time for a process to end by itself once its socket is closed.
EXIT_TIMEOUT_S: Final = 5.0
#: False on Windows: a shard inherits the socket of its channel, and that Ctrl-C is not for it.
AVAILABLE: Final = sys.platform != "win32" and hasattr(signal, "pthread_sigmask")


class ProcessLink:
    """The coordinator's link to a shard in a process of this machine."""

    worker: str | None = None

    def __init__(self, plan: Plan, process: Process, sock: socket.socket) -> None:
        self.plan = plan
        self._process = process
        self._channel = Channel(sock, messages.encode, messages.decode_word)
        self._killed: str | None = None

    async def send(self, order: messages.Order) -> None:
        """Send an order; nothing happens if the shard is gone, which `receive` finds out."""
        # Small: only a shard that has stood still for very long does not take it at once.
        await self._channel.say(order)

    async def receive(self) -> messages.Word:
        """Wait for the shard's next message.

        :raises LinkLost: if it is gone.
        """
        if (word := await self._channel.hear()) is not None:
            return word
        how = explain_exit(await wait_for_end(self._process))
        raise LinkLost(self._killed or how)

    def kill(self, why: str) -> None:
        """End the shard at once; `receive` then raises for this reason."""
        self._killed = why
        self._process.kill()

    async def aclose(self) -> None:
        """Close our end, and wait for the process: it ends when its channel is closed."""
        self._channel.close()
        await wait_for_end(self._process)


class Processes:
    """A launcher of a number of processes on this machine.

    :param starter: starts them.
    """

    are_clocks_shared = True
    scheduler: str | None = None

    def __init__(self, count: int, starter: Starter) -> None:
        self._count = count
        self._starter = starter

    async def check(self, plan: Plan) -> list[str]:
        """Do the preflight for all shards together: they share ports and memory.

        :raises Refused: if this machine can't do it.
        """
        if not AVAILABLE:
            raise Refused(
                f"--workers {self._count} needs a system whose processes inherit sockets and "
                "blocked signals: use --workers 1 on this one, or --dask"
            )
        addresses: list[sockets.Address] = []
        with trio.move_on_after(plan.connect_timeout_s):
            addresses = await _resolve(*plan.dialled)
        if not (reachable := reachable_from(addresses, plan.sources())):
            return []  # Each shard finds that out, and books it.
        facts = await trio.to_thread.run_sync(
            machine.gather, reachable, plan.sources(), abandon_on_cancel=True
        )
        return check.check(plan, facts, processes=self._count)

    @asynccontextmanager
    async def launch(self, plan: Plan) -> AsyncIterator[Sequence[Link]]:
        """Start the processes; they end with the block.

        :raises Refused: if this machine can't start them.
        """
        links: list[ProcessLink] = []
        try:
            count = min(self._count, plan.count)
            for index in range(count):
                part = plan.shard(index, count)
                try:
                    started = await start_shard(self._starter, f"{index + 1}/{count}")
                except OSError as exc:
                    raise Refused(
                        f"--workers {count}: process {index + 1} can't be started: {exc.strerror}"
                    ) from None
                links.append(ProcessLink(part, *started))
            yield links
        finally:
            with trio.CancelScope(shield=True):
                async with trio.open_nursery() as nursery:
                    for link in links:
                        nursery.start_soon(link.aclose)


async def _resolve(host: str, port: int) -> list[sockets.Address]:
    try:
        return await sockets.resolve(host, port)
    except (socket.gaierror, UnicodeError):
        return []


def explain_exit(code: int | None) -> str:
    """Say how a process ended."""
    if code is None:
        return "how it ended is not known"
    if code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return f"it ended with exit code {code}"


async def start_shard(starter: Starter, title: str) -> tuple[Process, socket.socket]:
    """Start a shard's process; return it, and our end of the socket to it.

    :raises OSError: if this machine can't.
    """
    ours, theirs = socket.socketpair()
    try:
        with theirs:
            return await starter.start(f"{SHARD} {title}", [theirs.fileno()]), ours
    except BaseException:
        ours.close()
        raise


async def wait_for_end(process: Process) -> int | None:
    """Wait for the end of a shard whose channel is closed; kill one that does not end.

    :returns: its exit code; ``None`` if nobody knows it.
    """
    with trio.move_on_after(EXIT_TIMEOUT_S):
        return await process.wait()
    process.kill()
    with trio.move_on_after(EXIT_TIMEOUT_S):
        return await process.wait()
    return None
