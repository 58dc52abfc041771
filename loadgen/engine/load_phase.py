"""Run the load phase: send messages when they are due, or when the last reply has come."""

from __future__ import annotations

import heapq
import math
from typing import Final

import trio

from loadgen.engine.context import RunContext, now_us
from loadgen.engine.crowd import BATCH, TICK_S, Crowd, wait_while
from loadgen.engine.session import Session
from loadgen.engine.steps import Steps, take_when_due
from loadgen.results.ledger import Ledger
from loadgen.workload.arrivals import OwnArrivals
from loadgen.workload.plan import Plan


async def run(plan: Plan, crowd: Crowd, context: RunContext, nursery: trio.Nursery) -> None:
    """Run the load phase to its end.

    Cancelled: messages that are due and not sent are booked as overdue.
    """
    if plan.closed_loop:
        await _run_closed_loop(plan, crowd, context, nursery)
    else:
        await _run_open_loop(plan, crowd, context, nursery)


#: A message that was not sent is behind when it is this late.
LATE_S: Final = 0.1


async def _run_open_loop(
    plan: Plan, crowd: Crowd, context: RunContext, nursery: trio.Nursery
) -> None:
    ledger, began = context.ledger, trio.current_time()
    own = plan.own_arrivals([session.conn for session in crowd.slots])
    if own is None:
        steps = _send_by_turns(plan, crowd, ledger, nursery)
    else:
        steps = _send_own_arrivals(plan, crowd, ledger, own, nursery)
    await take_when_due(steps, context.poller)
    ends = began + plan.load_s
    if plan.messages is None:
        await trio.sleep_until(ends)
    else:
        patience = Patience(ledger, plan.stop_timeout_s)
        with trio.move_on_at(ends):
            await wait_while(lambda: context.awaits_frames and not patience.is_exhausted())


def _send_by_turns(plan: Plan, crowd: Crowd, ledger: Ledger, nursery: trio.Nursery) -> Steps:
    """Send messages on all sockets in turn, each when due, until the last or too late."""
    slots = crowd.slots
    pace = plan.pace(len(slots))
    turns = None if plan.is_rate_each_sockets_own else Turns(crowd)
    ledger.due = sent = 0
    began, began_us = trio.current_time(), now_us()
    # Where only --messages bounds the load, it lasts until the last message is due.
    last_due = began + min(plan.load_s, pace.due_at(pace.total - 1) if pace.total else 0.0)
    try:
        # A generator that is behind for good sends nothing older than this, or no run would end.
        while sent < pace.total and trio.current_time() <= last_due + plan.stop_timeout_s:
            due = min(pace.due_by(trio.current_time() - began), sent + BATCH)
            ledger.due = due
            for k in range(sent, due):
                due_us = began_us + int(pace.due_at(k) * 1_000_000)
                session = slots[k % len(slots)] if turns is None else turns.take()
                session.send(due_us, nursery)
            sent = due
            if sent < pace.total:
                next_due = began + pace.due_at(sent)
                yield max(next_due, trio.current_time() + TICK_S)
    finally:
        # A message that fell due a moment before an interruption is on its way, not behind.
        due = pace.due_by(max(trio.current_time() - began - LATE_S, 0.0))
        if behind := max(due - sent, 0):
            _book_overdue(ledger, behind)


def _send_own_arrivals(
    plan: Plan, crowd: Crowd, ledger: Ledger, own: OwnArrivals, nursery: trio.Nursery
) -> Steps:
    """Send messages that each socket schedules itself, until the last or too late."""
    slots = crowd.slots
    ledger.due = 0
    began, began_us = trio.current_time(), now_us()
    last_s = 0.0 if math.isinf(plan.load_s) else plan.load_s
    try:
        while (next_s := own.next_due_s) is not None:
            elapsed_s = trio.current_time() - began
            if elapsed_s > max(last_s, next_s) + plan.stop_timeout_s:
                break
            for _ in range(BATCH):
                if next_s is None or next_s > elapsed_s:
                    break
                due_s, place = own.take()
                ledger.due += 1
                slots[place].send(began_us + int(due_s * 1_000_000), nursery)
                next_s = own.next_due_s
            if next_s is not None:
                yield max(began + next_s, trio.current_time() + TICK_S)
    finally:
        elapsed_s, behind = trio.current_time() - began, 0
        while (next_s := own.next_due_s) is not None and next_s <= elapsed_s - LATE_S:
            own.take()
            behind += 1
        _book_overdue(ledger, behind)


def _book_overdue(ledger: Ledger, count: int) -> None:
    """Book messages that fell due and will not be sent, because the generator is behind."""
    ledger.due = (ledger.due or 0) + count
    ledger.missed += count
    ledger.overdue += count


class Turns:
    """The order of sockets in which messages are sent, when all together have a rate.

    A socket that has ended is left out, so the others send its messages. One that is to be replaced
    is passed over until the new one is open.
    """

    def __init__(self, crowd: Crowd) -> None:
        self._slots = crowd.slots
        self._order = list(range(len(crowd.slots)))
        self._turn = 0

    def take(self) -> Session:
        """Take the next open socket; one that is to open, or has ended, if none is open."""
        order, session = self._order, self._slots[self._order[0]]
        passed = 0
        while passed < len(order):
            place = self._turn % len(order)
            session = self._slots[order[place]]
            if session.connection is None and not session.is_to_open and len(order) > 1:
                order[place] = order[-1]
                order.pop()
                continue
            self._turn += 1
            if session.connection is not None:
                break
            passed += 1
        return session


async def _run_closed_loop(
    plan: Plan, crowd: Crowd, context: RunContext, nursery: trio.Nursery
) -> None:
    with crowd.observer.looping(), trio.move_on_after(plan.load_s):
        for number, session in enumerate(list(crowd.slots), 1):
            _send_if_open(session, now_us(), nursery)
            if number % BATCH == 0:
                await trio.sleep(TICK_S)
        await _send_after_thinking(plan, context, crowd.observer.thinking, nursery)


def _send_if_open(session: Session, due_us: int, nursery: trio.Nursery) -> None:
    if session.connection is not None and session.successor is None:
        session.send(due_us, nursery)


async def _send_after_thinking(
    plan: Plan,
    context: RunContext,
    thinking: list[tuple[float, int, Session]],
    nursery: trio.Nursery,
) -> None:
    """Send messages that are due, until no socket thinks or waits for a reply."""
    # With --messages no duration bounds this.
    patience_s = plan.think_s + plan.stop_timeout_s if plan.messages is not None else _FOREVER
    patience = Patience(context.ledger, patience_s)
    while (thinking or context.awaits_frames or context.reopening) and not patience.is_exhausted():
        now = trio.current_time()
        while thinking and thinking[0][0] <= now:
            due, _, session = heapq.heappop(thinking)
            _send_if_open(session, now_us() - int((now - due) * 1_000_000), nursery)
        await trio.sleep(TICK_S)


_FOREVER: Final = float("inf")


class Patience:
    """A limit to waiting for replies that may never come; it begins anew with each event.

    :param limit_s: seconds without a message sent or received.
    """

    def __init__(self, ledger: Ledger, limit_s: float) -> None:
        self._ledger = ledger
        self._limit_s = limit_s
        self._progress = -1
        self._progress_at = 0.0

    def is_exhausted(self) -> bool:
        """Tell whether nothing has been sent or received for the whole limit."""
        now, progress = trio.current_time(), self._ledger.sent + self._ledger.received
        if progress != self._progress:
            self._progress, self._progress_at = progress, now
        return now - self._progress_at > self._limit_s
