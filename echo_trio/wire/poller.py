"""Wait for all connections of a process with one epoll, so that a message costs no task switch.

`trio.lowlevel.wait_readable` arms the kernel anew for each wait and wakes a task for each message:
on ten thousand sockets that is half of what an echo costs (figures in
docs/decisions/0001-one-poller-per-process.md). Here each socket is registered once, level
triggered; one call waits for them all, and the ready ones are called back in turn. What a callback
cannot finish at once (a send that would block, a closing handshake) it hands to its connection's
task, which is parked until then.

That call is made in Trio's place: when Trio has nothing to do but to wait, the poller waits for its
own sockets and for Trio's descriptors together, and Trio goes on when one of those is ready, a
deadline has passed or a callback has made a task runnable (docs/decisions/0050). So a message that
comes alone wakes no task, and an alarm neither. Where that can't be (see `TrioWait`), the poller is
a task that waits for its epoll through Trio.

A callback does no more than one turn's work. If its connection has bytes left, which the kernel
knows nothing about, it asks with `postpone` to be called again. Connections that wait for that form
a line: in each round every other ready connection is served first, then the line for a short while,
then Trio's other tasks run. So a peer that sends much waits for itself and for others like it, and
the others hardly notice.
"""

from __future__ import annotations

import select
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NoReturn

import trio

from echo_trio.wire import trio_wait
from echo_trio.wire.alarms import Alarms
from echo_trio.wire.lag import LagWatch
from echo_trio.wire.trio_wait import TrioWait

if TYPE_CHECKING:
    import socket

#: Sockets asked for at once. With plain messages they are about 3 ms of work.
BATCH: Final = 256
#: Sockets served between two looks at the clock.
UNTIMED: Final = 16
#: The time for which sockets are served before Trio's other tasks run, where nobody says otherwise.
SLICE_S: Final = 0.004
#: The time for which connections in line for another turn are served in each round.
LINE_SLICE_S: Final = 0.001

#: Every 32nd batch is timed, and any that `time_next` asks for. Timing adds some 0.2 µs to each of
#: the batch's sockets, where an echo takes 14 µs or more: less than a thousandth in all.
TIMED_EVERY: Final = 32

AVAILABLE: Final = hasattr(select, "epoll")
# Linux's <sys/epoll.h>.
_READABLE: Final = 0x001
_PEER_ENDED: Final = 0x2000


def _not_yet() -> None:
    """Do nothing: the socket's owner was woken, and has yet to say what it wants to do."""


class Poller(trio.abc.Instrument):
    """One epoll that calls back when sockets become readable, while `run` runs.

    It needs epoll (see `AVAILABLE`); connections without a poller wait through Trio instead, which
    is slower and otherwise the same.

    :param observe: is given samples, in seconds, of the time from the poller's waking up to the end
        of a socket's callback; this includes the callbacks before it in the batch.
    :param slice_s: the time for which sockets are served before Trio's other tasks run.
    :param lag: is kept up while `run` runs, and lets the next batch be timed with each look.
    :param through_trio: true to wait as a task of Trio's in any case.
    :ivar alarms: callbacks that are due at a moment; only while it `is_inside`.
    """

    def __init__(
        self,
        observe: Callable[[float], None] | None = None,
        *,
        slice_s: float = SLICE_S,
        lag: LagWatch | None = None,
        through_trio: bool = False,
    ) -> None:
        if not hasattr(select, "epoll"):
            raise NotImplementedError("this system has no epoll")
        self.alarms: Alarms = Alarms()
        self._epoll = select.epoll()
        self._observe = observe
        self._slice_s = slice_s
        self._lag = lag
        self._through_trio = through_trio
        self._until_timed = 0
        # By descriptor. A list, because a table of ten thousand keys is cold at each look.
        self._callbacks: list[Callable[[], None] | None] = []
        # By descriptor: whom to call for another turn, and whom from then on.
        self._line: OrderedDict[int, tuple[Callable[[], None], Callable[[], None]]] = OrderedDict()
        # The batch of ready sockets, how many have been served, and if it is timed, since when.
        self._batch: list[tuple[int, int]] = []
        self._served = 0
        self._woken_s: float | None = None
        # While it waits in Trio's place: Trio's wait, and the task of `run`.
        self._trio: TrioWait | None = None
        self._trio_is_ready = False
        self._task: trio.lowlevel.Task | None = None
        self._raised: BaseException | None = None

    def register(
        self, sock: socket.socket, on_readable: Callable[[], None], *, reading: bool = True
    ) -> None:
        """Call `on_readable` whenever there is something to read, until `unregister`.

        It is called between tasks, so it must not block, and it must not raise: an exception of one
        connection must not end the others.

        :param reading: if false, call back only when the peer resets the connection or ends its
            half, even if there are unread bytes before that end.
        """
        if self._epoll.closed:
            return  # `run` was cancelled just now, and the caller is about to be.
        fd = sock.fileno()
        if fd >= len(self._callbacks):
            self._make_room(fd)
        if self._callbacks[fd] is not _not_yet:
            self._epoll.register(fd, _READABLE if reading else _PEER_ENDED)
        elif not reading:
            self._epoll.modify(fd, _PEER_ENDED)
        self._callbacks[fd] = on_readable

    def _make_room(self, fd: int) -> None:
        if fd >= len(self._callbacks):
            self._callbacks += [None] * (fd + 1 - len(self._callbacks))

    async def wait_readable(self, sock: socket.socket) -> None:
        """Wait until there is something to read.

        The socket then stays registered, so that `register` has less to do for it: until that is
        called, or this again, or `unregister`, what arrives is called back to nobody. Cancelled: it
        is not registered any more.
        """
        task = trio.lowlevel.current_task()

        def wake() -> None:
            self.keep(sock)
            trio.lowlevel.reschedule(task)

        def stop_waiting(_: object) -> trio.lowlevel.Abort:
            self.unregister(sock)
            return trio.lowlevel.Abort.SUCCEEDED

        self.register(sock, wake)
        await trio.lowlevel.wait_task_rescheduled(stop_waiting)

    def keep(self, sock: socket.socket) -> None:
        """Call back to nobody for a registered socket, whose owner will `register` it once more.

        That is cheaper than to `unregister` it until then, and so is what follows.
        """
        self._callbacks[sock.fileno()] = _not_yet

    def unregister(self, sock: socket.socket) -> None:
        """Stop calling back. Call it before the socket is closed; idempotent."""
        fd = sock.fileno()
        if 0 <= fd < len(self._callbacks) and (
            self._callbacks[fd] is not None or self._line.pop(fd, None) is not None
        ):
            self._callbacks[fd] = None
            self._epoll.unregister(fd)

    def postpone(self, sock: socket.socket, on_turn: Callable[[], None]) -> None:
        """Call `on_turn` once, after the others had their turn, instead of `on_readable`.

        This is for a registered socket whose callback has more to do than one turn's work. Until
        then it is not called back for new data. Idempotent: a socket that stands in line keeps
        its place.
        """
        fd = sock.fileno()
        on_readable = self._callbacks[fd]
        if on_readable is None:
            # It was served out of turn meanwhile: `answer_what_arrived` does so.
            assert fd in self._line
            return
        self._callbacks[fd] = None
        self._line[fd] = on_turn, on_readable

    def time_next(self) -> None:
        """Time the next batch, whichever it is."""
        self._until_timed = 0

    @property
    def is_inside(self) -> bool:
        """True while it waits in Trio's place, and rings alarms."""
        return self._trio is not None

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve the registered sockets until cancelled; then the poller is used up.

        :raises BaseException: what a callback has raised, though none should.
        """
        wait = None
        if not self._through_trio and trio_wait.holder.get() is None:
            wait = TrioWait.of_this_run()
        try:
            if wait is not None:
                await self._serve_inside(wait, task_status)
            else:
                async with trio.open_nursery() as nursery:
                    if self._lag is not None:
                        nursery.start_soon(self._lag.run)
                    task_status.started()
                    await self._serve_through_trio()
        finally:
            self._callbacks.clear()  # so that unregister finds nothing to do
            self._line.clear()
            self._batch = []
            self._epoll.close()

    async def _serve_through_trio(self) -> NoReturn:
        poll, line = self._epoll.poll, self._line
        while True:
            if line or self._batch:
                await trio.lowlevel.checkpoint()
            else:
                await trio.lowlevel.wait_readable(self._epoll.fileno())
            if not self._batch:
                self._begin_batch(poll(0, BATCH))
            if self._serve_batch() and line:
                self._serve_line()

    # -- In Trio's place -------------------------------------------------------------------

    async def _serve_inside(self, wait: TrioWait, task_status: trio.TaskStatus[None]) -> None:
        """Let `before_io_wait` do the work; sleep until cancelled, or until a callback fails."""
        trio_wait.holder.set(self)
        self._trio = wait
        self._epoll.register(wait.descriptor, _READABLE)
        self._make_room(wait.descriptor)
        self._callbacks[wait.descriptor] = self._note_trio
        trio.lowlevel.add_instrument(self)
        try:
            self._task = trio.lowlevel.current_task()
            task_status.started()
            await trio.lowlevel.wait_task_rescheduled(self._stop)
        finally:
            trio.lowlevel.remove_instrument(self)
            self._trio = None
            trio_wait.holder.set(None)
        assert self._raised is not None
        raise self._raised

    def _stop(self, _: object) -> trio.lowlevel.Abort:
        self._task = None
        return trio.lowlevel.Abort.SUCCEEDED

    def _note_trio(self) -> None:
        self._trio_is_ready = True

    def before_io_wait(self, timeout: float) -> None:
        """Wait in Trio's place, and serve sockets meanwhile. Called by Trio, once in each round.

        :param timeout: how many seconds Trio would wait at most; 0 if tasks are runnable.
        """
        wait = self._trio
        assert wait is not None
        try:
            if timeout > 0 and not wait.idle_watchers:
                self._wait(wait, timeout)
            else:
                self._serve_beside(wait)
        except BaseException as exc:  # noqa: BLE001 - raised by `run`; Trio would log it and go on
            if (task := self._task) is not None:
                self._task, self._raised = None, exc
                trio.lowlevel.reschedule(task)
                wait.end()

    def _serve_beside(self, wait: TrioWait) -> None:
        """Serve what is ready now, for one slice: tasks are waiting."""
        self._catch_up(wait.now())
        if not self._batch:
            self._begin_batch(self._epoll.poll(0, BATCH))
        if self._serve_batch() and self._line:
            self._serve_line()

    def _wait(self, wait: TrioWait, timeout_s: float) -> None:
        """Wait for sockets, alarms and Trio, and serve the first two, until it is Trio's turn."""
        poll, line, alarms, lag = self._epoll.poll, self._line, self.alarms, self._lag
        runnable, now, next_deadline = wait.runnable, wait.now, wait.next_deadline
        now_s = now()
        until_s = now_s + timeout_s
        self._trio_is_ready = False
        self._catch_up(now_s)
        while not runnable:
            is_full = True
            # A callback may have set a deadline, for which nobody wakes Trio.
            if (deadline_s := next_deadline()) < until_s:
                until_s = deadline_s
            if not self._batch:
                due_s = min(until_s, alarms.next_s)
                if lag is not None and lag.next_s < due_s:
                    due_s = lag.next_s
                ready: list[tuple[int, int]] = poll(
                    0 if line or due_s <= now_s else due_s - now_s, BATCH
                )
                now_s = now()
                if lag is not None:
                    if ready:
                        lag.note_work(now_s)
                    if now_s >= due_s:
                        lag.look(now_s, due_s)
                if now_s >= alarms.next_s:
                    alarms.ring(now_s)
                self._begin_batch(ready)
                is_full = len(ready) == BATCH
            if self._serve_batch() and line:
                self._serve_line()
            # From here on a message that comes alone costs one look at the clock.
            now_s = now()
            if lag is not None and now_s >= lag.next_s:
                lag.look(now_s, lag.next_s)
            if (
                self._trio_is_ready
                or now_s >= until_s
                # Trio may stand behind thousands of sockets that are ready.
                or ((is_full or line) and wait.is_over())
            ):
                break
        # Without this Trio would wait as long as it has said, though a deadline has passed, a task
        # is runnable, or another process has taken what was ready.
        wait.end()

    def _catch_up(self, now_s: float) -> None:
        """Do what fell due while tasks were running."""
        if self._lag is not None and now_s >= self._lag.next_s:
            self._lag.look(now_s, self._lag.next_s)
        if now_s >= self.alarms.next_s:
            self.alarms.ring(now_s)

    # -- Serving ---------------------------------------------------------------------------

    def _begin_batch(self, ready: list[tuple[int, int]]) -> None:
        self._batch, self._served, self._woken_s = ready, 0, None
        if ready and self._observe is not None:
            self._until_timed -= 1
            if self._until_timed < 0:
                self._until_timed = TIMED_EVERY - 1
                self._woken_s = time.perf_counter()

    def _serve_batch(self) -> bool:
        """Serve the batch for a slice at most; true if all have been served.

        The rest has to be served before the kernel is asked again: it would start at the same
        sockets.
        """
        callbacks, ready = self._callbacks, self._batch
        if self._woken_s is not None:
            return self._serve_timed(self._woken_s)
        if len(ready) <= UNTIMED:
            self._batch = []
            for fd, _ in ready:
                # An earlier callback of this batch may have unregistered this one. No name for it
                # here: it would keep the last connection alive.
                if callbacks[fd] is not None:
                    callbacks[fd]()  # type: ignore[misc]
            return True
        until_s = time.perf_counter() + self._slice_s
        for first in range(self._served, len(ready), UNTIMED):
            for fd, _ in ready[first : first + UNTIMED]:
                # As above. In a later slice the descriptor may even be another connection's, which
                # has nothing to read: its callback then finds that out (BlockingIOError).
                if callbacks[fd] is not None:
                    callbacks[fd]()  # type: ignore[misc]
            if time.perf_counter() >= until_s and first + UNTIMED < len(ready):
                self._served = first + UNTIMED
                return False
        self._batch = []
        return True

    def _serve_timed(self, woken_s: float) -> bool:
        observe = self._observe
        assert observe is not None
        callbacks, ready = self._callbacks, self._batch
        trios = -1 if self._trio is None else self._trio.descriptor
        until_s = time.perf_counter() + self._slice_s
        for at in range(self._served, len(ready)):
            fd = ready[at][0]
            if callbacks[fd] is None:
                continue
            callbacks[fd]()  # type: ignore[misc]
            if fd == trios:
                continue
            now_s = time.perf_counter()
            observe(now_s - woken_s)
            if now_s >= until_s and at + 1 < len(ready):
                self._served = at + 1
                return False
        self._batch = []
        return True

    def _serve_line(self) -> None:
        """Give connections in line another turn, each at most one, for `LINE_SLICE_S`."""
        until_s = time.perf_counter() + LINE_SLICE_S
        for _ in range(len(self._line)):
            if not self._line:  # Callbacks may have unregistered others.
                break
            fd, (on_turn, on_readable) = self._line.popitem(last=False)
            self._callbacks[fd] = on_readable
            on_turn()
            if time.perf_counter() >= until_s:
                break
