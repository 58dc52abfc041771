"""What a shard and who runs it say to each other: msgpack, never pickle, in a fixed vocabulary."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

import msgspec

from loadgen.engine.running import Phase
from loadgen.results.fan_out import Event
from loadgen.results.record import Record
from loadgen.workload.plan import Plan

# -- Orders: to a shard ---------------------------------------------------------------------


class Begin(msgspec.Struct, frozen=True, tag=True):
    """Run this."""

    plan: Plan


class AskClock(msgspec.Struct, frozen=True, tag=True):
    """What time is it there?"""

    asked_s: float


class Proceed(msgspec.Struct, frozen=True, tag=True):
    """Go on to a phase at this moment of the shard's own clock."""

    phase: Phase
    at_s: float


class Interrupt(msgspec.Struct, frozen=True, tag=True):
    """End in good order."""


Order = Begin | AskClock | Proceed | Interrupt

# -- Words: from a shard --------------------------------------------------------------------


class Hello(msgspec.Struct, frozen=True, tag=True):
    """It is up."""

    pid: int


class Clock(msgspec.Struct, frozen=True, tag=True):
    """It is so late here; asked at that moment of the other's clock."""

    asked_s: float
    clock_s: float


class Waiting(msgspec.Struct, frozen=True, tag=True):
    """It could go on to a phase; and what preflight found tight."""

    phase: Phase
    warnings: tuple[str, ...] = ()


class Refusal(msgspec.Struct, frozen=True, tag=True):
    """Its machine can't do it."""

    problem: str


class Noted(msgspec.Struct, frozen=True, tag=True):
    """How far it is."""

    record: Record


class Happened(msgspec.Struct, frozen=True, tag=True):
    """What has happened in the rooms, up to a moment of its own clock."""

    until_us: int
    events: list[Event]


class Finished(msgspec.Struct, frozen=True, tag=True):
    """It is done, and this is all there is to tell."""

    record: Record


Word = Hello | Clock | Waiting | Refusal | Noted | Happened | Finished

encode: Final = msgspec.msgpack.Encoder().encode
decode_order: Final[Callable[[bytes], Order]] = msgspec.msgpack.Decoder(Order).decode
decode_word: Final[Callable[[bytes], Word]] = msgspec.msgpack.Decoder(Word).decode


class LinkLost(Exception):
    """A shard is gone that was not done; says how, in a few words."""


class Link(Protocol):
    """Who runs a shard, and the shard's process, wherever that is.

    :ivar plan: its part.
    :ivar worker: of a cluster, on which it is; ``None``: on this machine.
    """

    plan: Plan
    worker: str | None

    async def send(self, order: Order) -> None:
        """Tell the shard; nothing if it is gone, which `receive` finds out."""

    async def receive(self) -> Word:
        """What the shard says next.

        :raises LinkLost: if it is gone.
        """

    def kill(self, why: str) -> None:
        """End the shard at once; `receive` then raises for this reason."""
