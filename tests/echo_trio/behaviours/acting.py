"""A behaviour as one function of what comes: its faults and its script, without time or a line."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from echo_trio.behaviours import faults
from echo_trio.behaviours.about import About
from echo_trio.behaviours.actions import Action, Reply
from echo_trio.behaviours.rooms import Rooms
from echo_trio.behaviours.scripts import Faulty, OnMessage, Script, with_faults

ABOUT = About(path="/", query="", headers=[], subprotocol=None, extensions=[], peer="x:1")


class Empty:
    """A stage on which nothing happens but what the test does."""

    open_timeout_s = 10.0

    def __init__(self, rooms: Rooms | None = None) -> None:
        self.rooms = rooms or Rooms()
        self.time_s = 1000.0
        self.put_here: list[Action] = []
        self.due: list[tuple[float, Callable[[], Sequence[Action]]]] = []
        self.due_bytes = 0
        self.is_reading = True
        self.turns_ended = 0

    def now_s(self) -> float:
        return self.time_s

    def unix_ms(self) -> int:
        return round(self.time_s * 1000)

    def put(self, actions: Sequence[Action]) -> None:
        self.put_here += actions

    def put_at(
        self, due_s: float, make: Callable[[], Sequence[Action]], *, held_bytes: int
    ) -> None:
        self.due.append((due_s, make))
        self.due_bytes += held_bytes

    def answer_at(self, due_s: float, answer: str | bytes) -> None:
        self.due.append((due_s, lambda: (Reply(answer),)))

    def end_turn(self) -> None:
        self.turns_ended += 1

    def stop_reading(self) -> None:
        self.is_reading = False

    def go_on_reading(self) -> None:
        self.is_reading = True


class Acting:
    """What one connection does, one call after the other."""

    def __init__(self, acting: OnMessage | Script | Faulty, stage: Empty | None = None) -> None:
        faulty = with_faults(acting)
        self.script, self.incoming, self.outgoing = (
            faulty.script, faulty.incoming, faulty.outgoing
        )  # fmt: skip
        self.stage = stage or Empty()
        self.script.enter(self.stage)

    def opened(self) -> Iterator[Action]:
        yield from faults.beginnings(self.incoming)
        yield from faults.beginnings(self.outgoing)
        yield from faults.pass_through(self.outgoing, self.script.opened(ABOUT))

    def received(self, message: str | bytes) -> Iterator[Action]:
        for action in faults.pass_through(self.incoming, [Reply(message)]):
            answers = (
                self.script.received(action.message) if isinstance(action, Reply) else [action]
            )
            yield from faults.pass_through(self.outgoing, answers)

    def ended(self) -> Iterator[Action]:
        yield from faults.pass_through(self.outgoing, self.script.ended())
        yield from faults.endings(self.outgoing)
