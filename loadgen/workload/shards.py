"""Deal sockets, messages and local addresses to the shards of a plan. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from loadgen.workload.pacing import Pace, Share
from loadgen.workload.sources import Sources


@dataclass(frozen=True, slots=True)
class ShardOf:
    """The part of a larger plan that a plan is: shard `index`, from 0, of `shards`.

    :ivar sockets: of the whole plan.
    :ivar turn: its turn, from 0, among the `takers`.
    :ivar takers: the shards that share its local addresses: all shards, or those on the same
        machine.
    """

    index: int
    shards: int
    sockets: int
    turn: int
    takers: int

    @classmethod
    def cut(cls, index: int, shards: int, sockets: int) -> Self:
        """Cut part `index`, from 0, out of a number of sockets cut into `shards`.

        :raises ValueError: if there are more shards than sockets, or no such part.
        """
        if not 0 <= index < shards <= sockets:
            raise ValueError(f"{sockets} sockets can't be cut into {shards} shards")
        return cls(index, shards, sockets, turn=index, takers=shards)

    @property
    def count(self) -> int:
        """The number of sockets that are this shard's."""
        return self.deal(self.sockets)

    def deal(self, things: int) -> int:
        """Count how many of a number of things are this shard's, dealt out one by one."""
        return len(range(self.index, things, self.shards))

    def conn(self, number: int) -> int:
        """Return the number in the whole plan of this shard's socket `number`."""
        return self.index + self.shards * number

    def share(self, whole: Pace) -> Share:
        """Schedule this shard's part of the messages of all shards."""
        return Share(whole, index=self.index, shards=self.shards, sockets=self.sockets)

    def sources(self, texts: Sequence[str]) -> Sources:
        """Return this shard's local addresses: its own where there are enough, or else all."""
        sources = Sources(texts)
        if len(sources) < self.takers:
            return sources
        return Sources(texts, start=self.turn, step=self.takers)
