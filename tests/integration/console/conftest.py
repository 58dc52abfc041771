"""HTTP as no client library would send it."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pytest

from ..warm_start import REAL_STARTS

SECONDS = 60


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def connect(url: str) -> socket.socket:
    parts = urlsplit(url)
    assert parts.hostname is not None
    return socket.create_connection((parts.hostname, parts.port or 80), timeout=SECONDS)


def read_answer(sock: socket.socket) -> Answer:
    response = http.client.HTTPResponse(sock)
    response.begin()
    headers = {name.lower(): value for name, value in response.getheaders()}
    return Answer(response.status, headers, response.read())


def send(url: str, request: bytes) -> Answer:
    """Send exactly these bytes, and read the first answer."""
    with connect(url) as sock:
        sock.sendall(request)
        return read_answer(sock)


def ask(url: str, line: str, body: bytes = b"", **headers: str) -> Answer:
    """One request with this request line; `None` as a header leaves it out."""
    given = {
        "host": urlsplit(url).netloc,
        "content-length": str(len(body)),
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in given.items())
    return send(url, f"{line} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + body)


@pytest.fixture(name="ask")
def _ask() -> Callable[..., Answer]:
    return ask


@pytest.fixture(name="send")
def _send() -> Callable[..., Answer]:
    return send


@pytest.fixture
def real_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the console start a new Python for each generator, whose process is looked at."""
    monkeypatch.setenv(REAL_STARTS, "1")
