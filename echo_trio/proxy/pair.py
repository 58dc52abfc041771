"""Serve a pair: a client's connection and the one to the upstream, each of which ends the other.

One nursery for both, with a task for each connection, and one more while something waits: for the
kernel, or for the time that a fault has set.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from math import inf

import trio

from echo_trio.behaviours.actions import Close
from echo_trio.behaviours.fault_prefix import FaultPrefix
from echo_trio.behaviours.line import Wait
from echo_trio.exception_groups import main_exception
from echo_trio.proxy.passage import Passage
from echo_trio.proxy.switch import FaultSwitch
from echo_trio.wire.close_codes import (
    ABNORMAL_CLOSURE,
    BAD_GATEWAY,
    GOING_AWAY,
    TRY_AGAIN_LATER,
)
from echo_trio.wire.relay import Relay


class Pair:
    """A client's connection and the one to the upstream.

    :ivar client: the connection to the client.
    :ivar upstream: the connection to the upstream.
    :ivar make_fault: makes a fault that is counted with those of all pairs.
    """

    def __init__(
        self,
        client: Relay,
        upstream: Relay,
        prefix: FaultPrefix,
        switch: FaultSwitch,
        *,
        is_observed: bool,
    ) -> None:
        """Join two connections, to be served with `run`.

        :param prefix: the faults that the client asked for.
        :param switch: the faults of all pairs, which come before those.
        :param is_observed: true if messages have to be whole for somebody to see them.
        """
        self.client = client
        self.upstream = upstream
        self._switch = switch
        self.make_fault = switch.make
        self._forth = Passage(self, client, upstream, prefix.incoming, is_whole=is_observed)
        self._back = Passage(self, upstream, client, prefix.outgoing, is_whole=is_observed)
        client.other, client.way = upstream, self._forth
        upstream.other, upstream.way = client, self._back
        self._nursery: trio.Nursery | None = None
        self._alarm: trio.CancelScope | None = None
        self._running = 2
        self._frozen_until_s = -inf

    @property
    def lost(self) -> int:
        """The number of messages that came from one end and were not sent to the other."""
        return self._forth.lost + self._back.lost

    async def run(self) -> None:
        """Serve both connections until both have ended.

        Cancelled: both are closed at once, without a close frame.
        """
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                self._switch.pairs.add(self)
                self._forth.begin(self._switch.prefix.incoming)
                self._back.begin(self._switch.prefix.outgoing)
                nursery.start_soon(self._serve, self.upstream, self._back)
                await self._serve(self.client, self._forth)
        except BaseExceptionGroup as group:
            raise main_exception(group) from None
        finally:
            self._switch.pairs.discard(self)
            self._nursery = None
            self._forth.close()
            self._back.close()
            # They refer to each other: no work for the garbage collector.
            del self.client.other, self.client.way, self.upstream.other, self.upstream.way

    async def _serve(self, end: Relay, passage: Passage) -> None:
        await end.run(passage.take)
        self._running -= 1
        if not self._running:
            assert self._nursery is not None
            self._nursery.cancel_scope.cancel()

    def change(self, prefix: FaultPrefix) -> None:
        """Replace the faults of all pairs, for the messages from the next one on."""
        self._forth.change(prefix.incoming)
        self._back.change(prefix.outgoing)

    # -- For both passages ---------------------------------------------------------------------

    def start(self, job: Callable[[], Awaitable[None]]) -> None:
        """Start a task that ends with the pair."""
        if self._nursery is not None:
            self._nursery.start_soon(job)

    def last_words(self, end: Relay) -> Close:
        """Say what the other end is told when this one has ended.

        A close frame as it came. An end without one never reads as a clean one: the upstream's as
        1014, a client's as an end without close frame, what broke a rule or a limit as 1001.
        """
        if end.close_received is not None and end.failure is None:
            return Close(end.close_received, end.close_reason)
        if end.evicted:
            return Close(TRY_AGAIN_LATER, "the proxy is short of memory")
        if end.timed_out == "idle":
            return Close(GOING_AWAY, "there was no message for too long")
        if end is self.upstream:
            return Close(BAD_GATEWAY, _why(end))
        if end.failure is not None or end.timed_out is not None:
            return Close(GOING_AWAY, "the client's connection failed")
        return Close(ABNORMAL_CLOSURE)

    def reset(self) -> None:
        """End both connections with a TCP reset."""
        self._forth.stop()
        self._back.stop()
        self.client.abort()
        self.upstream.abort()

    def freeze(self, duration_s: float) -> None:
        """Stop reading and sending, both ways, for a number of seconds."""
        self._frozen_until_s = trio.current_time() + duration_s
        self._forth.settle()
        self._back.settle()

    @property
    def is_frozen(self) -> bool:
        """True while nothing is read or sent."""
        return self._frozen_until_s > trio.current_time()

    def thaw(self) -> Iterator[Wait]:
        """Yield the wait for the end of a freeze, if there is one."""
        while self.is_frozen:
            yield Wait(self._frozen_until_s, reading=False)

    def set_alarm(self) -> None:
        """Have the passages look when the next of them has something to do."""
        next_s = self._next_s()
        if self._alarm is not None:
            self._alarm.deadline = next_s
        elif next_s < inf and self._nursery is not None:
            self._alarm = trio.CancelScope(deadline=next_s)
            self._nursery.start_soon(self._keep_time)

    async def _keep_time(self) -> None:
        while True:
            self._alarm = trio.CancelScope(deadline=self._next_s())
            with self._alarm:
                await trio.sleep_forever()
            self._forth.advance()
            self._back.advance()

    def _next_s(self) -> float:
        next_s = min(self._forth.next_s, self._back.next_s)
        return min(next_s, self._frozen_until_s) if self.is_frozen else next_s


def _why(upstream: Relay) -> str:
    if upstream.failure is not None:
        return "the upstream broke the protocol, or a limit"
    if upstream.timed_out is not None:
        return "the upstream did not answer in time"
    return "the upstream is gone"
