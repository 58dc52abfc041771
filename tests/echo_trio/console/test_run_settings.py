"""Settings of a run: within bounds, as texts, and what the grammar alone can tell."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from echo_trio.console.run_settings import (
    MAX_CHARACTERS,
    MAX_DIGITS,
    MAX_FIELDS,
    MAX_NAME_CHARACTERS,
    MAX_UNIT_CHARACTERS,
    MAX_VALUES,
    UNITS,
    BadSettings,
    RunSettings,
    read_settings,
)
from loadgen.cli import json_settings


def read(**settings: Any) -> RunSettings:
    return read_settings(json.dumps(settings).encode())


def refusal_of(body: bytes) -> BadSettings:
    with pytest.raises(BadSettings) as refused:
        read_settings(body)
    return refused.value


@pytest.mark.parametrize(
    ("settings", "values"),
    [
        ({"duration": "2s"}, {"duration": "2s"}),
        ({"rate_per_conn": "5/s"}, {"rate-per-conn": "5/s"}),
        ({"--Rate-Per-Conn": "5/s"}, {"rate-per-conn": "5/s"}),
        ({"closed_loop": True, "binary": False}, {"closed-loop": True, "binary": False}),
        ({"duration": None}, {"duration": None}),
        ({"stage": ["1s:5/s", "2s:0/s"]}, {"stage": ["1s:5/s", "2s:0/s"]}),
        ({"size": 64, "seed": 7.0}, {"size": "64", "seed": "7"}),
        ({"origin": 0.5, "message": 1e-7}, {"origin": "0.5", "message": "1e-07"}),
        ({"message": "a b\n'\"$(c)"}, {"message": "a b\n'\"$(c)"}),
    ],
)
def test_settings_are_texts_by_the_names_of_their_flags(
    settings: dict[str, Any], values: dict[str, Any]
) -> None:
    read_ones = read(count="1k", **settings)
    assert read_ones.values == {"count": "1k", **values}
    assert read_ones.written == {"count": "count"} | dict(zip(values, settings, strict=True))


@pytest.mark.parametrize("flag", UNITS)
def test_what_has_no_unit_is_told_at_once_with_its_field_as_it_was_written(flag: str) -> None:
    name = flag.replace("-", "_")
    refused = refusal_of(json.dumps({"count": 1, name: "1 parsec"}).encode())
    assert (refused.status, refused.field) == (422, name)
    assert "1 parsec" in str(refused)


def test_of_two_bad_settings_one_is_named() -> None:
    refused = refusal_of(b'{"count": 1, "duration": "soon", "connect_timeout": "1"}')
    assert refused.field == "duration"


#: Settings that have units among other things: the generator takes them apart.
COMPOUND = {"stage", "behave"}
COMPLAINTS = (
    "not a duration:",
    "not a size:",
    "not a count:",
    "not a rate:",
    "not a whole number",
    "neither auto nor",
)


def complaint_of_the_generator(settings: dict[str, Any]) -> str:
    with pytest.raises(json_settings.BadSettings) as refused:
        json_settings.read(json_settings.Order(settings, "ws://h/", [("h", 80)], 1, ""))
    return str(refused.value)


def test_every_unit_that_the_generator_knows_is_known_here() -> None:
    """Or a process would be started to find out."""
    wrong = dict.fromkeys(json_settings.settings().keys() - json_settings.LOCAL_ONLY, "1 parsec")
    with_units = {
        flag
        for flag, value in wrong.items()
        if any(
            complaint in complaint_of_the_generator({"count": "2", flag: value})
            for complaint in COMPLAINTS
        )
    }
    assert with_units - COMPOUND == UNITS.keys()


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({f"n{number}": 1 for number in range(MAX_FIELDS + 1)}, f"n{MAX_FIELDS}"),
        ({"n" * 65: 1}, "n" * 64),
        ({"header": ["a: b"] * (MAX_VALUES + 1)}, "header"),
        ({"header": ["a: " + "b" * MAX_CHARACTERS]}, "header"),
        ({"duration": "1" * 65 + "s"}, "duration"),
        ({"stage": [["1s:5/s"]]}, "stage"),
        ({"stage": [{"a": 1}]}, "stage"),
        ({"stage": [True]}, "stage"),
        ({"stage": {"a": 1}}, "stage"),
        ({"message": "a\0b"}, "message"),
        ({"message": "\ud800"}, "message"),
        ({"a-b": 1, "a_b": 1}, "a_b"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_more_than_there_can_be_is_refused_and_the_field_named(
    settings: dict[str, Any], field: str
) -> None:
    refused = refusal_of(json.dumps(settings).encode())
    assert (refused.status, refused.field) == (422, field)
    assert len(str(refused)) < 300


def test_what_is_within_the_bounds_is_read() -> None:
    read(count=1, header=["a: b"] * MAX_VALUES, message="x" * 60_000, origin="x" * MAX_CHARACTERS)
    others: Any = {f"n{number}": 1 for number in range(MAX_FIELDS - 1)}
    assert len(read(count=1, **others).values) == MAX_FIELDS
    others = {"n" * MAX_NAME_CHARACTERS: 1, "duration": "1".zfill(MAX_UNIT_CHARACTERS - 1) + "s"}
    assert read(count=1, **others).values["duration"].endswith("01s")
    assert read(count=1, seed=int("9" * MAX_DIGITS)).values["seed"] == "9" * MAX_DIGITS


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[" * 60_000, b"nonsense", b"\x80", b'{"count": 1}x', b"\xff" * 60_000]
)
def test_what_is_no_json_is_400(body: bytes) -> None:
    refused = refusal_of(body)
    assert (refused.status, refused.field) == (400, None)


@pytest.mark.parametrize("body", [b"[]", b"1", b"null", b'"count"'])
def test_what_is_no_object_is_422(body: bytes) -> None:
    assert refusal_of(body).status == 422


@pytest.mark.parametrize(
    "number", ["NaN", "Infinity", "-Infinity", "1e999", "9" * 19, "9" * 60_000, "1." + "9" * 60_000]
)
def test_a_number_that_no_setting_can_have_is_refused_shortly(number: str) -> None:
    refused = refusal_of(b'{"count": 1, "seed": %b}' % number.encode())
    assert refused.field == "seed"
    assert len(str(refused)) < 100


def test_a_doubled_key_is_found_wherever_it_is() -> None:
    names = [f"n{number}" for number in range(5000)]
    body = "{" + ",".join(f'"{name}":1' for name in [*names, "n0"]) + "}"
    assert refusal_of(body.encode()).field == "n0"
    assert refusal_of(b'{"count": 1, "header": {"a": 1, "a": 2}}').field == "a"


def test_without_a_count_the_count_is_at_fault() -> None:
    assert refusal_of(b'{"duration": "1s"}').field == "count"
    assert refusal_of(b'{"COUNT": null}').field == "COUNT"


# -- Properties ------------------------------------------------------------------------------------
# Whatever is sent to the console's runs is a run that loadgen would take, or refused in words.


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["1s", "10", "5/s", "1s:5/s", "ws://h/x", "-1", "--help", "exact"])
)
VALUES = SCALARS | st.lists(SCALARS, max_size=3) | st.dictionaries(st.text(), SCALARS, max_size=2)
NAMES = [*sorted(json_settings.settings().keys() - {"count"}), "rate_per_conn", "nonsense"]
SETTINGS = st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=5)


def read_safely(body: bytes) -> RunSettings | None:
    try:
        return read_settings(body)
    except BadSettings as exc:
        refused = exc
    assert refused.status in (400, 422)
    assert "\n" not in str(refused)
    return None


@given(st.binary())
def test_any_bytes_are_settings_or_refused_in_one_line(body: bytes) -> None:
    read_safely(body)


# Few: cyclopts takes tens of ms for each.
@hypothesis_settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(SETTINGS, st.integers(-5, 30_000))
def test_any_settings_are_a_run_that_the_generator_takes_or_refused_in_one_line(
    settings: dict[str, Any], count: int
) -> None:
    asked = read_safely(json.dumps({**settings, "count": count}).encode())
    if asked is None:
        return
    order = {
        "settings": asked.values,
        "url": "ws://h/",
        "targets": [["h", 80]],
        "max_count": 20_000,
        "html": "",
    }
    try:
        run = json_settings.read(
            msgspec.json.decode(msgspec.json.encode(order), type=json_settings.Order)
        )
    except json_settings.BadSettings as exc:
        refused = exc.refused
    else:
        assert run.plan.count <= 20_000
        assert json.dumps(run.shown_plan)
        return
    assert "\n" not in refused.error
    assert refused.field is None or refused.field in asked.values
