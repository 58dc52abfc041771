"""Check how long a poller waits in Trio's place, and what it does then, to the moment."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from types import SimpleNamespace
from typing import Any

import pytest

from echo_trio.wire import poller as poller_module
from echo_trio.wire.poller import BATCH, Poller

BEGAN_S = 100.0
#: The descriptors of Trio and of a socket.
TRIO, SOCKET = 0, 1


class Waiting:
    """A poller, and in place of the kernel, of Trio and of the look at the loop what a test says.

    :ivar done: all that it does, each with its moment.
    :ivar comes: what each wait ends with: how much later at most, and which descriptors are ready.
    """

    def __init__(self, *, has_lag: bool = True) -> None:
        self.now_s = BEGAN_S
        self.next_s = inf  # the next look at the loop
        self.deadline_s = inf
        self.runnable = list[int]()
        self.trio_is_over = False
        self.done = list[tuple[float, Any]]()
        self.comes = list[tuple[float, list[int]]]()
        self.poller = Poller(lag=self if has_lag else None)  # type: ignore[arg-type]
        self.poller._epoll.close()
        self.poller._epoll = self  # type: ignore[assignment]
        self.poller._callbacks = [self.poller._note_trio, lambda: self.note("served")]

    def note(self, what: Any) -> None:
        self.done.append((self.now_s - BEGAN_S, what))

    def ring_at(self, after_s: float, *, also: Callable[[], None] = lambda: None) -> None:
        def ring() -> None:
            self.note("rang")
            also()

        self.poller.alarms.set(BEGAN_S + after_s, ring)

    def wait(self, timeout_s: float) -> None:
        self.poller._wait(self, timeout_s)  # type: ignore[arg-type]

    # -- In place of the epoll --

    def poll(self, timeout_s: float, at_most: int) -> list[tuple[int, int]]:
        assert at_most == BATCH
        self.note(("waits", round(timeout_s, 6)))
        at_most_s, ready = self.comes.pop(0) if self.comes else (inf, [])
        assert min(at_most_s, timeout_s) < inf, "it would wait forever"
        self.now_s += min(at_most_s, timeout_s)
        return [(descriptor, 1) for descriptor in ready]

    # -- In place of Trio --

    def now(self) -> float:
        return self.now_s

    def next_deadline(self) -> float:
        return self.deadline_s

    def is_over(self) -> bool:
        self.note("asks Trio")
        return self.trio_is_over

    def end(self) -> None:
        self.note("ends")

    # -- In place of the look at the loop --

    def note_work(self, now_s: float) -> None:
        self.note(("works", now_s - BEGAN_S))

    def look(self, now_s: float, due_s: float) -> None:
        self.note(("looks", now_s - BEGAN_S, due_s - BEGAN_S))
        self.next_s = now_s + 10


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """No time passes while sockets are served."""

    class Still:
        perf_counter = staticmethod(lambda: 0.0)

    monkeypatch.setattr(poller_module, "time", Still)


@pytest.mark.parametrize(
    ("timeout_s", "deadline_s", "look_s", "alarm_s", "done"),
    [
        (3, inf, inf, inf, [(0, ("waits", 3)), (3, ("looks", 3, 3)), (3, "ends")]),
        (3, 2, inf, inf, [(0, ("waits", 2)), (2, ("looks", 2, 2)), (2, "ends")]),
        (
            3, inf, 1, inf,
            [(0, ("waits", 1)), (1, ("looks", 1, 1)), (1, ("waits", 2)), (3, ("looks", 3, 3)),
             (3, "ends")],
        ),
        (
            3, inf, inf, 1,
            [(0, ("waits", 1)), (1, ("looks", 1, 1)), (1, "rang"), (1, ("waits", 2)),
             (3, ("looks", 3, 3)), (3, "ends")],
        ),
        # What is due at one moment is done in one.
        (2, 2, 2, 2, [(0, ("waits", 2)), (2, ("looks", 2, 2)), (2, "rang"), (2, "ends")]),
        # What fell due before is caught up with first.
        (
            3, inf, 0, inf,
            [(0, ("looks", 0, 0)), (0, ("waits", 3)), (3, ("looks", 3, 3)), (3, "ends")],
        ),
        (
            3, inf, -1, 0,
            [(0, ("looks", 0, -1)), (0, "rang"), (0, ("waits", 3)), (3, ("looks", 3, 3)),
             (3, "ends")],
        ),
        (3, 0, inf, inf, [(0, ("waits", 0)), (0, ("looks", 0, 0)), (0, "ends")]),
    ],
)  # fmt: skip
def test_it_waits_until_the_first_that_is_due_and_does_that_at_its_moment(
    timeout_s: float, deadline_s: float, look_s: float, alarm_s: float, done: list[Any]
) -> None:
    waiting = Waiting()
    waiting.deadline_s, waiting.next_s = BEGAN_S + deadline_s, BEGAN_S + look_s
    if alarm_s < inf:
        waiting.ring_at(alarm_s)
    waiting.wait(timeout_s)
    assert waiting.done == done


def test_sockets_are_served_whenever_they_are_ready_and_it_waits_for_the_rest_of_the_time(
    clock,
) -> None:
    waiting = Waiting()
    waiting.comes = [(1, [SOCKET]), (0.5, [SOCKET, SOCKET]), (9, [])]
    waiting.wait(3)
    assert waiting.done == [
        (0, ("waits", 3)), (1, ("works", 1)), (1, "served"),
        (1, ("waits", 2)), (1.5, ("works", 1.5)), (1.5, "served"), (1.5, "served"),
        (1.5, ("waits", 1.5)), (3, ("looks", 3, 3)), (3, "ends"),
    ]  # fmt: skip


@pytest.mark.parametrize("what", ["Trio's descriptor", "a task", "a deadline"])
def test_it_ends_behind_the_batch_that_gives_trio_something_to_do(clock, what: str) -> None:
    waiting = Waiting(has_lag=False)
    waiting.comes = [(1, [TRIO, SOCKET] if what == "Trio's descriptor" else [SOCKET])]

    def served() -> None:
        waiting.note("served")
        if what == "a task":
            waiting.runnable.append(1)
        elif what == "a deadline":
            waiting.deadline_s = BEGAN_S + 1.25

    waiting.poller._callbacks[SOCKET] = served
    waiting.wait(3)
    deadline = [(1, ("waits", 0.25))] if what == "a deadline" else []
    at_s = 1.25 if what == "a deadline" else 1
    assert waiting.done == [(0, ("waits", 3)), (1, "served"), *deadline, (at_s, "ends")]


@pytest.mark.parametrize(("ready", "asks"), [(BATCH - 1, False), (BATCH, True)])
def test_behind_a_full_batch_trio_is_asked_whether_it_stands_behind_that(
    clock, ready: int, asks: bool
) -> None:
    waiting = Waiting(has_lag=False)
    waiting.trio_is_over = True
    waiting.comes = [(1, [SOCKET] * ready)]
    waiting.wait(3)
    assert [what for _, what in waiting.done].count("served") == ready
    last = [(1, "asks Trio"), (1, "ends")] if asks else [(1, ("waits", 2)), (3, "ends")]
    assert waiting.done[-2:] == last


def test_while_somebody_is_in_line_it_does_not_wait_and_asks_trio_each_time(clock) -> None:
    waiting = Waiting(has_lag=False)
    turns = iter(range(2))

    def on_turn() -> None:
        waiting.note("turn")
        if next(turns, None) is not None:
            waiting.poller._line[7] = on_turn, lambda: None

    waiting.poller._callbacks += [None] * 10
    waiting.poller._line[7] = on_turn, lambda: None
    waiting.wait(3)
    assert waiting.done == [
        (0, ("waits", 0)), (0, "turn"), (0, "asks Trio"),
        (0, ("waits", 0)), (0, "turn"), (0, "asks Trio"),
        (0, ("waits", 0)), (0, "turn"), (0, ("waits", 3)), (3, "ends"),
    ]  # fmt: skip


def test_a_look_falls_due_amid_a_batch_and_is_taken_behind_it(clock) -> None:
    waiting = Waiting()
    waiting.next_s = BEGAN_S + 2
    waiting.comes = [(1, [SOCKET])]

    def served() -> None:
        waiting.now_s += 1
        waiting.note("served")

    waiting.poller._callbacks[SOCKET] = served
    waiting.wait(3)
    assert waiting.done == [
        (0, ("waits", 2)), (1, ("works", 1)), (2, "served"), (2, ("looks", 2, 2)),
        (2, ("waits", 1)), (3, ("looks", 3, 3)), (3, "ends"),
    ]  # fmt: skip


@pytest.mark.parametrize("late_s", [-0.001, 0.0, 1.0])
def test_beside_tasks_what_is_due_is_done_and_one_batch_is_served_without_waiting(
    clock, late_s: float
) -> None:
    waiting = Waiting()
    waiting.next_s = BEGAN_S - late_s
    waiting.ring_at(-late_s)
    waiting.comes = [(0, [SOCKET])]
    waiting.poller._serve_beside(waiting)  # type: ignore[arg-type]
    due = [] if late_s < 0 else [("looks", 0, pytest.approx(-late_s)), "rang"]
    assert [what for _, what in waiting.done] == [*due, ("waits", 0), "served"]


@pytest.mark.parametrize(("batches", "timed"), [(1, 1), (32, 1), (33, 2), (64, 2), (65, 3)])
def test_the_first_batch_is_timed_and_every_so_many_th_from_then_on(
    batches: int, timed: int
) -> None:
    samples = list[float]()
    poller = Poller(samples.append)
    poller._callbacks = [lambda: None]
    for _ in range(batches):
        poller._begin_batch([(0, 1)])
        assert poller._serve_batch()
        poller._begin_batch([])  # One with nothing in it is none.
    assert len(samples) == timed
    poller._epoll.close()


def test_who_asks_for_another_turn_twice_keeps_its_place_and_its_first_wish() -> None:
    waiting, done = Waiting(has_lag=False), list[str]()
    poller = waiting.poller
    poller._callbacks = [lambda: done.append("readable")] * 3
    socks: Any = [SimpleNamespace(fileno=lambda number=number: number) for number in range(3)]
    for which, wish in ((1, "one"), (0, "zero"), (1, "one again")):
        poller.postpone(socks[which], lambda wish=wish: done.append(wish))
    assert (list(poller._line), poller._callbacks[:2]) == ([1, 0], [None, None])
    poller._serve_line()
    assert done == ["one", "zero"]
    assert (list(poller._line), None in poller._callbacks) == ([], False)
