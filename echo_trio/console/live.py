"""Stream the server's figures: one sampler, one ring of ten minutes, any number of readers.

A reader has no queue of its own: it remembers its position in the ring, and takes what is newer. A
reader that is too slow is cut off, and may go on from its position when it connects again.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import trio

from echo_trio.console.event_stream import Emit, event
from echo_trio.console.snapshots import RECENT_S, SnapshotCache
from echo_trio.metrics.activity import Activity

PERIOD_S: Final = 1.0
#: While nobody follows, snapshots take at most this share of the process's time, and are as rare as
#: that needs, up to `LONGEST_PERIOD_S`: of ten thousand connections one takes some 4 ms.
UNFOLLOWED_SHARE: Final = 0.001
LONGEST_PERIOD_S: Final = 5.0
#: Ten minutes: a chart survives a reload.
HISTORY: Final = 600
#: The time for a reader to take all that is there: ten minutes of snapshots are about a megabyte.
TAKE_TIMEOUT_S: Final = 10.0
#: Snapshots that are put together for one write: some 64 KiB.
BATCH: Final = 32
#: The time in ms that the browser waits before it connects again.
RETRY: Final = b"retry: 1000\n\n"


@dataclass(frozen=True, slots=True)
class _Sample:
    number: int
    t_ms: int
    event: bytes


class Live:
    """The snapshots of the last ten minutes, and the readers that follow them.

    :param activity: the server's; while it has nothing to do and nobody follows, no snapshot is
        taken. ``None`` takes one each second.
    :ivar over: true once the last snapshot has been taken.
    """

    def __init__(self, snapshots: SnapshotCache, activity: Activity | None = None) -> None:
        self._snapshots = snapshots
        self._activity = activity
        self._readers = 0
        self._is_resting = False
        self._is_followed = trio.Event()
        self._samples: deque[_Sample] = deque(maxlen=HISTORY)
        self._taken = 0
        self._news = trio.Event()
        self.over: bool = False

    async def sample_forever(self) -> None:
        """Take a snapshot a second; if one takes longer, the next ones are late, not bunched.

        While nobody follows, snapshots that take long are further apart.
        """
        due = trio.current_time()
        while True:
            asked_s = trio.current_time()
            # A recent snapshot of another reader will do: then scraping every second costs little.
            # Without a reader nobody is asked for one.
            snapshots = self._snapshots
            snapshot = await (snapshots.recent() if self._readers else snapshots.known())
            self.add(msgspec.to_builtins(snapshot, str_keys=True))
            taken_s = trio.current_time()
            due = max(due + PERIOD_S, taken_s)
            await trio.sleep_until(due)
            if not self._readers:
                await self._wait_unfollowed(asked_s, taken_s)
                due = max(due, trio.current_time())

    async def _wait_unfollowed(self, asked_s: float, taken_s: float) -> None:
        """Wait as long as the last snapshot is good enough, or until somebody follows."""
        apart_s = min((taken_s - asked_s) / UNFOLLOWED_SHARE, LONGEST_PERIOD_S)
        with trio.move_on_at(taken_s + apart_s):
            await self._is_followed.wait()
        if self._activity is not None and not self._readers:
            # The last one shows the server at rest, even if it was another reader's, taken a little
            # earlier: the next would show the same.
            self._is_resting = True
            try:
                await self._activity.wait_if_none_since(taken_s - RECENT_S)
            finally:
                self._is_resting = False

    def add(self, snapshot: dict[str, Any]) -> None:
        """Take this snapshot into the ring, and wake the readers."""
        t_ms: int = snapshot["t_ms"]
        self._taken += 1
        # While nothing happened none was taken: what is older would make a chart of days.
        while self._samples and self._samples[0].t_ms < t_ms - HISTORY * 1000 * PERIOD_S:
            self._samples.popleft()
        # The histograms are since the start, and long; a chart is of what changes.
        figures = {name: value for name, value in snapshot.items() if name != "histograms"}
        encoded = event("snapshot", msgspec.json.encode(figures), event_id=t_ms)
        self._samples.append(_Sample(self._taken, t_ms, encoded))
        self._wake()

    def end(self) -> None:
        """Let every reader have all there is, and then end its stream."""
        self.over = True
        self._wake()

    def _wake(self) -> None:
        self._news.set()
        self._news = trio.Event()

    async def follow(self, emit: Emit, *, after_ms: int | None) -> None:
        """Emit the snapshots in the ring, then each new one, until `end`.

        :param after_ms: emit only those newer than this (Unix milliseconds); None: all.
        :raises trio.TooSlowError: if the reader doesn't take them.
        """
        self._readers += 1
        self._is_followed.set()
        rested, news = self._is_resting, self._news
        if self._activity is not None:
            self._activity.note()
        try:
            if rested:  # What is in the ring may be of hours ago; with the next sample it goes.
                await news.wait()
            await self._follow(emit, after_ms)
        finally:
            self._readers -= 1
            if not self._readers:
                self._is_followed = trio.Event()

    async def _follow(self, emit: Emit, after_ms: int | None) -> None:
        await emit(RETRY)
        seen = self._number_at(after_ms)
        while True:
            news, over = self._news, self.over
            if fresh := [sample for sample in self._samples if sample.number > seen]:
                seen = fresh[-1].number
                with trio.fail_after(TAKE_TIMEOUT_S):
                    for at in range(0, len(fresh), BATCH):
                        await emit(b"".join(sample.event for sample in fresh[at : at + BATCH]))
            elif over:
                return
            else:
                await news.wait()

    def _number_at(self, t_ms: int | None) -> int:
        """Find the last sample that is not newer: its number, for wall clocks can be set back."""
        if t_ms is None:
            return 0
        return max((sample.number for sample in self._samples if sample.t_ms <= t_ms), default=0)
