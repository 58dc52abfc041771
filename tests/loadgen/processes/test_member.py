"""What is known of a shard: each of its users and sockets is in one place, dead or alive."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loadgen.processes.member import DIED, Member, write_obituary
from loadgen.results import record
from loadgen.results.ledger import Ledger
from loadgen.results.result import Strain
from loadgen.results.scenario import ScenarioBooks
from loadgen.results.series import Second
from loadgen.workload.misbehaviour import Behave, Kind
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


def test_of_a_shard_that_has_told_nothing_there_are_its_sockets_and_no_figures() -> None:
    plan = Plan(20, behave=(Behave.parse("half-open:10%"),))
    members = [Member(plan.shard(index, 2), LINK) for index in range(2)]
    assert sum(member.ledger.requested for member in members) == 18
    assert sum(member.apart[Kind.HALF_OPEN].requested for member in members) == 2
    assert Member(Plan(6, scenario="talk.py"), LINK).ledger.requested == 0
    member = members[0]
    assert (member.ahead_s, member.fastest_s, member.clock_answers) == (0.0, math.inf, 0)
    assert (member.has_begun, member.is_over, member.silent_s) == (False, False, 0)
    result = member.result(STARTED)
    assert (result.started_at, result.plan, result.interrupted) == (STARTED, member.plan, False)
    assert (result.load_s, result.all_open_after_s, result.load_strain) == (0.0, None, Strain())
    facts = result.generator
    assert (facts.processes, facts.cpu_s, facts.cpu_share, facts.cpu_shares) == (1, 0.0, 0.0, [0.0])
    assert facts.peak_rss_bytes == 0
    assert result.scenario is None


def test_of_what_it_tells_the_last_counts_but_all_seconds_are_kept(result_of) -> None:
    member = Member(Plan(6).shard(0, 2), LINK)
    seconds = [Second(**dict.fromkeys(Second.__struct_fields__, at)) for at in (1, 2, 3)]
    for ledger, told in ((Ledger(3, opened=1), seconds[:1]), (Ledger(3, opened=2), seconds[1:])):
        apart = {Kind.NO_PONG: Ledger(7, opened=ledger.opened)}
        member.note(record.make("load", result_of(ledger, apart=apart), told))
    result = member.result(STARTED)
    assert (result.series, result.ledger.opened) == (seconds, 2)
    assert result.apart[Kind.NO_PONG].opened == 2
    member.ledger.opened = 5  # As they are written off: the result has that.
    member.apart[Kind.NO_PONG].opened = 6
    result = member.result(STARTED)
    assert (result.ledger.opened, result.apart[Kind.NO_PONG].opened) == (5, 6)
