"""Close connections that send more than a rate allows. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from echo_trio.behaviours.actions import Action, Close, Reply
from echo_trio.behaviours.scripts import Behaviour, OnMessage, Script, Stage, echo_with_suffix
from echo_trio.behaviours.transform import NextSuffix

#: The close code, after HTTP's 429.
TOO_MANY: Final = 4429


@dataclass(eq=False)
class _Quota(Script):
    """Answer as long as there are tokens: the bucket holds those of a second, at least one.

    (A token bucket: RFC 2697 and its like. It begins full, and is filled at the rate.)
    """

    per_s: float
    answer: OnMessage
    _tokens: float = 0.0
    _filled_s: float = 0.0
    _stage: Stage = field(init=False)

    at_once = True

    def enter(self, stage: Stage) -> None:
        self._stage = stage
        self._filled_s = stage.now_s()
        self._tokens = max(self.per_s, 1.0)

    def received(self, message: str | bytes) -> Iterable[Action]:
        now_s = self._stage.now_s()
        since = (now_s - self._filled_s) * self.per_s
        self._tokens = min(self._tokens + since, max(self.per_s, 1.0))
        self._filled_s = now_s
        if self._tokens < 1.0:
            messages = "message" if self.per_s == 1 else "messages"
            return (Close(TOO_MANY, f"more than {self.per_s:g} {messages} a second"),)
        self._tokens -= 1.0
        reply = self.answer(message)
        assert reply is not None
        return (Reply(reply),)


def quota(per_s: float) -> Behaviour:
    """Answer as `/` does; close with 4429 at more messages a second than that.

    A burst of one second's messages is allowed.
    """

    def behaviour(next_suffix: NextSuffix) -> Script:
        return _Quota(per_s, echo_with_suffix(next_suffix))

    return behaviour
