"""Ask for a token before anything else. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from echo_trio.behaviours.about import About
from echo_trio.behaviours.actions import Action, Close, Reply
from echo_trio.behaviours.scripts import Behaviour, OnMessage, Script, Stage, echo_with_suffix
from echo_trio.behaviours.transform import NextSuffix

HELLO: Final = '{"type": "hello"}'
WELCOME: Final = '{"type": "welcome"}'
#: Close codes for a wrong token and for no message in time, after HTTP's 401 and 408.
NO_ENTRY: Final = 4401
TOO_LATE: Final = 4408
#: Memory of the timer that waits for the first message.
_HELD_BYTES: Final = 256


class _Login(msgspec.Struct):
    """The required first message; further keys are ignored."""

    type: str
    token: str


_LOGIN: Final = msgspec.json.Decoder(_Login)


@dataclass(eq=False)
class _Door(Script):
    """Send hello, await the token, send welcome; then answer as `/` does."""

    token: str
    answer: OnMessage
    _is_first: bool = True
    _stage: Stage = field(init=False)

    at_once = True

    def enter(self, stage: Stage) -> None:
        due_s = stage.now_s() + stage.open_timeout_s
        stage.put_at(due_s, self._look, held_bytes=_HELD_BYTES)

    def opened(self, about: About) -> Iterable[Action]:
        return (Reply(HELLO),)

    def received(self, message: str | bytes) -> Iterable[Action]:
        if not self._is_first:
            reply = self.answer(message)
            assert reply is not None
            return (Reply(reply),)
        self._is_first = False
        if not self._is_right(message):
            return (Close(NO_ENTRY, "this is not the login"),)
        return (Reply(WELCOME if isinstance(message, str) else WELCOME.encode()),)

    def _is_right(self, message: str | bytes) -> bool:
        try:
            login = _LOGIN.decode(message)
        except (ValueError, RecursionError):
            return False
        return login.type == "login" and login.token == self.token

    def _look(self) -> Sequence[Action]:
        return (Close(TOO_LATE, "there was no login in time"),) if self._is_first else ()


def login(token: str) -> Behaviour:
    """Require `{"type": "login", "token": …}` first; then answer as `/` does.

    Else close with 4401; with 4408 if nothing comes within the open timeout.
    """

    def behaviour(next_suffix: NextSuffix) -> Script:
        return _Door(token, echo_with_suffix(next_suffix))

    return behaviour
