"""Secrets are masked by their names, in headers, subprotocols, URLs and lines."""

from __future__ import annotations

import pytest

from echo_trio.masks import mask_headers, mask_line, mask_subprotocols, mask_url


@pytest.mark.parametrize(
    "name",
    [
        "Authorization", "authorization", "Proxy-Authorization", "Cookie", "X-Api-Key", "ApiKey",
        "X-Auth-Token", "X-Amz-Security-Token", "X-CSRF-Token", "Client-Secret", "X-Session-Id",
        "X-Signature", "X-JWT-Assertion", "Password",
    ],
)  # fmt: skip
def test_of_a_header_that_is_secret_the_name_is_shown_and_the_value_is_not(name):
    assert mask_headers([(name, "Bearer s3cret")]) == ((name, "***"),)


@pytest.mark.parametrize("name", ["Host", "User-Agent", "X-Tenant", "Accept-Language", "X-Sides"])
def test_other_headers_are_shown(name):
    assert mask_headers([(name, "value")]) == ((name, "value"),)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("ws://h/", "ws://h/"),
        ("ws://h/p?room=1&v=2", "ws://h/p?room=1&v=2"),
        ("wss://h:9/p?token=s3cret", "wss://h:9/p?token=***"),
        ("wss://h/p?room=1&access_token=a.b=c&v=2", "wss://h/p?room=1&access_token=***&v=2"),
        ("wss://h/p?Api%4Bey=s3cret", "wss://h/p?Api%4Bey=***"),
        ("wss://h/p?token=&x=1", "wss://h/p?token=&x=1"),
        ("wss://h/token=x", "wss://h/token=x"),
        ("http://user:s3cret@h:8766/metrics?sid=5", "http://***@h:8766/metrics?sid=***"),
        ("http://h/@x?at=a@b", "http://h/@x?at=a@b"),
    ],
)
def test_of_a_url_what_is_secret_is_not_shown(url, shown):
    assert mask_url(url) == shown
    assert mask_url(shown) == shown
    assert (
        mask_line(f"can't dial {url!r}, nor {url} now") == f"can't dial {shown!r}, nor {shown} now"
    )


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("ws://user:s3@cret@h/", "ws://***@h/"),
        ("ws://user:s3/cret@h/ is none", "ws://***@h/ is none"),
        ("ws://h:8765/@x", "ws://h:8765/@x"),
        (
            "see http://h/?key=a and ws://u@h/#sig=b!",
            "see http://h/?key=*** and ws://***@h/#sig=***",
        ),
    ],
)
def test_of_a_line_what_would_be_secret_in_a_url_is_not_shown(line, shown):
    assert mask_line(line) == shown


def test_a_token_that_goes_as_a_subprotocol_is_not_shown():
    assert mask_subprotocols(["chat.v1", "bearer.authorization.example.s3cret"]) == (
        "chat.v1",
        "***",
    )
