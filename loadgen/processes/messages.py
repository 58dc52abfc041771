"""Define the messages between a shard and its coordinator: msgpack, never pickle, a fixed set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Final, Protocol

import msgspec

from loadgen.engine.running import Phase
from loadgen.results.fan_out import Event
from loadgen.results.record import Record
from loadgen.workload.plan import Plan

# -- Orders: to a shard ---------------------------------------------------------------------


class Begin(msgspec.Struct, frozen=True, tag=True):
    """The order to run a plan."""

    plan: Plan


class AskClock(msgspec.Struct, frozen=True, tag=True):
    """The order to tell the time.

    :ivar asked_s: when this was sent, by the coordinator's clock.
    """

    asked_s: float


class Proceed(msgspec.Struct, frozen=True, tag=True):
    """The order to go on to a phase at a moment of the shard's own clock."""

    phase: Phase
    at_s: float


class Interrupt(msgspec.Struct, frozen=True, tag=True):
    """The order to end in good order."""


class Steer(msgspec.Struct, frozen=True, tag=True):
    """The order to change the load.

    :ivar at_s: when, in seconds of the load; a little later than this is sent, so that it is there
        in time.
    :ivar factor: of the planned rate from then on; 0 is a pause.
    """

    at_s: float
    factor: float


Order = Begin | AskClock | Proceed | Interrupt | Steer

# -- Words: from a shard --------------------------------------------------------------------


class Hello(msgspec.Struct, frozen=True, tag=True):
    """The message that the shard's process has started."""

    pid: int


class Clock(msgspec.Struct, frozen=True, tag=True):
    """The answer to `AskClock`.

    :ivar asked_s: when that was sent, by the coordinator's clock.
    :ivar clock_s: the shard's clock.
    """

    asked_s: float
    clock_s: float


class Waiting(msgspec.Struct, frozen=True, tag=True):
    """The message that the shard is ready for a phase, with the warnings of preflight."""

    phase: Phase
    warnings: tuple[str, ...] = ()


class Refusal(msgspec.Struct, frozen=True, tag=True):
    """The message that the shard's machine can't run its part."""

    problem: str


class Noted(msgspec.Struct, frozen=True, tag=True):
    """The state of the shard, once a second."""

    record: Record


class Happened(msgspec.Struct, frozen=True, tag=True):
    """A report of what has happened in the rooms.

    :ivar until_us: the moment up to which these events are all, by the shard's clock.
    """

    until_us: int
    events: list[Event]


class Finished(msgspec.Struct, frozen=True, tag=True):
    """The last message: the shard's whole result."""

    record: Record


Word = Hello | Clock | Waiting | Refusal | Noted | Happened | Finished

encode: Final = msgspec.msgpack.Encoder().encode
decode_order: Final[Callable[[bytes], Order]] = msgspec.msgpack.Decoder(Order).decode
decode_word: Final[Callable[[bytes], Word]] = msgspec.msgpack.Decoder(Word).decode


class LinkLost(Exception):
    """A shard is gone before it has finished; the message says how, in a few words."""


class Link(Protocol):
    """The coordinator's link to a shard's process, wherever that is.

    :ivar plan: the shard's part.
    :ivar worker: the worker of a cluster that runs it; ``None``: it is on this machine.
    """

    plan: Plan
    worker: str | None

    async def send(self, order: Order) -> None:
        """Send an order; nothing happens if the shard is gone, which `receive` finds out."""

    async def receive(self) -> Word:
        """Wait for the shard's next message.

        :raises LinkLost: if it is gone.
        """

    def kill(self, why: str) -> None:
        """End the shard at once; `receive` then raises for this reason."""


class Launcher(Protocol):
    """A place where shards run: this machine, or a cluster.

    :ivar are_clocks_shared: true if the shards use this machine's clock.
    :ivar scheduler: the scheduler of their cluster; ``None``: they are on this machine.
    """

    are_clocks_shared: bool
    scheduler: str | None

    async def check(self, plan: Plan) -> list[str]:
        """Warn of what may go wrong, in a line each.

        :raises Refused: if something will.
        """

    def launch(self, plan: Plan) -> AbstractAsyncContextManager[Sequence[Link]]:
        """Start the processes of all shards; they end with the block.

        :raises Refused: if that can't be done.
        """
