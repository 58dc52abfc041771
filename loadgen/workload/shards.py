"""Deal sockets, messages and local addresses to the shards of a plan; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from loadgen.workload.pacing import Pace, Share
from loadgen.workload.sources import Sources


@dataclass(frozen=True, slots=True)
class ShardOf:
    """Which part of a larger plan a plan is: shard `index`, from 0, of `shards`.

    :ivar sockets: of the whole plan.
    :ivar turn: from 0, of the `takers` that share its local addresses; these are all shards, or
        those on the same machine.
    """

    index: int
    shards: int
    sockets: int
    turn: int
    takers: int

    @classmethod
    def cut(cls, index: int, shards: int, sockets: int) -> Self:
        """Part `index`, from 0, of so many sockets cut into `shards`.

        :raises ValueError: if there are more shards than sockets, or no such part.
        """
        if not 0 <= index < shards <= sockets:
            raise ValueError(f"{sockets} sockets can't be cut into {shards} shards")
        return cls(index, shards, sockets, turn=index, takers=shards)

    @property
    def count(self) -> int:
        """How many of the sockets are this shard's."""
        return self.deal(self.sockets)

    def deal(self, things: int) -> int:
        """How many of so many things are this shard's, dealt out one by one."""
        return len(range(self.index, things, self.shards))

    def conn(self, number: int) -> int:
        """The number in the whole plan of this shard's socket `number`."""
        return self.index + self.shards * number

    def share(self, whole: Pace) -> Share:
        """When this shard's part of the messages of all shards is due."""
        return Share(whole, index=self.index, shards=self.shards, sockets=self.sockets)

    def sources(self, texts: Sequence[str]) -> Sources:
        """This shard's local addresses: its own where there are enough, or else all."""
        sources = Sources(texts)
        if len(sources) < self.takers:
            return sources
        return Sources(texts, start=self.turn, step=self.takers)
