"""Whatever is sent to the console's runs is a run that loadgen would take, or refused in words."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from echo_trio.console.run_order import BadOrder, Targets, read_order
from loadgen.workload.plan import Plan

TARGETS = Targets.of("ws://127.0.0.1:9000/", "127.0.0.1")
NAMES = [
    "count", "url", "duration", "rate_per_conn", "rate", "stage", "closed_loop", "think",
    "messages", "message", "size", "verify", "header", "origin", "subprotocol", "seed",
    "source_ip", "fail_if", "lifetime", "binary", "nonsense",
]  # fmt: skip
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(
        ["1s", "10", "5/s", "1s:5/s", "ws://127.0.0.1:9000/x", "-1", "--help", "exact"]
    )
)
VALUES = SCALARS | st.lists(SCALARS, max_size=3) | st.dictionaries(st.text(), SCALARS, max_size=2)
ORDERS = st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=5)


def read(body: bytes) -> None:
    try:
        order = read_order(body, TARGETS, max_count=20_000)
    except BadOrder as exc:
        refused = exc
    else:
        assert isinstance(order.plan, Plan)
        assert order.plan.count <= 20_000
        assert all("\0" not in argument for argument in order.arguments)
        assert json.dumps(order.shown_plan)
        return
    assert refused.status in (400, 422)
    assert "\n" not in str(refused)


@given(st.binary())
def test_any_bytes(body: bytes) -> None:
    read(body)


# Few: cyclopts takes tens of ms for each.
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(ORDERS, st.integers(-5, 30_000))
def test_any_settings(order: dict[str, Any], count: int) -> None:
    read(json.dumps({"count": count, **order}).encode())
