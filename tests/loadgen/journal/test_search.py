"""Recover a search from its journal: as many steps as a search may have, and no more."""

import json
from datetime import UTC, datetime

import msgspec
import pytest

from loadgen.journal.file import Unreadable
from loadgen.journal.search import SearchJournal, recover
from loadgen.report.thresholds import parse
from loadgen.studies.capacity import Step
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


def test_a_journal_that_has_ended_is_not_written_to(tmp_path):
    path = tmp_path / "search.journal"
    journal = SearchJournal(path, PLAN, [parse("messages.lost>0")])
    journal.note(STEP)
    before, journal.problem = path.read_bytes(), "No space left on device"
    journal.note(STEP)
    assert path.read_bytes() == before
    journal.close()
