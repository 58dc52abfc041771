"""Whose pages may connect, and how many there may be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from echo_trio.admission import Capacity, Origin, last_descriptor, parse_origin


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("https://example.com", Origin("https", "example.com", "443")),
        ("HTTPS://Example.COM:443", Origin("https", "example.com", "443")),
        ("http://localhost:080", Origin("http", "localhost", "80")),
        ("http://[::1]:5173", Origin("http", "[::1]", "5173")),
        ("app://local", Origin("app", "local", None)),
    ],
)
def test_an_origin_has_one_form_whatever_its_case_and_default_port(text, origin) -> None:
    assert parse_origin(text) == origin


@pytest.mark.parametrize(
    "text",
    ["null", "", "*", "example.com", "https://", "https://a/", "https://u@a", "https://a:b", "//a"],
)
def test_what_is_no_origin_is_none(text) -> None:
    assert parse_origin(text) is None


@given(st.text())
def test_any_text_is_an_origin_or_none(text) -> None:
    origin = parse_origin(text)
    if origin is not None:
        written = f"{origin.scheme}://{origin.host}" + (f":{origin.port}" if origin.port else "")
        assert parse_origin(written) == origin


@pytest.mark.parametrize(
    ("asked_for", "file_limit", "connections"),
    [(0, 1024, 960), (0, 1_048_576, 1_048_512), (100, 1024, 100), (5000, 1024, 960), (0, 40, 1)],
    ids=["unset", "unset, much", "fewer than fit", "more than fit", "hardly any"],
)
def test_the_capacity_is_what_was_asked_for_as_far_as_it_fits(
    asked_for, file_limit, connections
) -> None:
    assert Capacity.of(asked_for, file_limit).connections == connections


@given(st.integers(0, 2**20), st.integers(256, 2**20))
def test_connections_and_refusals_leave_descriptors_for_health(asked_for, file_limit) -> None:
    capacity = Capacity.of(asked_for, file_limit)
    assert capacity.connections >= 1
    assert capacity.refusals >= 1
    assert capacity.connections + capacity.refusals <= file_limit - 32
    assert last_descriptor(file_limit) <= file_limit - 32
