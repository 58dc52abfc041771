"""Run one shard in a process of its own, which `local.start_shard` starts.

The shard talks with its coordinator over an inherited socket, and ends in good order when that is
gone: then nobody watches the load. Ctrl-C does not reach it, though it is in the terminal's process
group: it is started with SIGINT blocked. So there is one clean stop, the parent's.
"""

from __future__ import annotations

# Imported before the fork, once for all shards: looking up a name needs it.
import encodings.idna  # noqa: F401
import os
import signal
import socket
import sys
import time
from collections.abc import Sequence
from typing import Final

import trio

from echo_trio.process_channel import Inbox, Outbox
from echo_trio.wire import process
from loadgen import signals
from loadgen.engine.context import now_us
from loadgen.engine.engine import Engine
from loadgen.engine.running import Phase
from loadgen.preflight.check import Refused
from loadgen.processes import messages
from loadgen.results import record
from loadgen.scenario.engine import make_engine
from loadgen.scenario.errors import BadScenario
from loadgen.workload.plan import Plan

#: Records that wait for a coordinator that doesn't read; beyond, no more are made until it reads.
MAX_WAITING: Final = 4
#: The interval of reporting events to the coordinator while the shards wait for each other.
EVENTS_INTERVAL_S: Final = 0.05


class Shard:
    """A shard that is running.

    :param outbox: takes its words.
    """

    def __init__(self, plan: Plan, outbox: Outbox) -> None:
        self._outbox = outbox
        self._warnings: list[str] = []
        self._proceed = {phase: trio.Event() for phase in Phase}
        self._moments: dict[Phase, float] = {}
        self._noted_seconds = 0
        self.engine: Engine = make_engine(
            plan, on_warning=self._warnings.append, gate=self._gate, on_second=self._note
        )

    async def _gate(self, phase: Phase) -> None:
        if phase is Phase.OPEN:  # Preflight has looked at all ports, and is done with them.
            process.return_free_memory()
        if phase is Phase.LOAD:  # The display need not wait for the next second.
            self.engine.sort_in()
            self._say(messages.Noted(self._record()))
        self._tell_events()
        self._say(messages.Waiting(phase, tuple(self._warnings)))
        if self.engine.events is not None:
            # The coordinator waits for copies that are still to come, so it needs the events.
            while not self._proceed[phase].is_set():
                with trio.move_on_after(EVENTS_INTERVAL_S):
                    await self._proceed[phase].wait()
                self._tell_events()
        await self._proceed[phase].wait()
        await trio.sleep(max(self._moments[phase] - time.perf_counter(), 0))

    def obey(self, order: messages.Order) -> None:
        """Carry out an order."""
        match order:
            case messages.AskClock(asked_s):
                self._say(messages.Clock(asked_s, time.perf_counter()))
            case messages.Proceed(phase, at_s):
                self._moments[phase] = at_s
                self._proceed[phase].set()
            case messages.Steer(at_s, factor):
                self.engine.steering.turn(at_s, factor)
            case messages.Interrupt():
                self.engine.interrupt()

    def _note(self) -> None:
        """Report how far the run is; its ledger and histograms agree at this moment."""
        self._tell_events()
        if self._outbox.waiting < MAX_WAITING:
            self._say(messages.Noted(self._record()))

    async def run(self) -> None:
        """Run to the end, and report the result."""
        try:
            await self.engine.run()
        except Refused as refused:
            self._say(messages.Refusal(str(refused)))
        else:
            self._tell_events()
            self._say(messages.Finished(self._record()))

    def _tell_events(self) -> None:
        """Report what has happened in the rooms since the last time."""
        if self.engine.events is not None:
            self._say(messages.Happened(now_us(), self.engine.events.drain()))

    def _record(self) -> record.Record:
        result = self.engine.result_so_far()
        seconds = result.series[self._noted_seconds :]
        self._noted_seconds = len(result.series)
        return record.make(str(self.engine.phase), result, seconds)

    def _say(self, word: messages.Word) -> None:
        self._outbox.put(messages.encode(word))


def _make(plan: Plan, outbox: Outbox) -> Shard | None:
    """Make the shard of a plan; if its scenario can't be loaded here, report that instead."""
    try:
        return Shard(plan, outbox)
    except BadScenario as exc:
        outbox.put(messages.encode(messages.Refusal(str(exc))))
        return None


async def serve(sock: socket.socket) -> None:
    """Run the shard that the other end of this socket asks for."""
    process.raise_file_limit()
    process.keep_large_buffers()
    process.spare_long_lived_objects()
    stream = trio.SocketStream(trio.socket.from_stdlib_socket(sock))
    token = trio.lowlevel.current_trio_token()
    async with stream, trio.open_nursery() as writing:
        outbox = Outbox(stream)
        writing.start_soon(outbox.write)
        outbox.put(messages.encode(messages.Hello(os.getpid())))
        inbox = Inbox(stream.receive_some)
        first = await inbox.read()
        order = None if first is None else messages.decode_order(first)
        if isinstance(order, messages.Begin) and (shard := _make(order.plan, outbox)) is not None:

            async def listen() -> None:
                while (message := await inbox.read()) is not None:
                    shard.obey(messages.decode_order(message))
                # The coordinator is gone: killed, or ended by a second Ctrl-C.
                if shard.engine.interrupted:
                    os._exit(signals.EXIT_INTERRUPTED)
                shard.engine.interrupt()

            with signals.INTERRUPTS.stopping(lambda: token.run_sync_soon(shard.engine.interrupt)):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(listen)
                    await shard.run()
                    nursery.cancel_scope.cancel()
        outbox.close()


def main(descriptors: Sequence[int]) -> int:
    """Run a shard; the descriptor is our end of the channel."""
    signals.INTERRUPTS.forget()
    signals.listen()
    if sys.platform != "win32":  # What only a terminal sends stays blocked.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    with socket.socket(fileno=descriptors[0]) as sock:
        trio.run(serve, sock)
    return 0


if __name__ == "__main__":
    raise SystemExit(main([int(sys.argv[1])]))
