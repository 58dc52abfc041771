"""What is known of a shard: each of its users and sockets is in one place, dead or alive."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loadgen.processes.member import DIED, Member, write_obituary
from loadgen.results import record
from loadgen.results.ledger import Ledger
from loadgen.results.scenario import ScenarioBooks
from loadgen.workload.plan import Plan

STARTED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
LINK: Any = None
COUNTS = st.lists(st.integers(0, 9), min_size=5, max_size=5)


def books_of(counts: list[int]) -> ScenarioBooks:
    """Make the books of so many users that finished, failed, were interrupted, never began, left"""
    books = ScenarioBooks.of_users(sum(counts))
    finished, failed, books.users.interrupted, books.users.not_started, _ = counts
    books.users.finished = finished
    for _ in range(failed):
        books.users.fail("LostReply", "a traceback")
    return books


@pytest.fixture
def told(result_of):
    """Make a shard of a scenario that has told of so much."""

    def make(books: ScenarioBooks | None, **settings: Any) -> Member:
        member = Member(Plan(6, scenario="talk.py", **settings).shard(1, 2), LINK)
        if books is not None:
            member.note(record.make("load", result_of(Ledger(1), scenario=books), []))
        return member

    return make


#: The fixture is a function that keeps nothing.
PURE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


@PURE
@given(COUNTS, st.booleans())
def test_users_that_a_dead_shard_leaves_are_those_in_no_column_and_then_are_in_one(
    told, counts: list[int], interrupted: bool
) -> None:
    member = told(books_of(counts))
    assert member.users_left == counts[-1]
    assert member.result(STARTED).scenario.users.settled == sum(counts[:-1])
    member.death, member.died_interrupted = "it died", interrupted
    books = member.result(STARTED).scenario
    books.check_identities()
    left = counts[-1]
    assert books.users.not_started == counts[3]
    assert books.users.interrupted == counts[2] + (left if interrupted else 0)
    assert books.users.failed_by[DIED] == (0 if interrupted else left)


def test_of_a_shard_that_has_told_nothing_all_users_are_left_as_far_as_they_are_known(told) -> None:
    assert told(None).users_left == 3
    assert told(None).result(STARTED).scenario.users.requested == 3
    arriving = told(None, arrive=5.0)
    assert arriving.users_left == 0
    arriving.death = "it died"
    arriving.result(STARTED).scenario.check_identities()
    assert Member(Plan(6).shard(0, 2), LINK).users_left == 0


@pytest.mark.parametrize(
    ("left", "cost"),
    [
        ((0, 0, 0), ", which is not"),
        ((1_000, 0, 0), ": 1,000 open sockets went with it,"),
        ((0, 2, 3), ": 2 sockets not yet open and 3 unanswered messages went with it,"),
        ((1, 2, 3), ": 1 open sockets, 2 sockets not yet open and 3 unanswered messages went"),
    ],
)
def test_an_obituary_names_each_loss_by_its_number(left: tuple[int, int, int], cost: str) -> None:
    assert f"died after 12 s (killed){cost}" in write_obituary("killed", 12.4, *left)
