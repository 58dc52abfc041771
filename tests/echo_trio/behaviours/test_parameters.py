"""A parameter takes what it says that it takes, to the last value, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from echo_trio.behaviours import parameters
from echo_trio.behaviours.parameters import Parameter, decode

#: Per parameter: texts with their values, and texts that have none.
TABLE: list[tuple[str, Parameter, dict[str, Any], list[str]]] = [
    (
        "duration", parameters.DURATION,
        {"0": 0.0, "1ms": 0.001, "1h": 3600.0, "3600s": 3600.0, "0000000000000000001s": 1.0},
        ["", "1", "-1s", "3601s", "61m", "000000000000000000001s", "nan", "1 s"],
    ),
    (
        "interval", parameters.INTERVAL,
        {"1ms": 0.001, "1h": 3600.0}, ["0", "0s", "0.9ms", "3601s"],
    ),
    (
        "every messages", parameters.EVERY_MESSAGES,
        {"1": 1, "1m": 1_000_000, "1k": 1000}, ["0", "1000001", "1.5", "x"],
    ),
    ("every replies", parameters.EVERY_REPLIES, {"1": 1, "1m": 1_000_000}, ["0", "1000001"]),
    ("messages", parameters.MESSAGES, {"0": 0, "1m": 1_000_000}, ["-1", "1000001"]),
    (
        "close code", parameters.CLOSE_CODE,
        {"1000": 1000, "1005": 1005, "1006": 1006, "1014": 1014, "3000": 3000, "4999": 4999},
        ["999", "1004", "1015", "2999", "5000", "01000", "1000 ", "100", ""],
    ),
    (
        "reason", parameters.REASON,
        {"": "", "x" * 123: "x" * 123, "é" * 61: "é" * 61}, ["x" * 124, "é" * 62],
    ),
    (
        "code and reason", parameters.CODE_AND_REASON,
        {
            "4000": (4000, ""), "4000:": (4000, ""), "4000:a:b": (4000, "a:b"),
            "4000:" + "x" * 123: (4000, "x" * 123), "1005": (1005, ""), "1006:": (1006, ""),
        },
        ["4000:" + "x" * 124, "1005:x", "1006:x", "x:4000", ":x"],
    ),
    ("status", parameters.STATUS, {"200": 200, "599": 599}, ["199", "600", "0200", "20", ""]),
    ("fragment", parameters.FRAGMENT, {"1": 1, "1GiB": 2**30}, ["0", "1073741825", "0.5"]),
    (
        "name", parameters.NAME,
        {"x": "x", "x" * 128: "x" * 128, "é" * 64: "é" * 64}, ["", "x" * 129, "é" * 65],
    ),
    (
        "rate", parameters.RATE,
        {"10": 10.0, "10/s": 10.0, "60/m": 1.0, "1m": 1_000_000.0, "0.001": 0.001},
        ["0", "0.0009", "1000001", "-1", "x"],
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("parameter", "taken", "refused"),
    [row[1:] for row in TABLE],
    ids=[row[0] for row in TABLE],
)
def test_what_may_stand_there_is_read_and_nothing_else(
    parameter: Parameter, taken: dict[str, Any], refused: list[str]
) -> None:
    assert {text: parameter.read(text) for text in taken} == taken
    for text in refused:
        with pytest.raises(ValueError):  # noqa: PT011 - its caller says what is allowed
            parameter.read(text)
    assert parameter.read(parameter.example) is not None
    if parameter.low is not None and parameter.high is not None:
        values = [each for each in taken.values() if isinstance(each, float | int)]
        assert parameter.low <= min(values) <= max(values) == parameter.high


@pytest.mark.parametrize("stray", ["%", "100%", "%4", "%zz", "a%2", "%ff", "%C3%28"])
def test_a_percent_sign_that_stands_for_no_text_is_refused(stray: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        decode(stray)


@given(st.text(max_size=20))
def test_any_text_can_stand_in_a_path(text: str) -> None:
    assert decode("".join(f"%{byte:02X}" for byte in text.encode())) == text
    assert decode(text.replace("%", "%25")) == text
