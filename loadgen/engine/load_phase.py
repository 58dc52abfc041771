"""Run the load phase: send messages when they are due, or when the last reply has come."""

from __future__ import annotations

import heapq
import math
from typing import Final

import trio

from loadgen.engine.context import RunContext, now_us
from loadgen.engine.crowd import BATCH, TICK_S, Crowd, wait_while
from loadgen.engine.observer import CrowdObserver
from loadgen.engine.session import Session
from loadgen.engine.steering import Steering
from loadgen.engine.steps import Steps, take_when_due
from loadgen.results.ledger import Ledger
from loadgen.workload.arrivals import OwnArrivals
from loadgen.workload.pacing import Pace
from loadgen.workload.plan import Plan
from loadgen.workload.speeds import Speeds


async def run(plan: Plan, crowd: Crowd, context: RunContext, nursery: trio.Nursery) -> None:
    """Run the load phase to its end.

    Cancelled: messages that are due and not sent are booked as overdue.
    """
    crowd.observer.steering = context.steering
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
        steps = _send_by_turns(plan, crowd, context, nursery)
    else:
        steps = _send_own_arrivals(plan, crowd, context, own, nursery)
    await take_when_due(steps, context.poller, context.steering)
    ends = began + plan.load_s
    if plan.messages is None:
        await trio.sleep_until(ends)
    else:
        patience = Patience(ledger, plan.stop_timeout_s)
        with trio.move_on_at(ends):
            await wait_while(lambda: context.awaits_frames and not patience.is_exhausted())


def _send_by_turns(plan: Plan, crowd: Crowd, context: RunContext, nursery: trio.Nursery) -> Steps:
    """Send messages on all sockets in turn, each when due, until the last or too late."""
    slots, ledger, steering = crowd.slots, context.ledger, context.steering
    speeds = steering.speeds
    pace = plan.pace(len(slots), speeds)
    turns = None if plan.is_rate_each_sockets_own else Turns(crowd)
    ledger.due = sent = 0
    began, began_us = trio.current_time(), now_us()
    last_due = _find_last_due(plan, pace, len(slots))
    try:
        # A generator that is behind for good sends nothing older than this, or no run would end.
        while (elapsed := trio.current_time() - began) <= last_due + plan.stop_timeout_s:
            if steering.speeds is not speeds:
                speeds = steering.speeds
                pace = plan.pace(len(slots), speeds)
                last_due = _find_last_due(plan, pace, len(slots))
            # A change may come late: then fewer are due, in hindsight, than were sent.
            due = max(min(pace.due_by(elapsed), sent + BATCH), sent)
            ledger.due = due
            for k in range(sent, due):
                due_us = began_us + int(pace.due_at(k) * 1_000_000)
                session = slots[k % len(slots)] if turns is None else turns.take()
                session.send(due_us, nursery)
            sent = due
            if sent < pace.total:
                next_due = pace.due_at(sent)
            elif _may_be_more(plan, pace, len(slots), speeds) and elapsed < plan.load_s:
                next_due = plan.load_s
            else:
                break
            yield max(began + next_due, trio.current_time() + TICK_S)
    finally:
        # A message that fell due a moment before an interruption is on its way, not behind.
        due = pace.due_by(max(trio.current_time() - began - LATE_S, 0.0))
        if behind := max(due - sent, 0):
            _book_overdue(ledger, behind)


def _find_last_due(plan: Plan, pace: Pace, sockets: int) -> float:
    """Compute when the last message is due at the latest, in seconds of the load."""
    if not _has_all(plan, pace, sockets):
        return plan.load_s
    # Where --messages bounds the load, it lasts until the last message is due.
    return min(plan.load_s, pace.due_at(pace.total - 1) if pace.total else 0.0)


def _may_be_more(plan: Plan, pace: Pace, sockets: int, speeds: Speeds) -> bool:
    """Tell whether a change may bring more messages, once all that there are have been sent."""
    if plan.messages is None:
        return True
    # The load phase ends with the last message, unless a change has put off some.
    return bool(speeds.steps) and not _has_all(plan, pace, sockets)


def _has_all(plan: Plan, pace: Pace, sockets: int) -> bool:
    """Tell whether a schedule has all the messages that the sockets are to send."""
    return plan.messages is not None and pace.total >= sockets * plan.messages


def _send_own_arrivals(
    plan: Plan, crowd: Crowd, context: RunContext, own: OwnArrivals, nursery: trio.Nursery
) -> Steps:
    """Send messages that each socket schedules itself, until the last or too late."""
    slots, ledger, steering = crowd.slots, context.ledger, context.steering
    speeds = Speeds()
    ledger.due = 0
    began, began_us = trio.current_time(), now_us()
    last_s = 0.0 if math.isinf(plan.load_s) else plan.load_s
    try:
        while True:
            elapsed_s = trio.current_time() - began
            if steering.speeds is not speeds:
                speeds = steering.speeds
                own.steer(speeds)
            if (next_s := own.next_due_s) is None:
                if own.is_exhausted or elapsed_s >= plan.load_s:
                    break
                if plan.messages is not None and not speeds.steps:
                    break  # The load phase ends with the last message, unless one was put off.
                yield began + plan.load_s
                continue
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
        await _send_after_thinking(plan, context, crowd.observer, nursery)


def _send_if_open(session: Session, due_us: int, nursery: trio.Nursery) -> None:
    if session.connection is not None and session.successor is None:
        session.send(due_us, nursery)


async def _send_after_thinking(
    plan: Plan, context: RunContext, observer: CrowdObserver, nursery: trio.Nursery
) -> None:
    """Send messages that are due, until no socket thinks or waits for a reply."""
    thinking, held, steering = observer.thinking, observer.held, context.steering
    # With --messages no duration bounds this.
    patience_s = plan.think_s + plan.stop_timeout_s if plan.messages is not None else _FOREVER
    patience = Patience(context.ledger, patience_s)
    while (
        thinking or held or context.awaits_frames or context.reopening
    ) and not patience.is_exhausted():
        if steering.is_paused:
            await _wait_for_resume(steering, thinking)
            patience.begin_anew()
        now = trio.current_time()
        for session in held[:BATCH]:  # As at the load's beginning: not all in one turn.
            if plan.think_s:
                heapq.heappush(thinking, (now + plan.think_s, session.conn, session))
            else:
                _send_if_open(session, now_us(), nursery)
        del held[:BATCH]
        while thinking and thinking[0][0] <= now:
            due, _, session = heapq.heappop(thinking)
            _send_if_open(session, now_us() - int((now - due) * 1_000_000), nursery)
        await trio.sleep(TICK_S)


async def _wait_for_resume(steering: Steering, thinking: list[tuple[float, int, Session]]) -> None:
    """Wait for the end of a pause, in which no session's time to think goes on."""
    began = trio.current_time()
    await steering.wait_for_resume()
    paused_s = trio.current_time() - began
    thinking[:] = [(due + paused_s, conn, session) for due, conn, session in thinking]


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

    def begin_anew(self) -> None:
        """Begin anew, as if something had been sent."""
        self._progress = -1
