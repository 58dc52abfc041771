"""A figure is written with as many digits as one reads, and loses none of those that count."""

from __future__ import annotations

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.studies.compare import Change, Comparison
from loadgen.studies.compare_text import conclude, encode, show, write


@given(st.floats(0.001, 1e9), st.sampled_from(["ms", "s", "/s"]))
def test_a_figure_is_read_back_to_a_part_in_two_hundred(value: float, unit: str) -> None:
    shown = show(value, unit)
    number = shown.removesuffix(unit).strip()
    assert float(number.replace(",", "")) == pytest.approx(value, rel=1 / 200, abs=0.0005)
    assert shown == f"{number}{'' if unit == '/s' else ' '}{unit}"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.9994, "0.999 ms"), (1, "1.00 ms"), (99.99, "99.99 ms"), (100, "100.0 ms"),
        (999.94, "999.9 ms"), (1000, "1,000 ms"), (0, "0.000 ms"),
    ],
)  # fmt: skip
def test_digits_are_fewer_from_each_power_of_ten_on(value: float, shown: str) -> None:
    assert show(value, "ms") == shown


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [(2**20 * 1.5, "B", "1.5 MiB"), (12345.0, "", "1.234e+04"), (7, "", "7")],
)
def test_sizes_are_in_mib_and_counts_bare(value: float, unit: str, shown: str) -> None:
    assert show(value, unit) == shown


def test_a_table_has_an_empty_line_above_and_below_and_stands_two_columns_in() -> None:
    change = Change(
        name="latency p99", unit="ms", baseline=1.0, candidate=2.0, change=1.0, noise=0.25,
        call="worse",
    )  # fmt: skip
    comparison = Comparison(
        baseline=["a", "b"], candidate=["c", "d"], noise_known=True, plan_differences=[],
        notes=["look"], changes=[change],
    )  # fmt: skip
    stream = io.StringIO()
    write(comparison, stream)
    lines = stream.getvalue().split("\n")
    assert (lines[0], lines[1].split()) == ("", ["before", "after", "change", "noise"])
    told = "latency p99 1.00 ms 2.00 ms +100.0% ±25.0% worse"
    assert lines[2].split() == told.split()
    assert [line[:4] for line in lines[2:]] == ["  la", "", "  • ", "  Wo", "", ""]


@pytest.mark.parametrize(
    ("calls", "lines"),
    [
        (
            ["worse", "better", "worse"],
            ["Worse by more than noise: a, c", "Better by more than noise: b"],
        ),
        (["better"], ["Better by more than noise: a"]),
        (["noise", "same", "unclear"], ["Nothing changed by more than noise"]),
    ],
)
def test_what_changed_is_named_and_that_nothing_did_is_said(
    calls: list[str], lines: list[str]
) -> None:
    changes = [
        Change(
            name=name, unit="ms", baseline=1.0, candidate=2.0, change=None, noise=None, call=call
        )
        for name, call in zip("abc", calls, strict=False)
    ]  # fmt: skip
    found = Comparison(
        baseline=["1", "2"], candidate=["3"], noise_known=True, plan_differences=["x"],
        notes=["a note"], changes=changes,
    )  # fmt: skip
    sides = " (2 runs before, 1 after)."
    assert conclude(found) == ["• a note", *(line + sides for line in lines)]
    encoded = encode(found)
    assert encoded.endswith(b"}\n")
    assert encoded.startswith(b'{\n  "baseline": [')
    assert json.loads(encoded)["changes"][0]["call"] == calls[0]
