"""Units as users type them."""

from __future__ import annotations

import os

import pytest

from echo_trio import units


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("250ms", 0.25), ("10s", 10), ("0.5s", 0.5), ("2m", 120), ("1h", 3600), ("0", 0), ("0s", 0)],
)
def test_a_duration_is_a_number_and_a_unit(text: str, seconds: float) -> None:
    assert units.parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["10", "", "s", "-1s", "1 s", "1d", "1e3s", "nan", "infs", "١s"])
def test_anything_else_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="not a duration"):
        units.parse_duration(text)


@pytest.mark.parametrize(
    ("text", "size_bytes"), [("512", 512), ("64KiB", 65536), ("1MiB", 2**20), ("0.5KiB", 512)]
)
def test_a_size_is_bytes_or_has_a_binary_unit(text: str, size_bytes: int) -> None:
    assert units.parse_size(text) == size_bytes


@pytest.mark.parametrize("text", ["1MB", "1kib", "", "-1", "0.5", "1 KiB", "0x10", "9" * 400])
def test_anything_else_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match="not a size"):
        units.parse_size(text)


@pytest.mark.parametrize(("text", "count"), [("10000", 10000), ("10k", 10000), ("1.5m", 1500000)])
def test_a_count_may_be_in_thousands_or_millions(text: str, count: int) -> None:
    assert units.parse_count(text) == count


@pytest.mark.parametrize("text", ["1.5", "", "-1", "1K", "0.0001k", "1_000", "9" * 400])
def test_anything_else_is_no_count(text: str) -> None:
    with pytest.raises(ValueError, match="not a count"):
        units.parse_count(text)


@pytest.mark.parametrize(
    ("text", "per_s"), [("100/s", 100), ("0.5/s", 0.5), ("30/m", 0.5), ("5k/s", 5000), ("0/s", 0)]
)
def test_a_rate_is_a_count_for_each_unit_of_time(text: str, per_s: float) -> None:
    assert units.parse_rate(text) == per_s


@pytest.mark.parametrize("text", ["100", "/s", "100/ms", "100 /s", "-1/s", "1/2s"])
def test_anything_else_is_no_rate(text: str) -> None:
    with pytest.raises(ValueError, match="not a rate"):
        units.parse_rate(text)


@pytest.mark.parametrize("text", ["250ms", "10s", "2m", "1h", "90s", "1.5s"])
def test_help_shows_a_duration_as_one_would_type_it(text: str) -> None:
    assert units.parse_duration(units.show_duration(units.parse_duration(text))) == (
        units.parse_duration(text)
    )
    assert units.show_duration(10.0) == "10s"


@pytest.mark.parametrize("text", ["0", "512", "64KiB", "1MiB", "3GiB"])
def test_help_shows_a_size_as_one_would_type_it(text: str) -> None:
    assert units.show_size(units.parse_size(text)) == text


def test_processes_are_a_number_or_as_many_as_there_are_cores() -> None:
    assert units.parse_processes("3") == 3
    assert 1 <= units.parse_processes("auto") <= (os.cpu_count() or 1)


@pytest.mark.parametrize("text", ["0", "-1", "", "two", "1.5", "1k", "257", "٢", "AUTO"])
def test_anything_else_is_no_number_of_processes(text: str) -> None:
    with pytest.raises(ValueError, match="neither auto nor a number from 1 to 256"):
        units.parse_processes(text)


@pytest.mark.parametrize(("text", "share"), [("95%", 0.95), ("0.9", 0.9), ("50%", 0.5)])
def test_a_confidence_is_read_as_a_share(text, share):
    assert units.parse_confidence(text) == share


@pytest.mark.parametrize("text", ["95", "49%", "100%", "1", "-0.9", "95 %", "nan", ""])
def test_what_is_no_confidence_says_how_to_write_one(text):
    with pytest.raises(ValueError, match="write it like 95%"):
        units.parse_confidence(text)
