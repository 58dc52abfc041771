"""A value in JSON is found by its path, and compared as JSON compares."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.workload.json_values import find_json, fits_json

SCALARS = st.none() | st.booleans() | st.integers(-5, 5) | st.text("ab1", max_size=2) | st.just(0.5)
NAMES = st.sampled_from(["a", "b", "0", "1", "12"])
VALUES = st.recursive(
    SCALARS, lambda v: st.lists(v, max_size=3) | st.dictionaries(NAMES, v, max_size=3), max_leaves=9
)
NOTHING = object()


def follow(value, path):
    """What stands at a path, by the definition of it."""
    for part in path:
        if isinstance(value, dict) and part in value:
            value = value[part]
        elif isinstance(value, list) and part.isdecimal() and int(part) < len(value):
            value = value[int(part)]
        else:
            return NOTHING
    return value


@given(VALUES, st.lists(NAMES, min_size=1, max_size=3))
def test_a_value_is_found_where_it_is_and_only_there(value, path):
    expected = follow(value, path)
    found = find_json(".".join(path))(json.dumps(value))
    if expected is NOTHING or expected is None or isinstance(expected, dict | list):
        assert found is None
    elif isinstance(expected, bool):
        assert found == (expected,)
    else:
        assert found == expected
        assert type(found) is type(expected)


@given(VALUES, st.lists(NAMES, min_size=1, max_size=3), VALUES)
def test_a_value_fits_what_json_takes_for_equal(value, path, wanted):
    expected = follow(value, path)
    fits = fits_json(".".join(path), json.dumps(wanted))(json.dumps(value).encode())

    # By msgspec's own text of both: true is no 1 there, and 1.0 is written as 1.
    def text(each):
        return json.dumps(normal(each), sort_keys=True)

    assert fits is (expected is not NOTHING and text(expected) == text(wanted))


def normal(value):
    """Numbers of one form."""
    if isinstance(value, dict):
        return {name: normal(each) for name, each in value.items()}
    if isinstance(value, list):
        return [normal(each) for each in value]
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    return float(value)


@pytest.mark.parametrize(
    ("wanted", "value", "fits"),
    [
        ("ok", '{"a": "ok"}', True),
        ('"ok"', '{"a": "ok"}', True),
        ("1", '{"a": 1}', True),
        ("1", '{"a": "1"}', False),
        ("true", '{"a": 1}', False),
        ("NaN", '{"a": "NaN"}', True),
        ("[" * 100_000, '{"a": 1}', False),
        ("null", '{"a": null}', True),
        ("null", "{}", False),
    ],
)
def test_what_is_no_json_is_a_text(wanted, value, fits):
    assert fits_json("a", wanted)(value) is fits


@pytest.mark.parametrize("frame", ["", "x", '{"a": ', b"\xff", '{"a": 1', "[" * 100_000])
def test_in_what_is_no_json_there_is_nothing(frame):
    assert find_json("a")(frame) is None
    assert find_json("a.0.b")(frame) is None
    assert fits_json("a", "null")(frame) is False


@pytest.mark.parametrize("path", ["", ".", "a.", ".a", "a..b"])
def test_a_path_has_no_empty_part(path):
    with pytest.raises(ValueError, match="is not a path: write it like json:id"):
        find_json(path)
