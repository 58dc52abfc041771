"""Count users, steps, checks and streams; parts of a run are the whole, also written down."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.results.latency import Recorder
from loadgen.results.ledger import Unbalanced
from loadgen.results.scenario import (
    MAX_CAUSES,
    MAX_NAMES,
    OTHER_CAUSES,
    ScenarioBooks,
    ScenarioState,
    TooManyNames,
    dump_scenario,
    load_scenario,
)

ENDS = ("finished", "failed", "interrupted", "not_started")
TIMES = st.integers(0, 10_000_000)
USERS = st.lists(st.sampled_from([*ENDS, "lost"]), max_size=20)
CALLS = st.lists(
    st.tuples(
        st.sampled_from(["say", "ask"]),
        st.sampled_from(["request", "expect"]),
        st.sampled_from(["ok", "failed", "lost", "in_flight", "open"]),
        TIMES,
    ),
    max_size=20,
)
STREAMS = st.lists(
    st.tuples(
        st.sampled_from(["a", "b"]), st.sampled_from(["gaps", "reordered", "duplicate"]), TIMES
    ),
    max_size=10,
)
CHECKS = st.lists(st.tuples(st.sampled_from("xyz"), st.booleans()), max_size=10)


def keep(
    books: ScenarioBooks, users: list[str], calls: list[tuple[str, str, str, int]],
    streams: list[tuple[str, str, int]], checks: list[tuple[str, bool]],
) -> ScenarioBooks:  # fmt: skip
    """Count all this in books."""
    for how in users:
        books.users.requested += 1
        if how == "failed":
            books.users.fail("LostReply at x.py:1", "a traceback")
        elif how != "lost":
            setattr(books.users, how, getattr(books.users, how) + 1)
    for name, kind, how, took_us in calls:
        step = books.step(name, kind)
        step.count += 1
        step.blocked += how == "failed"
        step.blocked_us += took_us if how == "failed" else 0
        step.blocked_early += how == "lost"
        step.blocked_early_us += took_us if how == "lost" else 0
        step.longest_lag_us = max(step.longest_lag_us, took_us)
        if how != "open":
            setattr(step, how, getattr(step, how) + 1)
        if how == "ok":
            step.service.record(took_us)
            step.intended.record(2 * took_us)
            books.script_lag.record(took_us // 2)
    for name, what, age_us in streams:
        stream = books.stream(name)
        stream.received += 1
        setattr(stream, what, getattr(stream, what) + 1)
        stream.age.record(age_us)
    for name, passed in checks:
        books.check(name, passed)
        books.count(name, 3)
    books.opening_s = max(books.opening_s, len(users))
    books.end_second(Recorder(), Recorder())
    return books


PART = st.tuples(USERS, CALLS, STREAMS, CHECKS)


@given(PART, PART)
def test_the_parts_of_a_run_are_the_whole_in_any_order_and_written_down(
    one: tuple[list, list, list, list], other: tuple[list, list, list, list]
) -> None:
    whole = dump_scenario(keep(keep(ScenarioBooks(), *one), *other))
    for first, second in ((one, other), (other, one)):
        merged = keep(ScenarioBooks(), *first)
        sent = msgspec.json.encode(dump_scenario(keep(ScenarioBooks(), *second)))
        merged.merge(load_scenario(msgspec.json.decode(sent, type=ScenarioState)))
        assert in_order(dump_scenario(merged)) == in_order(whole)


def in_order(state: ScenarioState) -> ScenarioState:
    steps = sorted(state.steps, key=lambda step: (step.name, step.kind))
    return msgspec.structs.replace(state, steps=steps)


@given(PART)
def test_what_the_script_held_up_before_the_load_is_kept_apart(
    part: tuple[list, list, list, list],
) -> None:
    books = keep(ScenarioBooks(), *part)
    held_up = {key: (step.blocked, step.blocked_us) for key, step in books.steps.items()}
    books.begin_load(1.5)
    assert books.opening_s == 1.5
    for key, step in books.steps.items():
        assert (step.blocked_early, step.blocked_early_us) == held_up[key]
        assert step.blocked == step.blocked_us == step.longest_lag_us == 0


@given(PART, st.booleans())
def test_at_the_end_every_user_and_call_is_in_one_column(
    part: tuple[list, list, list, list], interrupted: bool
) -> None:
    users, calls, _, _ = part
    books = keep(ScenarioBooks(), *part)
    books.settle(interrupted=interrupted)
    books.check_identities()
    assert books.users.not_started == users.count("not_started") + users.count("lost")
    left = [how for _, _, how, _ in calls].count("open")
    whose = "in_flight" if interrupted else "lost"
    assert sum(getattr(step, whose) for step in books.steps.values()) == left + [
        how for _, _, how, _ in calls
    ].count(whose)


@given(PART)
def test_who_a_process_that_died_has_left_failed_by_that_unless_the_run_was_to_end(
    part: tuple[list, list, list, list],
) -> None:
    users = part[0]
    books = keep(ScenarioBooks(), *part)
    books.write_off("it died", interrupted=False)
    books.check_identities()
    assert books.users.failed_by["it died"] == users.count("lost")
    assert ("it died" in books.users.tracebacks) == ("lost" in users)
    books = keep(ScenarioBooks(), *part)
    books.write_off("it died", interrupted=True)
    books.check_identities()
    assert books.users.interrupted == users.count("interrupted") + users.count("lost")


def test_books_that_do_not_add_up_are_found() -> None:
    books = ScenarioBooks.of_users(2)
    books.users.finished = 1
    with pytest.raises(Unbalanced, match="users requested"):
        books.check_identities()
    books.users.failed = 1
    with pytest.raises(Unbalanced, match="users requested"):
        books.check_identities()
    books.users.failed_by["x"] = 1
    books.check_identities()
    books.step("say", "request").count = 1
    with pytest.raises(Unbalanced, match="request say: 1 of 1 calls are nowhere"):
        books.check_identities()


def test_names_and_causes_are_bounded() -> None:
    books = ScenarioBooks()
    for number in range(MAX_NAMES):
        books.step(f"s{number}", "request")
        books.check(f"c{number}", True)
        books.stream(f"t{number}")
        books.count(f"n{number}", 2)
    for add in (
        lambda: books.step("s0", "expect"),
        lambda: books.check("more", True),
        lambda: books.stream("more"),
        lambda: books.count("more", 1),
    ):
        with pytest.raises(TooManyNames, match="a scenario may have 1,000 "):
            add()
    books.check("c0", False)
    books.count("n0", 5)
    assert (books.checks["c0"].passed, books.checks["c0"].failed) == (1, 1)
    assert books.counters["n0"] == 7
    for number in range(MAX_CAUSES + 5):
        books.users.fail(f"f{number}", "the first")
    books.users.fail("f0", "the second")
    assert books.users.failed == books.users.failed_by.total() == MAX_CAUSES + 6
    assert (books.users.failed_by["f0"], books.users.failed_by[OTHER_CAUSES]) == (2, 5)
    assert books.users.tracebacks["f0"] == "the first"


def test_of_each_cause_the_traceback_that_is_shown_is_the_first_parts_that_has_one() -> None:
    parts = [ScenarioBooks(), ScenarioBooks(), ScenarioBooks()]
    for part, causes in zip(parts, ("a", "ab", "abc"), strict=True):
        for cause in causes:
            part.users.fail(cause, f"{cause} of {causes}")
    merged = ScenarioBooks()
    for part in parts:
        merged.merge(part)
    assert merged.users.tracebacks == {"a": "a of a", "b": "b of ab", "c": "c of abc"}
    assert merged.users.failed_by == {"a": 3, "b": 2, "c": 1}


def test_what_was_late_before_the_load_is_forgotten() -> None:
    books = keep(ScenarioBooks(), [], [("say", "request", "ok", 500)], [], [])
    books.begin_load(1.0)
    assert books.script_lag.total.count == 0
    assert books.steps["say", "request"].longest_lag_us == 0
    assert books.steps["say", "request"].service.total.count == 1


def test_what_a_step_has_recorded_comes_into_the_whole_runs_latencies_once() -> None:
    books, service, intended = ScenarioBooks(), Recorder(), Recorder()
    ask, listen = books.step("ask", "request"), books.step("listen", "expect")
    ask.undue.append(100)
    ask.service.record(200)
    ask.intended.record(300)
    listen.service.record(400)
    service.record(500)
    for _ in range(2):
        books.end_second(service, intended)
    assert [step.service.total.sum_us for step in (ask, listen)] == [300, 400]
    assert ask.intended.total.sum_us == 300
    service.end_second()
    assert service.total.sum_us == 100 + 200 + 500
    assert intended.end_second().sum_us == intended.total.sum_us == 100 + 300


def test_books_of_an_older_version_lack_what_it_did_not_count() -> None:
    books = keep(
        ScenarioBooks(), ["failed"], [("say", "request", "failed", 500)], [("a", "gaps", 7)], []
    )
    document = msgspec.to_builtins(dump_scenario(books))
    del document["opening_s"], document["steps"][0]["counts"]["blocked"]
    del document["streams"]["a"]["counts"]["gaps"]
    read = load_scenario(msgspec.convert(document, ScenarioState, str_keys=True))
    step = read.steps["say", "request"]
    assert (read.opening_s, step.blocked, step.blocked_us, step.failed) == (0, 0, 500, 1)
    assert (read.streams["a"].gaps, read.streams["a"].received) == (0, 1)
    assert ScenarioBooks.of_users(3).opening_s == 0


def test_a_hundred_causes_are_told_apart() -> None:
    assert MAX_CAUSES == 100
