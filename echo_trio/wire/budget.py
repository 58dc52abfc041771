"""Bound the memory that all connections of a process hold together.

A connection holds bytes for its peer: a message of which not all has arrived, replies that the
kernel has not taken, replies that a behaviour sends later. Whoever keeps them says so, with
`hold`, and with `release` when they are gone. Above the budget the connection that holds most has
to go: it is the one that costs the others most, and the one whose end helps most.
"""

from __future__ import annotations

from itertools import islice
from typing import Final, Protocol

#: A connection's place among the holders is known to an eighth of what it holds, so that a place
#: changes a few times while a megabyte arrives, and not with every byte.
_PLACE_BITS: Final = 3
#: The fullest of these many candidates in the same eighth is taken: a crowd in which all hold the
#: same must not cost a look at each of them for each one that goes.
_CANDIDATES: Final = 64


class Holder(Protocol):
    """Something that holds bytes on behalf of a peer.

    :ivar held_bytes: how many; kept by the budget.
    :ivar holder_place: for the budget to note where it has put this.
    """

    held_bytes: int
    holder_place: int

    def evict(self) -> None:
        """Let go of everything, now: the process holds too much."""


class Budget:
    """Count what is held for all connections, and evict the one that holds most if it is too much.

    :ivar held_bytes: what is held now, in bytes: the gauge.
    :ivar max_bytes: above it a connection is evicted; 0: never.
    :ivar evicted: how many were.
    """

    def __init__(self, max_bytes: int = 0) -> None:
        self.max_bytes = max_bytes
        self.held_bytes = 0
        self.evicted = 0
        self._places: dict[int, set[Holder]] = {}

    def hold(self, holder: Holder, size_bytes: int) -> None:
        """Count bytes that are kept from now on.

        Evicts whoever holds most, which may be the one that is being served, while this is above
        `max_bytes`.
        """
        self.held_bytes += size_bytes
        holder.held_bytes += size_bytes
        self._move(holder)
        while self.held_bytes > self.max_bytes > 0 and self._places:
            self._evict_largest()

    def release(self, holder: Holder, size_bytes: int) -> None:
        """Count bytes that are no longer kept."""
        assert size_bytes <= holder.held_bytes, "more is given back than was held"
        self.held_bytes -= size_bytes
        holder.held_bytes -= size_bytes
        self._move(holder)

    def forget(self, holder: Holder) -> None:
        """Count nothing for this one any longer, whatever it held. Idempotent."""
        self.release(holder, holder.held_bytes)

    def _move(self, holder: Holder) -> None:
        place = _place_of(holder.held_bytes)
        if place == holder.holder_place:
            return
        self._take_out(holder)
        holder.holder_place = place
        if place:
            self._places.setdefault(place, set()).add(holder)

    def _take_out(self, holder: Holder) -> None:
        if holder.holder_place:
            holders = self._places[holder.holder_place]
            holders.discard(holder)
            if not holders:
                del self._places[holder.holder_place]

    def _evict_largest(self) -> None:
        candidates = islice(self._places[max(self._places)], _CANDIDATES)
        largest = max(candidates, key=_held_bytes)
        self.evicted += 1
        self.forget(largest)  # Before anything else: what `evict` does may hold bytes as well.
        largest.evict()


def _held_bytes(holder: Holder) -> int:
    return holder.held_bytes


def _place_of(size_bytes: int) -> int:
    """The size's leading bits and their position: equal for sizes within an eighth."""
    shift = max(size_bytes.bit_length() - 1 - _PLACE_BITS, 0)
    return (shift << _PLACE_BITS) + (size_bytes >> shift)
