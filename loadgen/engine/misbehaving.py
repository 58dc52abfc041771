"""Sockets that misbehave on purpose: what is done to each once it is open.

They open, send and close like the others, and have books of their own: what becomes of them is no
fault of the target's.
"""

from __future__ import annotations

from typing import Final

import trio

from echo_trio.wire.connection import Connection
from loadgen.engine import load_phase
from loadgen.engine.context import RunContext
from loadgen.engine.crowd import Crowd
from loadgen.engine.session import Session
from loadgen.workload.misbehaviour import Behave, Kind
from loadgen.workload.plan import Plan

#: Of a slow reader's socket, so that its peer soon finds that it can't send on.
RECEIVE_BUFFER_BYTES: Final = 4096
#: How long a slow reader reads at a time: one turn of the loop.
_GLANCE_S: Final = 0.002


class MisbehavingCrowd:
    """A crowd of which all misbehave in the same way.

    :param context: theirs alone, with books of their own.
    :param nursery: where they misbehave.
    """

    def __init__(
        self, behave: Behave, plan: Plan, context: RunContext, crowd: Crowd, nursery: trio.Nursery
    ) -> None:
        self.crowd = crowd
        self._behave = behave
        self._plan = plan
        self._context = context
        self._nursery = nursery
        self._closing = False
        context.on_opened = self._on_opened
        context.on_closing = self._on_closing

    async def run_load(self, nursery: trio.Nursery) -> None:
        """Send as the plan says; who is half open sends nothing."""
        if self._behave.kind is not Kind.HALF_OPEN and self.crowd.slots:
            await load_phase.run(self._plan, self.crowd, self._context, nursery)

    def _on_opened(self, session: Session) -> None:
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

    def _on_closing(self, session: Session) -> None:
        # From here on it behaves, and finds out what the target has said to it meanwhile.
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
