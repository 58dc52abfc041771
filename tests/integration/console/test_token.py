"""A console that others can reach: who has the token may ask, and under which names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ..starter import run

Ask = Callable[..., Any]
TOKEN = "correct-horse-battery-staple"
NEEDS_TOKEN = [
    "/metrics",
    "/api/server",
    "/api/tasks",
    "/api/live",
    "/api/runs",
    "/api/runs/x",
    "/api/dial",
]


@pytest.fixture
def public(start_server: Callable[..., Any]) -> Any:
    server = start_server(
        "--console-host=0.0.0.0",
        f"--console-token={TOKEN}",
        "--console-allow-host=console.example",
        console=True,
    )
    server.console = server.console.replace("0.0.0.0", "127.0.0.1")
    return server


def test_without_the_token_only_page_and_health_answer(public: Any, ask: Ask) -> None:
    for path in NEEDS_TOKEN:
        for wrong in ({}, {"authorization": "Bearer wrong"}, {"authorization": f"Basic {TOKEN}"}):
            answer = ask(public.console, f"GET {path}", **wrong)
            assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")
            assert "token" in answer.json["error"]
    order = {"body": b'{"count": 1}', "content_type": "application/json"}
    assert ask(public.console, "POST /api/runs", **order).status == 401
    assert ask(public.console, f"GET /api/server?token={TOKEN}").status == 401
    for path in ("/", "/healthz", "/readyz", "/favicon.svg"):
        assert ask(public.console, f"GET {path}").status == 200


def test_with_the_token_it_answers_and_never_logs_it(public: Any, ask: Ask) -> None:
    for scheme in ("Bearer", "bearer"):
        answer = ask(public.console, "GET /api/server", authorization=f"{scheme} {TOKEN}")
        assert answer.status == 200
    started = ask(
        public.console,
        "POST /api/runs",
        b'{"count": 1, "duration": "0.1s"}',
        content_type="application/json",
        authorization=f"Bearer {TOKEN}",
    )
    assert started.status == 202
    assert public.stop() == 0
    assert TOKEN not in public.log


def test_it_is_served_under_any_address_and_the_names_it_was_given(public: Any, ask: Ask) -> None:
    for host in ("192.0.2.1:8766", "[2001:db8::1]", "console.example", "localhost"):
        assert ask(public.console, "GET /healthz", host=host).status == 200
    for host in ("evil.example", "console.example.evil.example"):
        assert ask(public.console, "GET /healthz", host=host).status == 403


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--console-host=0.0.0.0"], "--console-token"),
        (["--console-host=::"], "--console-token"),
        (["--console-token="], "--console-token"),
        (["--console-token=two words"], "--console-token"),
        (["--run-target=http://example.org/"], "is no target"),
        (["--run-target=example.org"], "is no target"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else value,
)
def test_bad_settings_are_one_line_and_exit_code_2(flags: list[str], says: str) -> None:
    ended = run("echo_trio", "--port=0", "--console-port=0", *flags)
    assert (ended.returncode, ended.stdout) == (2, "")
    (line,) = ended.stderr.splitlines()
    assert says in line
