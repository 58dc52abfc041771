"""Units as users type them."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from echo_trio import units

TABLE: dict[str, Any] = json.loads((Path(__file__).parents[1] / "units.json").read_text())
#: The page has the same kinds, and reads the same table: react-client/src/lib/typed-values.test.ts.
READ: dict[str, Callable[[str], float]] = {
    "duration": units.parse_duration,
    "size": units.parse_size,
    "count": units.parse_count,
    "rate": units.parse_rate,
    "whole": units.parse_whole,
    "processes": units.parse_processes,
}
TEXTS = [
    pytest.param(kind, text, value, id=f"{kind}-{text!r}")
    for kind in READ
    for text, value in TABLE[kind]["texts"].items()
]


@pytest.mark.parametrize(("kind", "text", "value"), TEXTS)
def test_a_text_stands_for_what_the_table_says(kind: str, text: str, value: float | None) -> None:
    if value is None:
        with pytest.raises(ValueError, match=re.escape(TABLE[kind]["hint"])) as refused:
            READ[kind](text)
        assert str(refused.value).startswith(repr(text))
    else:
        # To the last digit, as far as those of JavaScript go: that is what the page reads.
        assert float(READ[kind](text)) == value


def test_the_table_has_every_kind_and_no_other() -> None:
    assert set(TABLE) == {"about", *READ}


@pytest.mark.parametrize("kind", ["size", "count"])
def test_a_number_of_400_digits_is_none(kind: str) -> None:
    with pytest.raises(ValueError, match=TABLE[kind]["hint"]):
        READ[kind]("9" * 400)


@pytest.mark.parametrize("text", ["250ms", "10s", "2m", "1h", "90s", "1.5s"])
def test_help_shows_a_duration_as_one_would_type_it(text: str) -> None:
    assert units.parse_duration(units.show_duration(units.parse_duration(text))) == (
        units.parse_duration(text)
    )
    assert units.show_duration(10.0) == "10s"


@pytest.mark.parametrize(
    "text", ["0s", "1ms", "999ms", "1s", "59s", "1m", "61s", "59m", "1h", "2h"]
)
def test_a_duration_is_shown_in_the_largest_unit_of_which_it_is_a_whole_number(text: str) -> None:
    assert units.show_duration(units.parse_duration(text)) == text


@pytest.mark.parametrize("text", ["0", "512", "64KiB", "1MiB", "3GiB"])
def test_help_shows_a_size_as_one_would_type_it(text: str) -> None:
    assert units.show_size(units.parse_size(text)) == text


def test_processes_are_a_number_or_as_many_as_there_are_cores() -> None:
    assert units.parse_processes("3") == 3
    assert 1 <= units.parse_processes("auto") <= (os.cpu_count() or 1)


def test_cores_are_those_that_this_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 5, 7}, raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 9)
    assert units.parse_processes("auto") == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    assert units.parse_processes("auto") == 9
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert units.parse_processes("auto") == 1


@pytest.mark.parametrize(
    ("text", "share"), [("95%", 0.95), ("0.9", 0.9), ("50%", 0.5), ("0.9999", 0.9999)]
)
def test_a_confidence_is_read_as_a_share(text, share):
    assert units.parse_confidence(text) == share


@pytest.mark.parametrize("text", ["95", "49%", "100%", "0.99991", "1", "-0.9", "95 %", "nan", ""])
def test_what_is_no_confidence_says_how_to_write_one(text):
    with pytest.raises(ValueError, match="write it like 95%"):
        units.parse_confidence(text)
