"""Know which phase the users of a run are in, and end for them what ends with a phase.

    open ──► load ──────────────► close
             │ pace, stream       │ what follows them, and leaving `async with`
             begins when all      ends: users that are still at work get the stop timeout,
             users are there      their sockets as much again

An interruption ends what users do at once: they are cancelled, and their sockets get the stop
timeout to close. Code that a user has shielded gets half of that.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import trio

from loadgen.engine.context import now_us

#: The share of the sockets' stop timeout for shielded code, before its shields are lifted.
SHIELD_SHARE: Final = 0.5
#: The share of the stop timeout after the load in which due messages may still be sent; the rest is
#: for their replies.
LATE_SHARE: Final = 0.5


class Phases:
    """The phase of the users of a run.

    :param stop_timeout_s: the time that users get after the load, and then their sockets.
    :ivar load_s: the length of the load.
    :ivar began_s: when the load began, by Trio's clock; ``None`` before.
    :ivar began_us: the same by the clock of stamps.
    :ivar is_load_over: true once it has ended; also if there was none.
    :ivar is_interrupted: true once the run was asked to stop.
    :ivar sockets_end_s: when the last socket is cut; infinity until it is known.
    :ivar are_copies_settled: true once no copy of a message is awaited any more: sockets that close
        from then on leave their rooms without owing an explanation.
    :ivar on_all_there: called when the last user that was awaited is ready, or never will be.
    """

    def __init__(self, load_s: float, stop_timeout_s: float) -> None:
        self.load_s = load_s
        self.stop_timeout_s = stop_timeout_s
        self.began_s: float | None = None
        self.began_us: int = 0
        self.is_load_over: bool = False
        self.is_interrupted = False
        self.are_copies_settled: bool = False
        self.on_all_there: Callable[[], None] = lambda: None
        self.sockets_end_s: float = math.inf
        self._ended_s = math.inf
        self._awaited = 0
        self._copies_settled = trio.Event()
        #: Users that are through, but for copies to their sockets.
        self.waiting_for_copies: int = 0
        self._load_begins = trio.lowlevel.ParkingLot()
        self._ends_with_load: dict[object, Callable[[], None]] = {}
        self._changes_with_load: dict[object, Callable[[], None]] = {}

    # -- Open ------------------------------------------------------------------------------

    def await_users(self, count: int) -> None:
        """Await a number of users before the load begins."""
        self._awaited = count

    def settle_user(self) -> None:
        """Note that an awaited user is ready, or never will be."""
        self._awaited -= 1
        if not self._awaited:
            self.on_all_there()

    async def wait_for_load(self) -> None:
        """Wait until the load begins; a checkpoint in any case."""
        if self.began_s is None and not self.is_load_over:
            await self._load_begins.park()
        else:
            await trio.lowlevel.checkpoint()

    # -- Load ------------------------------------------------------------------------------

    def begin_load(self) -> None:
        """Let everybody who waits for the load begin."""
        self.began_s, self.began_us = trio.current_time(), now_us()
        self._load_begins.unpark_all()

    def end_with_load(self, who: object, end: Callable[[], None]) -> None:
        """Call a function when the load ends; it must not block or raise."""
        self._ends_with_load[who] = end

    def change_with_load(self, who: object, wake: Callable[[], None]) -> None:
        """Call a function when the load ends, or is changed by hand; as `end_with_load`, once."""
        self._ends_with_load[who] = self._changes_with_load[who] = wake

    def forget(self, who: object) -> None:
        """Undo `end_with_load` and `change_with_load`. Idempotent."""
        self._ends_with_load.pop(who, None)
        self._changes_with_load.pop(who, None)

    def change_load(self) -> None:
        """Wake everybody who waits for a change of the load."""
        wakes, self._changes_with_load = self._changes_with_load, {}
        for who, wake in wakes.items():
            self._ends_with_load.pop(who, None)
            wake()

    def end_load(self) -> None:
        """End the load: paces and streams end. Idempotent."""
        if self.is_load_over:
            return
        self.is_load_over = True
        self._ended_s = trio.current_time()
        self._load_begins.unpark_all()
        ends, self._ends_with_load = self._ends_with_load, {}
        self._changes_with_load.clear()
        for end in ends.values():
            end()

    @property
    def may_send_late(self) -> bool:
        """True while messages that fell due in the load may still be sent."""
        if self.is_interrupted:
            return False
        late_s = trio.current_time() - self._ended_s
        return not self.is_load_over or late_s < self.stop_timeout_s * LATE_SHARE

    # -- Close -----------------------------------------------------------------------------

    def begin_closing(self) -> None:
        """Give the sockets the stop timeout from now on. Idempotent."""
        if math.isinf(self.sockets_end_s):
            self.sockets_end_s = trio.current_time() + self.stop_timeout_s

    async def wait_for_copies(self) -> None:
        """Wait until published messages have come to all, before a socket in a room closes.

        This does not wait while the load goes on, since a user that leaves then leaves alone.
        """
        if not self.is_load_over or self.is_interrupted:
            return
        self.waiting_for_copies += 1
        try:
            await self._copies_settled.wait()
        finally:
            self.waiting_for_copies -= 1

    def settle_copies(self) -> None:
        """Stop awaiting copies. Idempotent."""
        self.are_copies_settled = True
        self._copies_settled.set()

    @property
    def users_end_s(self) -> float:
        """The time when users that are still at work are cancelled, once the load has ended."""
        return self._ended_s + self.stop_timeout_s

    @property
    def is_closing(self) -> bool:
        """True once users are cancelled: by an interruption, or because their time is up."""
        return not math.isinf(self.sockets_end_s)

    @property
    def shields_end_s(self) -> float:
        """The time when the shields of users are lifted."""
        return self.sockets_end_s - self.stop_timeout_s * (1 - SHIELD_SHARE)

    def socket_ends_s(self) -> float:
        """Compute when a socket is cut whose closing begins now."""
        return min(trio.current_time() + self.stop_timeout_s, self.sockets_end_s)
