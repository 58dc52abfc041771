"""Each thing that a hostile page, or a hostile client, would try on the console."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest

Ask = Callable[..., Any]
JSON = {"content_type": "application/json"}
ORDER = b'{"count": 1, "duration": "1s"}'


def nothing_was_started(console: Any, ask: Ask) -> bool:
    return bool(ask(console.console, "GET /api/runs").json == {"runs": []})


# DNS rebinding: the attacker's name has been made to lead here


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "127.0.0.1.evil.example",
        "",
        "[::2]:80",
        "a@localhost",
        "localhost/x",
        "127.1",
    ],
)
@pytest.mark.parametrize("path", ["/", "/healthz", "/metrics", "/api/live", "/nothing"])
def test_a_foreign_host_is_403_whatever_it_asks(
    console: Any, ask: Ask, host: str, path: str
) -> None:
    answer = ask(console.console, f"GET {path}", host=host)
    assert answer.status == 403
    assert answer.json["error"]


def test_a_foreign_host_starts_no_run(console: Any, ask: Ask) -> None:
    answer = ask(console.console, "POST /api/runs", ORDER, host="evil.example", **JSON)
    assert answer.status == 403
    assert nothing_was_started(console, ask)


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1:8766", "[::1]", "[::1]:1"])
def test_this_machines_own_names_are_served(console: Any, ask: Ask, host: str) -> None:
    assert ask(console.console, "GET /healthz", host=host).status == 200


def test_a_request_without_host_or_with_two_is_refused(console: Any, send: Ask) -> None:
    host = urlsplit(console.console).netloc.encode()
    assert send(console.console, b"GET /healthz HTTP/1.1\r\n\r\n").status == 400
    assert send(console.console, b"GET /healthz HTTP/1.0\r\n\r\n").status == 403
    two = b"GET /healthz HTTP/1.1\r\nHost: %b\r\nHost: evil.example\r\n\r\n" % host
    assert send(console.console, two).status == 400


# Cross-site request forgery: a page elsewhere makes the browser ask


@pytest.mark.parametrize(
    "media_type",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/jsonx"],
)
def test_a_change_that_a_form_could_send_is_403(console: Any, ask: Ask, media_type: str) -> None:
    for line in ("POST /api/runs", "DELETE /api/runs/x"):
        assert ask(console.console, line, ORDER, content_type=media_type).status == 403
    assert nothing_was_started(console, ask)


def test_a_change_without_a_media_type_is_403(console: Any, ask: Ask) -> None:
    assert ask(console.console, "POST /api/runs", ORDER).status == 403
    assert ask(console.console, "DELETE /api/runs/x").status == 403


@pytest.mark.parametrize(
    "where",
    [
        {"origin": "null"},
        {"origin": "https://evil.example"},
        {"origin": "http://127.0.0.1:1"},
        {"origin": "http://127.0.0.1"},
        {"origin": "file://"},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
        {"sec_fetch_site": "none"},
    ],
    ids=lambda where: ",".join(where.values()),
)
def test_a_change_asked_for_by_another_origin_is_403(
    console: Any, ask: Ask, where: dict[str, str]
) -> None:
    for line in ("POST /api/runs", "DELETE /api/runs/x"):
        assert ask(console.console, line, ORDER, **JSON, **where).status == 403
    assert nothing_was_started(console, ask)


def test_a_change_asked_for_by_the_page_itself_gets_as_far_as_its_content(
    console: Any, ask: Ask
) -> None:
    own = {"origin": console.console.rstrip("/"), "sec_fetch_site": "same-origin"}
    assert ask(console.console, "POST /api/runs", b"{}", **JSON, **own).status == 422
    assert ask(console.console, "DELETE /api/runs/x", **JSON, **own).status == 404
    charset = "Application/JSON; charset=utf-8"
    assert ask(console.console, "POST /api/runs", b"{}", content_type=charset).status == 422


@pytest.mark.parametrize("path", ["/api/live", "/api/server", "/metrics", "/api/runs"])
def test_no_other_page_may_read_or_keep_a_stream_open(console: Any, ask: Ask, path: str) -> None:
    for site in ("cross-site", "same-site"):
        answer = ask(console.console, f"GET {path}", sec_fetch_site=site, sec_fetch_mode="no-cors")
        assert answer.status == 403
    followed = {"sec_fetch_mode": "navigate", "sec_fetch_dest": "iframe"}
    assert (
        ask(console.console, f"GET {path}", sec_fetch_site="cross-site", **followed).status == 403
    )


def test_a_link_from_elsewhere_may_be_followed(console: Any, ask: Ask) -> None:
    followed = {"sec_fetch_mode": "navigate", "sec_fetch_dest": "document"}
    answer = ask(console.console, "GET /api/runs", sec_fetch_site="cross-site", **followed)
    assert answer.status == 200


def test_a_preflight_is_not_allowed_anything(console: Any, ask: Ask) -> None:
    answer = ask(
        console.console,
        "OPTIONS /api/runs",
        origin="https://evil.example",
        access_control_request_method="POST",
        access_control_request_headers="content-type",
    )
    assert answer.status == 405
    assert not any(name.startswith("access-control") for name in answer.headers)


# Bodies


def test_a_body_that_is_said_to_be_too_long_is_413_before_it_arrives(
    console: Any, ask: Ask
) -> None:
    answer = ask(console.console, "POST /api/runs", b"{", **JSON, content_length="65537")
    assert answer.status == 413


def test_a_body_without_a_length_is_413_as_soon_as_it_is_too_long(console: Any, send: Ask) -> None:
    host = urlsplit(console.console).netloc
    head = f"POST /api/runs HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
    chunk = b"2000\r\n" + b" " * 0x2000 + b"\r\n"
    # Nine of them are more than 64 KiB, and the last one never comes.
    answer = send(
        console.console, head.encode() + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 9
    )
    assert answer.status == 413


def test_a_body_of_64_kib_is_read(console: Any, ask: Ask) -> None:
    order = json.dumps({"count": 1, "unknown": ""}).encode()
    padded = order + b" " * (2**16 - len(order))
    answer = ask(console.console, "POST /api/runs", padded, **JSON)
    assert (answer.status, answer.json["field"]) == (422, "unknown")
    assert ask(console.console, "POST /api/runs", padded + b" ", **JSON).status == 413


def test_clients_that_send_on_and_on_are_let_go(console: Any) -> None:
    before = console.descriptors
    parts = urlsplit(console.console)
    assert parts.hostname is not None
    head = f"POST / HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Length: 10000000\r\n\r\n".encode()
    for _ in range(2):
        with socket.create_connection((parts.hostname, parts.port), timeout=60) as sock:
            sock.sendall(head)
            with pytest.raises(OSError):  # noqa: PT011, PT012 - reset, or no longer there
                while True:
                    sock.sendall(b" " * 2**16)
    assert wait_until(lambda: console.descriptors <= before)


def wait_until(holds: Callable[[], bool]) -> bool:
    """A hang guard: what another process does can't be awaited."""
    deadline = time.monotonic() + 60
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.05)
    return holds()


# Paths


@pytest.mark.parametrize(
    "path",
    [
        "/../../../../etc/passwd",
        "/assets/../app.py",
        "/assets/../../app.py",
        "/assets/%2e%2e/%2e%2e/app.py",
        "/..%2fapp.py",
        "/%2e%2e%5capp.py",
        "//etc/passwd",
        "/%2fetc%2fpasswd",
        "/assets//etc/passwd",
        "/assets/%00",
        "/index.html%00.js",
        "/.",
        "/assets",
        "/assets/",
        "/index.html/",
        "/assets/.hidden",
        "/%ff",
    ],
)
def test_no_path_leads_out_of_the_page(console: Any, ask: Ask, path: str) -> None:
    answer = ask(console.console, f"GET {path}")
    assert answer.status == 404
    assert answer.json["error"]


# What is not there


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/", "GET, HEAD"),
        ("POST", "/healthz", "GET, HEAD"),
        ("DELETE", "/metrics", "GET, HEAD"),
        ("PUT", "/api/runs", "GET, HEAD"),
        ("PATCH", "/api/server", "GET, HEAD"),
        ("TRACE", "/api/live", "GET, HEAD"),
    ],
)
def test_a_method_that_a_path_has_not_is_405_in_json(
    console: Any, ask: Ask, method: str, path: str, allowed: str
) -> None:
    answer = ask(console.console, f"{method} {path}")
    assert answer.status == 405
    assert answer.json["error"]
    assert set(allowed.split(", ")) <= set(answer.headers["allow"].split(", "))


def test_a_websocket_is_not_what_the_console_speaks(console: Any, ask: Ask) -> None:
    answer = ask(
        console.console,
        "GET /api/live",
        connection="Upgrade",
        upgrade="websocket",
        sec_websocket_version="13",
        sec_websocket_key="dGhlIHNhbXBsZSBub25jZQ==",
    )
    assert answer.status == 403


def test_every_answer_tells_browsers_to_be_strict(console: Any, ask: Ask) -> None:
    for line in ("GET /", "GET /api/server", "GET /nothing", "POST /healthz", "GET /metrics"):
        headers = ask(console.console, line).headers
        policy = headers["content-security-policy"]
        assert "frame-ancestors 'none'" in policy
        assert "script-src 'self';" in policy
        assert "connect-src 'self' ws: wss:" in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert "server" not in headers


# Runs elsewhere, and other programs


@pytest.mark.parametrize(
    "target",
    [
        "ws://example.org/",
        "ws://127.0.0.1:1/",
        "ws://127.0.0.2:{port}/",
        "ws://127.1:{port}/",
        "ws://2130706433:{port}/",
        "ws://localhost.evil.example:{port}/",
        "ws://0.0.0.0:{port}/",
        "ws://[::ffff:127.0.0.1]:{port}/",
    ],
)
def test_a_run_goes_nowhere_else(console: Any, ask: Ask, target: str) -> None:
    url = target.format(port=urlsplit(console.url).port)
    order = json.dumps({"count": 1, "url": url}).encode()
    answer = ask(console.console, "POST /api/runs", order, **JSON)
    assert (answer.status, answer.json["field"]) == (400, "url")
    assert "--run-target" in answer.json["error"]
    assert nothing_was_started(console, ask)


def test_all_this_was_no_failure_of_the_console_and_left_nothing_behind(
    console: Any, ask: Ask
) -> None:
    assert b"echo_trio_console_failures_total 0" in ask(console.console, "GET /metrics").body
    assert not psutil.Process(console.process.pid).children()
    levels = {event["level"] for event in console.events}
    assert levels == {"info"}
