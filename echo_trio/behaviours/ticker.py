"""Push a message at each interval, regardless of the client. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from echo_trio.behaviours.about import About
from echo_trio.behaviours.actions import Action, Reply
from echo_trio.behaviours.scripts import Behaviour, Script, Stage
from echo_trio.behaviours.transform import NextSuffix

#: Memory of what makes the next push.
_HELD_BYTES: Final = 256


@dataclass(eq=False)
class _Ticker(Script):
    """Push the nth message n intervals after the connection's beginning.

    The nth counts from that moment, and not from the push before: a late one makes none of the
    others late, and whoever counts them knows how long the connection has been open.
    """

    interval_s: float
    _seq: int = 0
    _began_s: float = 0.0
    _stage: Stage = field(init=False)

    at_once = True

    def enter(self, stage: Stage) -> None:
        self._stage = stage
        self._began_s = stage.now_s()

    def opened(self, about: About) -> Iterable[Action]:
        return self._tick()

    def received(self, message: str | bytes) -> Iterable[Action]:
        return ()

    def _tick(self) -> Sequence[Action]:
        reply = Reply(f'{{"seq": {self._seq}, "t": {self._stage.unix_ms()}}}')
        self._seq += 1
        due_s = self._began_s + self._seq * self.interval_s
        self._stage.put_at(due_s, self._tick, held_bytes=_HELD_BYTES)
        return (reply,)


def ticker(interval_s: float) -> Behaviour:
    """Push `{"seq": n, "t": Unix ms}` every interval, n from 0; nothing is answered."""

    def behaviour(_: NextSuffix) -> Script:
        return _Ticker(interval_s)

    return behaviour
