"""React to the sockets of a crowd: replace them by age, go on in a closed loop."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import trio

from loadgen.engine.context import Observer, now_us
from loadgen.engine.steering import Steering
from loadgen.workload.plan import Plan

if TYPE_CHECKING:
    from loadgen.engine.session import Session


class CrowdObserver(Observer):
    """The state that a crowd and its load phase share with the sessions.

    :param nursery: runs the tasks of messages that the kernel does not take at once.
    :ivar ages: when each socket that is to be replaced by age has opened, the oldest first.
    :ivar thinking: in a closed loop: when the pause of each session ends that has had its reply,
        its number, and the session; a heap.
    :ivar held: in a closed loop: the sessions whose next message waits for the end of a pause.
    :ivar steering: tells whether the load is paused; `load_phase.run` sets it.
    """

    def __init__(self, plan: Plan, nursery: trio.Nursery) -> None:
        self.ages: deque[tuple[float, Session]] = deque()
        self.thinking: list[tuple[float, int, Session]] = []
        self.held: list[Session] = []
        self.steering: Steering = Steering()
        self._plan = plan
        self._nursery = nursery
        self._loading: trio.CancelScope | None = None
        self._is_looping = False

    @contextmanager
    def loading(self) -> Iterator[None]:
        """Run the load phase, and end it when no socket is left: nothing can be sent then."""
        self._loading = trio.CancelScope()
        try:
            with self._loading:
                yield
        finally:
            self._loading = None

    @contextmanager
    def looping(self) -> Iterator[None]:
        """Let each reply lead to the next message, as long as this lasts."""
        self._is_looping = True
        try:
            yield
        finally:
            self._is_looping = False

    def opened(self, session: Session) -> None:
        """Note the socket's age, and send the frames that have waited for it."""
        if self._plan.lifetime_s is not None:
            self.ages.append((trio.current_time(), session))
        session.send_backlog(self._nursery)
        if self._is_looping:  # It follows another, which had a message under way.
            if self.steering.is_paused:
                self.held.append(session)
            else:
                session.send(now_us(), self._nursery)

    def answered(self, session: Session) -> str | bytes | None:
        """Return the next message, or let the session think first, or wait for a pause to end."""
        if not self._is_looping or session.sent == self._plan.messages:
            return None
        if self.steering.speeds.steps and self.steering.is_paused:
            self.held.append(session)
            return None
        if not self._plan.think_s:
            return session.compose_next()
        due = trio.current_time() + self._plan.think_s
        heapq.heappush(self.thinking, (due, session.conn, session))
        return None

    def none_open(self) -> None:
        """End the load phase, if it is under way."""
        if self._loading is not None:
            self._loading.cancel()
