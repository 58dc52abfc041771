"""A page cannot have `/info` read it what the browser keeps from it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from websockets.sync.client import connect

from .server import Server, running

SECRETS = {
    "Cookie": "session=the-cookies-value",
    "Authorization": "Bearer the-tokens-value",
    "Proxy-Authorization": "Basic the-proxys-value",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("info")) as server:
        yield server


def what_it_shows(server: Server, **options: Any) -> str:
    host, port = server.echo
    url = f"ws://{host}:{port}/info"
    with connect(url, additional_headers=SECRETS, **options) as client:
        return str(client.recv(timeout=60))


@pytest.mark.parametrize("origin", ["http://127.0.0.1:1", "https://evil.example", "null"])
def test_a_page_is_shown_no_cookie_and_no_credentials(server: Server, origin: str) -> None:
    shown = what_it_shows(server, origin=origin)
    assert not [value for value in SECRETS.values() if value.split()[-1] in shown]
    assert "the-" not in shown
    # That they were there is no secret, and what a page's author wants to know.
    assert {name.lower() for name in SECRETS} <= json.loads(shown)["headers"].keys()


def test_a_client_that_is_no_browser_is_shown_what_it_sent(server: Server) -> None:
    headers = json.loads(what_it_shows(server))["headers"]
    assert headers | {name.lower(): value for name, value in SECRETS.items()} == headers
