"""Recover a search from its journal: as many steps as a search may have, and no more."""

import json
from datetime import UTC, datetime

import msgspec
import pytest

from loadgen.journal.file import Unreadable
from loadgen.journal.search import SearchJournal, recover
from loadgen.report.model import TargetLag, TargetReport
from loadgen.report.thresholds import parse
from loadgen.results.series import Second
from loadgen.studies.capacity import SearchOutcome, Step
from loadgen.studies.capacity_search import most_steps
from loadgen.workload.plan import Plan

PLAN = json.loads(msgspec.json.encode(Plan(10).settings() | {"workers": 1, "dask": None}))
STEP = Step(
    rate_per_s=10, outcome="held", reasons=[], received_per_s=0, p50_ms=0, p99_ms=0,
    started_at=datetime(2026, 1, 2, tzinfo=UTC), series=[],
)  # fmt: skip


@pytest.mark.parametrize("confidence", [None, 0.95])
def test_a_search_of_the_most_steps_is_recovered_and_a_longer_one_is_none(tmp_path, confidence):
    path, most = tmp_path / "search.journal", most_steps(confidence)
    limits = [parse("messages.lost>0")]
    journal = SearchJournal(path, PLAN, limits, confidence)
    for _ in range(most):
        journal.note(STEP)
    found = recover(path)
    assert found is not None
    assert len(found.steps) == most
    journal.note(STEP)
    journal.close()
    with pytest.raises(Unreadable, match="more steps than a search"):
        recover(path)


def test_all_that_a_search_had_found_is_in_its_journal(tmp_path):
    path, limits = tmp_path / "search.journal", ["latency.p99>1s", "messages.lost>0"]
    second = Second(
        t_s=1.0, open=2, opening=3, sent=4, received=5, errors=6, p50_ms=7.0, p99_ms=8.0, lag_ms=9.0
    )
    target = TargetReport(
        source="http://h/", errors=1, last_error="late", connections=2.0, cpu_share=0.3,
        rss_bytes=4.0, open_files=5.0, loop_lag=TargetLag(p50=6.0, p99=7.0, max=8.0), series=[],
    )  # fmt: skip
    steps = [
        msgspec.structs.replace(
            STEP, rate_per_s=10.0, received_per_s=9.5, p50_ms=1.5, p99_ms=2.5, series=[second],
            target=target, outcome=SearchOutcome.HELD,
        ),
        msgspec.structs.replace(
            STEP, rate_per_s=20.0, outcome=SearchOutcome.BROKE, reasons=["too late", "too few"]
        ),
        msgspec.structs.replace(STEP, rate_per_s=15.0, outcome=SearchOutcome.LIMITED),
    ]  # fmt: skip
    journal = SearchJournal(path, PLAN, [parse(limit) for limit in limits], 0.9)
    for step in steps:
        journal.note(step)
    found = recover(path)
    assert found is not None
    assert (found.steps, found.limits, found.plan, found.confidence) == (steps, limits, PLAN, 0.9)
    assert (found.url, found.interrupted, found.incomplete) == (PLAN["url"], True, True)
    assert (found.held_per_s, found.broke_per_s, found.limited_by) == (10.0, 15.0, "generator")
    with path.open("ab") as file:
        file.write(b'{"rate_per_s": 12\n' + msgspec.json.encode(steps[0]) + b"\n")
    assert recover(path) == found
    journal.close()


def test_a_search_without_a_step_has_nothing_to_tell_and_a_run_is_none(tmp_path):
    path = tmp_path / "search.journal"
    journal = SearchJournal(path, PLAN, [])
    with pytest.raises(Unreadable, match="died before its first step was over"):
        recover(path)
    journal.close()
    path.write_bytes(path.read_bytes().replace(b'"url"', b'"lru"'))
    with pytest.raises(Unreadable, match="its plan has no URL"):
        recover(path)
    path.write_bytes(b'{"journal": 1}\n')
    assert recover(path) is None


def test_a_journal_that_has_ended_is_not_written_to(tmp_path):
    path = tmp_path / "search.journal"
    journal = SearchJournal(path, PLAN, [parse("messages.lost>0")])
    journal.note(STEP)
    before, journal.problem = path.read_bytes(), "No space left on device"
    journal.note(STEP)
    assert path.read_bytes() == before
    journal.close()
