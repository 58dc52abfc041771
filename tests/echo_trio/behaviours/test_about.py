"""Describe a connection to whoever may see it, without the credentials of the page's user."""

from __future__ import annotations

import json

import pytest

from echo_trio.behaviours.about import About


def test_the_description_of_a_connection_joins_headers_that_came_twice():
    about = About(
        path="/info",
        query="a=b",
        headers=[("x", "1"), ("host", "h"), ("x", "2")],
        subprotocol="chat",
        extensions=["permessage-deflate"],
        peer="[::1]:5",
    )
    assert about.to_json() == (
        '{"path": "/info", "query": "a=b", "headers": {"x": "1, 2", "host": "h"}, '
        '"subprotocol": "chat", "extensions": ["permessage-deflate"], "peer": "[::1]:5"}'
    )


def headers_shown(*headers: tuple[str, str]) -> dict[str, str]:
    about = About(
        path="/", query="", headers=list(headers), subprotocol=None, extensions=[], peer="x:1"
    )
    return json.loads(about.to_json())["headers"]


ORIGIN = ("origin", "http://127.0.0.1:3000")


@pytest.mark.parametrize(
    "name",
    [
        "cookie", "authorization", "proxy-authorization", "x-api-key", "x-auth-token",
        "x-forwarded-access-token", "x-auth-request-email", "cf-access-jwt-assertion",
        "x-amzn-oidc-data", "x-forwarded-client-cert", "x-csrf-token", "x-session-id",
    ],
)  # fmt: skip
def test_a_page_is_shown_of_a_credential_its_name_and_its_length_alone(name):
    assert headers_shown(ORIGIN, (name, "hunter2"))[name] == "(masked, 7 bytes)"
    assert headers_shown(ORIGIN, (name, "jäger"))[name] == "(masked, 6 bytes)"
    assert headers_shown((name, "hunter2"))[name] == "hunter2"


@pytest.mark.parametrize("origin", ["null", "", "https://example.com"])
def test_whatever_the_origin_says_it_is_a_browser(origin):
    shown = headers_shown(("cookie", "a=1"), ("cookie", "b=22"), ("origin", origin))
    assert shown["cookie"] == "(masked, 3 bytes), (masked, 4 bytes)"
    assert shown["origin"] == origin


@pytest.mark.parametrize(
    "name", ["host", "user-agent", "sec-websocket-key", "sec-websocket-protocol", "x-request-id"]
)
def test_what_is_no_credential_is_shown_to_a_page_too(name):
    assert headers_shown(ORIGIN, (name, "value"))[name] == "value"
