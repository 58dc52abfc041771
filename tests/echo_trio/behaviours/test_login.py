"""Whoever wants an echo says the token first, and in time."""

from __future__ import annotations

import json

import pytest

from echo_trio.behaviours.actions import Close, Reply
from echo_trio.behaviours.login import HELLO, NO_ENTRY, TOO_LATE, WELCOME, login

from .acting import Acting, Empty

RIGHT = '{"type": "login", "token": "me", "more": 1}'


def acting() -> Acting:
    stage = Empty()
    stage.open_timeout_s = 2.5
    return Acting(login("me")(lambda: 7), stage)


@pytest.mark.parametrize("form", [str, str.encode])
def test_the_right_token_is_welcome_and_echoed_from_then_on(form) -> None:
    door = acting()
    assert list(door.opened()) == [Reply(HELLO)]
    assert door.script.at_once
    assert list(door.received(form(RIGHT))) == [Reply(form(WELCOME))]
    for _ in range(2):
        assert list(door.received("m")) == [Reply("m 7")]
        assert list(door.received(RIGHT)) == [Reply(f"{RIGHT} 7")]
    ((due_s, look),) = door.stage.due
    assert (due_s, look()) == (1000.0 + 2.5, ())
    assert json.loads(HELLO) == {"type": "hello"}
    assert json.loads(WELCOME) == {"type": "welcome"}


@pytest.mark.parametrize(
    "message",
    ["", "m", "[]", '{"type": "login"}', '{"type": "login", "token": "m"}',
     '{"type": "hello", "token": "me"}', '{"token": "me"}', "[" * 100_000, b"\xff"],
    ids=lambda message: str(message)[:40],
)  # fmt: skip
def test_anything_else_is_shown_out(message) -> None:
    door = acting()
    assert list(door.received(message)) == [Close(NO_ENTRY, "this is not the login")]


def test_who_says_nothing_is_shown_out_once_its_time_is_up() -> None:
    door = acting()
    ((_, look),) = door.stage.due
    assert look() == (Close(TOO_LATE, "there was no login in time"),)
    assert (NO_ENTRY, TOO_LATE) == (4401, 4408)
