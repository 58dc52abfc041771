"""Bound the memory that all connections of a process hold together.

A connection holds bytes for its peer: the part of a message that has arrived so far, replies that
the kernel has not taken, replies that a behaviour sends later. The code that keeps such bytes
counts them with `hold`, and with `release` when they are gone. Above the budget the connection that
holds most is closed: it costs the others most, and closing it frees most.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Final

from echo_trio.wire.process import return_free_memory

#: A connection's place among the holders is known to an eighth of what it holds, so that a place
#: changes a few times while a megabyte arrives, and not with every byte.
_PLACE_BITS: Final = 3
#: Above this share of the budget memory is short, and what is no longer held goes back to the
#: system each time it comes to `RETURNED_BYTES`. Below it, it is kept for the next messages.
TIGHT_SHARE: Final = 0.5
RETURNED_BYTES: Final = 16 * 2**20
#: The fullest of these many candidates in the same eighth is taken: a crowd in which all hold the
#: same must not cost a look at each of them for each one that goes.
_CANDIDATES: Final = 64


class Holder:
    """One peer on whose behalf bytes are held.

    :ivar held_bytes: the number of bytes held now; kept by the budget.
    :ivar evicted: true once this was closed because the process held too much, and this most.
    """

    _budget: Budget | None = None
    held_bytes = 0
    evicted: bool = False

    def hold(self, size_bytes: int) -> None:
        """Count bytes that are kept for this peer from now on; the caller keeps them.

        If this takes the process above its budget, the holder with most bytes is evicted, which may
        be this one: then what it held is given back already, and the caller drops it.

        :param size_bytes: how many bytes more.
        """
        if self._budget is not None:
            self._budget.hold(self, size_bytes)
            self._regulate_reading()

    def release(self, size_bytes: int) -> None:
        """Count bytes, counted before with `hold`, that are no longer kept.

        After this holder was evicted, or has ended, everything is given back already, and this does
        nothing.

        :param size_bytes: how many bytes fewer.
        """
        if self._budget is not None:
            self._budget.release(self, size_bytes)
            self._regulate_reading()

    def _hold_unsent(self, size_bytes: int) -> None:
        """Count bytes that wait for the kernel to take them, if the budget counts those."""
        if self._budget is not None and self._budget.counts_unsent:
            self.hold(size_bytes)

    def _release_unsent(self, size_bytes: int) -> None:
        """Count bytes, counted before with `_hold_unsent`, that no longer wait."""
        if self._budget is not None and self._budget.counts_unsent:
            self.release(size_bytes)

    def evict(self) -> None:
        """Drop everything now, because the process holds too much. Called by the budget."""
        self.evicted = True
        self._give_back()  # First: what follows may want to hold bytes as well.
        self._drop_everything()

    def _give_back(self) -> None:
        """Give back everything that is held, and count nothing from now on. Idempotent."""
        if self._budget is not None:
            self._budget.release(self, self.held_bytes)
            self._budget = None

    def _regulate_reading(self) -> None:
        """Pause or resume reading from the peer, depending on `held_bytes`."""
        raise NotImplementedError

    def _drop_everything(self) -> None:
        """Close the connection because the process holds too much; nothing is counted any more."""
        raise NotImplementedError


class Budget:
    """The memory held for all connections, and the rule that the largest holder goes above a limit.

    :ivar held_bytes: the number of bytes held now; a gauge.
    :ivar max_bytes: above this a connection is evicted; 0 (the default) means no limit.
    :ivar evicted: the number of connections evicted so far.
    :ivar counts_unsent: true if bytes that wait to be sent count. A server's replies are caused by
        its peer; a client's messages are its own, so a client sets this to false.

    Freeing memory does not return it: the C library keeps it between blocks that are in use, where
    the next ones may not fit. With 255 MiB held, connections that came and went made 425 MiB of
    resident memory that way, 124 of them free. So free pages are returned while much is held.

    :param return_memory: returns the C library's free pages to the system.
    """

    def __init__(
        self,
        max_bytes: int = 0,
        *,
        counts_unsent: bool = True,
        return_memory: Callable[[], None] = return_free_memory,
    ) -> None:
        self.max_bytes = max_bytes
        self.counts_unsent = counts_unsent
        self.held_bytes: int = 0
        self.evicted: int = 0
        self._return_memory = return_memory
        self._tight_bytes = max_bytes * TIGHT_SHARE
        self._freed_bytes = 0  # since memory was returned
        self._places: dict[int, set[Holder]] = {}
        self._place_of: dict[Holder, int] = {}

    def hold(self, holder: Holder, size_bytes: int) -> None:
        """Count bytes that are kept for a holder from now on.

        While the sum is above `max_bytes`, the holder with most bytes is evicted, which may be this
        one.
        """
        self.held_bytes += size_bytes
        holder.held_bytes += size_bytes
        self._move(holder)
        if self.held_bytes > self._tight_bytes > 0:
            while self.held_bytes > self.max_bytes and self._places:
                self._evict_largest()
            if self._freed_bytes >= RETURNED_BYTES:
                self._freed_bytes = 0
                self._return_memory()

    def release(self, holder: Holder, size_bytes: int) -> None:
        """Count bytes that are no longer kept for a holder.

        :raises AssertionError: if more is given back than was held.
        """
        assert size_bytes <= holder.held_bytes, "more is given back than was held"
        self.held_bytes -= size_bytes
        self._freed_bytes += size_bytes
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
    """Map a size to its leading bits and their position: equal for sizes within an eighth."""
    shift = max(size_bytes.bit_length() - 1 - _PLACE_BITS, 0)
    return (shift << _PLACE_BITS) + (size_bytes >> shift)
