"""Bound the memory that all connections of a process hold together.

A connection holds bytes for its peer: a message of which not all has arrived, replies that the
kernel has not taken, replies that a behaviour sends later. Whoever keeps them says so, with
`hold`, and with `release` when they are gone. Above the budget the connection that holds most has
to go: it is the one that costs the others most, and the one whose end helps most.
"""

from __future__ import annotations

from itertools import islice
from typing import Final

#: A connection's place among the holders is known to an eighth of what it holds, so that a place
#: changes a few times while a megabyte arrives, and not with every byte.
_PLACE_BITS: Final = 3
#: The fullest of these many candidates in the same eighth is taken: a crowd in which all hold the
#: same must not cost a look at each of them for each one that goes.
_CANDIDATES: Final = 64


class Holder:
    """Count what is held on behalf of one peer.

    :ivar held_bytes: how many bytes; kept by the budget.
    :ivar evicted: whether this had to go because the process held too much, and this most.
    """

    _budget: Budget | None = None
    held_bytes = 0
    evicted = False

    def hold(self, size_bytes: int) -> None:
        """Count bytes that are kept for this peer from now on, by whoever keeps them.

        Above the process's budget whoever holds most is evicted, which may be this one: what it
        held is then given back already, and is to be dropped.
        """
        if self._budget is not None:
            self._budget.hold(self, size_bytes)
            self._regulate_reading()

    def release(self, size_bytes: int) -> None:
        """Count bytes that are no longer kept: those of a `hold` before.

        Once this is evicted, or has ended, everything is given back already, and nothing happens.
        """
        if self._budget is not None:
            self._budget.release(self, size_bytes)
            self._regulate_reading()

    def _hold_unsent(self, size_bytes: int) -> None:
        """Count bytes that wait for the kernel to take them, where the budget counts those."""
        if self._budget is not None and self._budget.counts_unsent:
            self.hold(size_bytes)

    def _release_unsent(self, size_bytes: int) -> None:
        """Count bytes that no longer wait: those of a `_hold_unsent` before."""
        if self._budget is not None and self._budget.counts_unsent:
            self.release(size_bytes)

    def evict(self) -> None:
        """Let go of everything, now: the process holds too much. Called by the budget."""
        self.evicted = True
        self._give_back()  # First: what follows may want to hold bytes as well.
        self._drop_everything()

    def _give_back(self) -> None:
        """Hold nothing, and count nothing any longer. Idempotent."""
        if self._budget is not None:
            self._budget.release(self, self.held_bytes)
            self._budget = None

    def _regulate_reading(self) -> None:
        """Read from the peer, or don't, as `held_bytes` says."""
        raise NotImplementedError

    def _drop_everything(self) -> None:
        """Close the connection because the process holds too much; nothing is counted any more."""
        raise NotImplementedError


class Budget:
    """Count what is held for all connections, and evict the one that holds most if it is too much.

    :ivar held_bytes: what is held now, in bytes: the gauge.
    :ivar max_bytes: above it a connection is evicted; 0: never.
    :ivar evicted: how many were.
    :ivar counts_unsent: whether what waits to be sent counts: a server's replies are its peer's
        doing, a client's messages are its own.
    """

    def __init__(self, max_bytes: int = 0, *, counts_unsent: bool = True) -> None:
        self.max_bytes = max_bytes
        self.counts_unsent = counts_unsent
        self.held_bytes = 0
        self.evicted = 0
        self._places: dict[int, set[Holder]] = {}
        self._place_of: dict[Holder, int] = {}

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

    def _move(self, holder: Holder) -> None:
        before, place = self._place_of.get(holder, 0), _place_of(holder.held_bytes)
        if place == before:
            return
        if before:
            beside = self._places[before]
            beside.discard(holder)
            if not beside:
                del self._places[before]
        if place:
            self._places.setdefault(place, set()).add(holder)
            self._place_of[holder] = place
        else:
            del self._place_of[holder]

    def _evict_largest(self) -> None:
        candidates = islice(self._places[max(self._places)], _CANDIDATES)
        largest = max(candidates, key=_held_bytes)
        largest.evict()
        self.evicted += 1


def _held_bytes(holder: Holder) -> int:
    return holder.held_bytes


def _place_of(size_bytes: int) -> int:
    """The size's leading bits and their position: equal for sizes within an eighth."""
    shift = max(size_bytes.bit_length() - 1 - _PLACE_BITS, 0)
    return (shift << _PLACE_BITS) + (size_bytes >> shift)
