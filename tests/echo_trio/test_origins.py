"""Where a page comes from has one form in which two can be compared."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from echo_trio.origins import Origin, parse_origin


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
