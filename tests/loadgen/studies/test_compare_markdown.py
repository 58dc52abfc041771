"""A comparison as Markdown: the verdict, what it can't tell, and each figure in its column."""

from __future__ import annotations

import pytest

from loadgen.studies.compare import Change, Comparison
from loadgen.studies.compare_markdown import render


def change(name: str, call: str, **figures: float | None) -> Change:
    rest = {"baseline": 1.0, "candidate": 2.0, "change": 1.0, "noise": 0.25}
    return Change(name=name, unit="ms", call=call, **rest | figures)  # type: ignore[arg-type]


def rendered(*changes: Change, noise_known: bool = True, notes: tuple[str, ...] = ()) -> list[str]:
    comparison = Comparison(
        baseline=["a", "b", "c"], candidate=["d", "e"], noise_known=noise_known,
        plan_differences=[], notes=list(notes), changes=list(changes),
    )  # fmt: skip
    return render(comparison).decode().splitlines()


def test_each_figure_is_in_its_column_with_the_mark_of_its_call():
    lines = rendered(
        change("a|b", "better", baseline=1.5, candidate=0.75, change=-0.5, noise=0.125),
        change("c", "worse"),
        change("d", "unclear", noise=None),
        change("e", "noise", change=None, noise=None),
        change("f", "same"),
    )
    assert [line for line in lines if line.startswith("|")] == [
        "|  | before | after | change | noise |  |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
        "| a&#124;b | 1.50 ms | 0.750 ms | -50.0% | ±12.5% | 🟢 better |",
        "| c | 1.00 ms | 2.00 ms | +100.0% | ±25.0% | 🔴 worse |",
        "| d | 1.00 ms | 2.00 ms | +100.0% |  | 🟡 unclear |",
        "| e | 1.00 ms | 2.00 ms |  |  | within noise |",
        "| f | 1.00 ms | 2.00 ms | +100.0% | ±25.0% | same |",
    ]
    assert lines[0] == "## ❌ 1 of 5 figures worse than before"
    assert "- Worse by more than noise&#58; c &#40;3 runs before, 2 after&#41;." in lines
    assert "- Better by more than noise&#58; a&#124;b &#40;3 runs before, 2 after&#41;." in lines


@pytest.mark.parametrize("call", ["better", "noise", "same", "unclear"])
def test_nothing_worse_is_green(call):
    lines = rendered(change("c", call), notes=("*look*",))
    assert lines[:2] == ["## ✅ Nothing worse than before by more than noise", ""]
    assert lines[2] == "- &#42;look&#42;"
    assert any("Nothing changed by more than noise" in line for line in lines) == (call != "better")
