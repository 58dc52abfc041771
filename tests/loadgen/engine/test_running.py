"""A load can be changed while it lasts, up to its last moment, and at no other time."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from loadgen.engine.running import Phase, find_why_not
from loadgen.workload.plan import Plan

NOT_YET, OVER = "has not begun", "the load is over"


@pytest.mark.parametrize(
    ("phase", "elapsed_s", "why"),
    [
        (Phase.PREFLIGHT, 0.0, NOT_YET), (Phase.OPEN, 99.0, NOT_YET), (Phase.LOAD, 0.0, None),
        (Phase.LOAD, 9.999, None), (Phase.LOAD, 10.0, OVER), (Phase.LOAD, 10.001, OVER),
        (Phase.CLOSE, 0.0, OVER), (Phase.DONE, 0.0, OVER),
    ],
)  # fmt: skip
def test_a_load_can_be_changed_from_its_beginning_to_just_before_its_end(phase, elapsed_s, why):
    run = SimpleNamespace(
        plan=Plan(1, duration_s=10.0), phase=phase, phase_elapsed_s=elapsed_s, interrupted=False
    )
    found = find_why_not(run)
    assert found is None if why is None else why in found
    run.interrupted = True
    assert find_why_not(run) == "the run is being stopped"
