"""What a request for a run becomes: loadgen's own command line."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from echo_trio import units
from echo_trio.console.run_order import BadOrder, RunOrder, Targets, read_order
from loadgen.workload.plan import Plan

URL = "ws://127.0.0.1:9000/"
TARGETS = Targets.of(URL, "127.0.0.1", ["other.example:1"])


def read(**order: Any) -> RunOrder:
    return read_order(json.dumps(order).encode(), TARGETS, max_count=20_000)


def test_without_a_target_a_run_goes_to_this_server() -> None:
    order = read(count=1000)
    assert order.arguments == ("1000", URL)
    assert (order.plan.count, order.plan.url) == (1000, URL)


@pytest.mark.parametrize(
    ("settings", "arguments"),
    [
        ({"duration": "2s"}, ("--duration=2s",)),
        ({"rate_per_conn": "5/s"}, ("--rate-per-conn=5/s",)),
        ({"rate-per-conn": "5/s"}, ("--rate-per-conn=5/s",)),
        ({"closed_loop": True, "think": "1s"}, ("--closed-loop", "--think=1s")),
        ({"closed_loop": False, "duration": None}, ()),
        ({"stage": ["1s:5/s", "2s:0/s"]}, ("--stage=1s:5/s", "--stage=2s:0/s")),
        ({"stage": "1s:5/s"}, ("--stage=1s:5/s",)),
        ({"fail_if": ["latency.p99>50ms"]}, ("--fail-if=latency.p99>50ms",)),
        ({"workers": 1}, ("--workers=1",)),
        ({"size": 64, "seed": 7.0}, ("--size=64", "--seed=7")),
        ({"message": "--json=/etc/passwd"}, ("--message=--json=/etc/passwd",)),
        ({"message": "a b\n'\"$(c)"}, ("--message=a b\n'\"$(c)",)),
        ({"header": ["X: --csv=/x"]}, ("--header=X: --csv=/x",)),
    ],
)
def test_a_setting_becomes_one_argument_that_can_be_no_other(
    settings: dict[str, Any], arguments: tuple[str, ...]
) -> None:
    assert read(count="1k", **settings).arguments == ("1k", URL, *arguments)


def test_the_plan_is_shown_as_a_report_has_it() -> None:
    shown = read(count=10).shown_plan
    assert shown["count"] == 10
    assert shown["duration_s"] == 10.0
    assert shown["workers"] == 1
    assert json.dumps(shown)


@pytest.mark.parametrize(
    "url",
    [
        "ws://127.0.0.1:9000/delay/10ms?a=b",
        "ws://localhost:9000/",
        "ws://LOCALHOST:9000/",
        "ws://[::1]:9000/",
        "ws://other.example:1/any",
    ],
)
def test_this_server_has_each_of_its_names_and_what_is_allowed_is(url: str) -> None:
    assert read(count=1, url=url).plan.url == url


def test_of_a_server_that_listens_everywhere_the_near_address_is_taken() -> None:
    targets = Targets.of("ws://0.0.0.0:9000/", "0.0.0.0")
    assert targets.own_url == "ws://127.0.0.1:9000/"
    assert ("localhost", 9000) in targets
    assert ("0.0.0.0", 9000) not in targets
    assert Targets.of("ws://[::]:9000/", "::").own_url == "ws://[::1]:9000/"


def test_of_several_settings_the_one_at_fault_is_named_as_it_was_written() -> None:
    with pytest.raises(BadOrder) as refused:
        read(count=1, duration="1s", connect_timeout="1", verify="exact")
    assert refused.value.field == "connect_timeout"
    with pytest.raises(BadOrder) as refused:
        read(count=1, rate_per_conn="0/s", messages=5)
    assert refused.value.field in ("rate_per_conn", "messages")


def test_a_limit_of_the_targets_is_refused_where_nobody_asks_the_target() -> None:
    with pytest.raises(BadOrder, match="only the command line has --console") as refused:
        read(count=1, fail_if=["messages.lost>0", "target.cpu_share>90%"])
    assert (refused.value.status, refused.value.field) == (422, "fail_if")


@pytest.mark.parametrize("value", ["@/etc/passwd", ["X-A: 1", "@/etc/passwd"]], ids=["one", "of"])
def test_no_file_of_this_machine_is_read_for_who_reaches_the_console(value: object) -> None:
    with pytest.raises(BadOrder, match="only the command line") as refused:
        read(count=1, header=value)
    assert refused.value.field == "header"


def test_a_run_has_no_more_processes_than_this_machine_has_cores() -> None:
    with pytest.raises(BadOrder, match="this machine has") as refused:
        read(count=10**6, workers=units.parse_processes("auto") + 1)
    assert (refused.value.status, refused.value.field) == (422, "workers")


# -- Properties ------------------------------------------------------------------------------------
# Whatever is sent to the console's runs is a run that loadgen would take, or refused in words.


ANY_TARGETS = Targets.of("ws://127.0.0.1:9000/", "127.0.0.1")
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


def read_safely(body: bytes) -> None:
    try:
        order = read_order(body, ANY_TARGETS, max_count=20_000)
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
    read_safely(body)


# Few: cyclopts takes tens of ms for each.
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(ORDERS, st.integers(-5, 30_000))
def test_any_settings(order: dict[str, Any], count: int) -> None:
    read_safely(json.dumps({"count": count, **order}).encode())
