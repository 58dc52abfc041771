"""Misbehave on purpose on some sockets, once they are open.

They open, send and close like the others, and have a ledger of their own: how they fare is no fault
of the target's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import trio

from echo_trio.wire.connection import Connection
from loadgen.engine import load_phase
from loadgen.engine.context import RunContext
from loadgen.engine.crowd import Crowd
from loadgen.engine.observer import CrowdObserver
from loadgen.engine.session import Session
from loadgen.workload.misbehaviour import Behave, Kind
from loadgen.workload.plan import Plan

#: The receive buffer of a slow reader: small, so that its peer soon finds that it can't send on.
RECEIVE_BUFFER_BYTES: Final = 4096
#: For those that didn't read, to find out whether they were closed long ago.
CATCH_UP_S: Final = 0.2
#: The time for which a slow reader reads: one turn of the loop.
_GLANCE_S: Final = 0.002


@dataclass(frozen=True, slots=True)
class MisbehavingCrowd:
    """A crowd of sockets that all misbehave in the same way.

    :param context: this crowd's own, with a ledger of its own.
    :param nursery: runs the tasks that misbehave.
    """

    behave: Behave
    plan: Plan
    context: RunContext
    crowd: Crowd

    async def run_load(self, nursery: trio.Nursery) -> None:
        """Send as the plan says; half-open sockets send nothing."""
        if self.behave.kind is not Kind.HALF_OPEN and self.crowd.slots:
            await load_phase.run(self.plan, self.crowd, self.context, nursery)


class Misbehaving(CrowdObserver):
    """An observer that makes each socket misbehave once it opens, until the close phase.

    :param nursery: runs the tasks that misbehave.
    """

    catch_up_s = CATCH_UP_S

    def __init__(self, behave: Behave, plan: Plan, nursery: trio.Nursery) -> None:
        super().__init__(plan, nursery)
        self._behave = behave
        self._closing = False

    def opened(self, session: Session) -> None:
        """Make the socket misbehave as the plan says."""
        super().opened(session)
        connection, parameter = session.connection, self._behave.parameter
        assert connection is not None
        match self._behave.kind:
            case Kind.NO_PONG:
                connection.answers_pings = False
            case Kind.HALF_OPEN:
                connection.answers_pings = False  # nor, at the end, those that came meanwhile
                connection.pause_reading()
            case Kind.SLOW_READER:
                self._nursery.start_soon(self._read_slowly, connection, parameter)
            case Kind.MID_FRAME_DROP:
                self._nursery.start_soon(self._drop_later, connection, parameter)

    def closing(self, session: Session) -> None:
        """Let the socket behave from here on, and read what the target has sent meanwhile."""
        self._closing = True
        if session.connection is not None:
            session.connection.resume_reading()

    def _is_closing(self) -> bool:
        return self._closing

    async def _read_slowly(self, connection: Connection, bytes_per_s: float) -> None:
        while connection.closed is None and not self._is_closing():
            before = connection.bytes_received
            connection.resume_reading()
            await trio.sleep(_GLANCE_S)
            if not self._is_closing():
                connection.pause_reading()
            read = connection.bytes_received - before
            await trio.sleep(max(read, 1) / bytes_per_s)

    async def _drop_later(self, connection: Connection, after_s: float) -> None:
        await trio.sleep(after_s)
        if not self._is_closing():
            connection.drop_in_frame("half of this is never sent")
