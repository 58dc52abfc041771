"""What users have in common: numbers of sockets that no other has, and clocks that agree."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest

from loadgen.engine.books import Books
from loadgen.engine.gate import Gate
from loadgen.results.ledger import Ledger
from loadgen.results.scenario import ScenarioBooks
from loadgen.scenario.context import UserContext
from loadgen.scenario.phases import Phases
from loadgen.scenario.timetable import Timetable
from loadgen.workload.plan import Plan


def context_of(plan: Plan) -> UserContext:
    run: Any = SimpleNamespace(books=Books(Ledger(0)))
    nobody: Any = None
    return UserContext(
        plan, run, ScenarioBooks(), Phases(1.0, 1.0), Timetable(), Gate(plan), nobody, 7, nobody
    )


def test_each_socket_of_a_run_has_a_number_of_its_own_whatever_its_process() -> None:
    whole = Plan(7, scenario="s.py")
    contexts = [context_of(whole.shard(index, 3)) for index in range(3)]
    numbers = [[context.number_socket() for _ in range(4)] for context in contexts]
    assert numbers == [[0, 3, 6, 9], [1, 4, 7, 10], [2, 5, 8, 11]]
    alone = context_of(whole)
    assert [alone.number_socket() for _ in range(3)] == [0, 1, 2]


def test_what_every_request_asks_for_is_the_runs() -> None:
    context = context_of(Plan(1))
    books = context.run.books
    assert context.ledger is books.ledger
    assert context.verdicts is books.ledger.verdicts
    context.book_service(5)
    context.book_intended(7)
    assert (books.service.end_second().sum_us, books.intended.end_second().sum_us) == (5, 7)


def test_the_wall_clock_is_compared_anew_when_it_may_have_been_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    context = context_of(Plan(1))
    monkeypatch.setattr(time, "time_ns", lambda: 9_000_000_000)
    monkeypatch.setattr(time, "perf_counter_ns", lambda: 2_000_000_000)
    context.compare_clocks()
    assert context.wall_offset_us == 7_000_000
