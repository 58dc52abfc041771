"""Hosts and ports are read as Host headers, origins and settings name them, and nothing else is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from echo_trio.wire.addresses import is_host, parse_target, split_authority


@pytest.mark.parametrize(
    ("authority", "parts"),
    [
        ("a.example", ("a.example", None)),
        ("A.Example:80", ("a.example", 80)),
        ("[::1]", ("::1", None)),
        ("[::1]:0", ("::1", 0)),
        ("127.0.0.1:65535", ("127.0.0.1", 65535)),
        ("127.0.0.1:65536", ("", None)),
        ("a:x", ("", None)),
        ("u@a", ("", None)),
        ("a/b", ("", None)),
        ("a?b", ("", None)),
        ("[::1", ("", None)),
        ("", ("", None)),
        (":80", ("", None)),
    ],
)
def test_an_authority_is_a_host_and_perhaps_a_port(
    authority: str, parts: tuple[str, int | None]
) -> None:
    assert split_authority(authority) == parts


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("a", True), ("A.Example", True), ("127.0.0.1", True), ("::1", True), ("[::1]", True),
        ("[a]", False), ("[127.0.0.1", False), ("a:1", False), ("a/", False), ("a b", False),
        ("", False), ("a@b", False), ("http://a", False),
    ],
)  # fmt: skip
def test_a_host_stands_alone(text: str, is_one: bool) -> None:
    assert is_host(text) is is_one


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("a.example:1", ("a.example", 1)),
        ("ws://a.example", ("a.example", 80)),
        ("wss://a.example/x/y", ("a.example", 443)),
        ("ws://[::1]:8080/", ("::1", 8080)),
        ("[::1]:1/x", ("::1", 1)),
    ],
)
def test_a_target_is_a_host_and_a_port_or_a_url(text: str, target: tuple[str, int]) -> None:
    assert parse_target(text) == target


@pytest.mark.parametrize(
    "text", ["a.example", "http://a.example", "http://a:1", "a:0", "ws://", "", ":1", "ws://a:x/"]
)
def test_what_is_no_target_says_how_to_write_one(text: str) -> None:
    with pytest.raises(ValueError, match="is no target: write it like") as told:
        parse_target(text)
    assert str(told.value).startswith(repr(text))


@given(st.text(max_size=20))
def test_any_text_is_an_authority_or_none(text: str) -> None:
    host, port = split_authority(text)
    assert host == host.lower()
    assert host or port is None
