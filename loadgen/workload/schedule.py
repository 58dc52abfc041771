"""Schedule the messages and users of a plan: how many are due, and when; pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Final, Literal

from loadgen.workload.arrivals import OwnArrivals, Poisson
from loadgen.workload.pacing import Pace, Ramps, Stage, Steady
from loadgen.workload.shards import ShardOf
from loadgen.workload.speeds import Speeds, Steered

DEFAULT_DURATION_S: Final = 10.0
DEFAULT_RATE_PER_CONN: Final = 1.0
#: The speeds of a load that nobody has changed.
AS_PLANNED: Final = Speeds()


class Schedule:
    """The part of a plan that says when something is due, from the settings that it goes by."""

    __slots__ = ()

    count: int
    arrivals: Literal["even", "poisson"]
    arrive: float | None
    closed_loop: bool
    duration_s: float | None
    messages: int | None
    rate: float | None
    rate_per_conn: float | None
    seed: int
    shard_of: ShardOf | None
    stages: tuple[Stage, ...]

    @property
    def load_s(self) -> float:
        """The planned length of the load phase in seconds; `math.inf` if only messages bound it."""
        if self.stages:
            return math.fsum(stage.duration_s for stage in self.stages)
        if self.duration_s is None and self.messages is not None:
            return math.inf
        return DEFAULT_DURATION_S if self.duration_s is None else self.duration_s

    def total_rate(self, sockets: int) -> float:
        """Compute the messages a second of an open loop without stages, on these sockets."""
        if self.rate is not None:
            return self.rate
        per_conn = DEFAULT_RATE_PER_CONN if self.rate_per_conn is None else self.rate_per_conn
        return sockets * per_conn

    @property
    def is_to_send(self) -> bool:
        """True if messages are sent, rather than sockets held idle."""
        if self.stages:
            return any(stage.rate_per_s for stage in self.stages)
        return self.closed_loop or self.total_rate(self.count) > 0

    @property
    def is_rate_each_sockets_own(self) -> bool:
        """True if each socket has a rate, rather than all together."""
        return self.rate is None and not self.stages

    def pace(self, sockets: int, speeds: Speeds = AS_PLANNED) -> Pace:
        """Schedule the messages of the open loop, for this number of open sockets.

        For a shard: its share of the messages of all shards. Where sockets are missing and each has
        its own rate, their messages are not due at all.

        :param speeds: the changes of the load up to now.
        """
        shard = self.shard_of
        if shard is None or (self.is_rate_each_sockets_own and sockets != self.count):
            return self._pace(sockets, speeds)
        return shard.share(self._pace(shard.sockets, speeds))

    def _pace(self, sockets: int, speeds: Speeds) -> Pace:
        at_most = math.inf if self.messages is None else sockets * self.messages
        if self.stages:
            planned: Steady | Ramps = Ramps(self.stages)
        else:
            planned = Steady.lasting(self.total_rate(sockets), self.load_s, at_most)
        pace = Steered(planned, speeds, at_most) if speeds.steps else planned
        if self.arrivals == "poisson" and pace.total:
            return Poisson(pace, self.seed, at_most)
        return pace

    def own_arrivals(self, conns: Sequence[int]) -> OwnArrivals | None:
        """Schedule messages on each of these sockets by itself; ``None`` for other plans."""
        if self.arrivals == "even" or not self.is_rate_each_sockets_own:
            return None
        rate = DEFAULT_RATE_PER_CONN if self.rate_per_conn is None else self.rate_per_conn
        at_most = math.inf if self.messages is None else self.messages
        return OwnArrivals(conns, rate, self.load_s, self.seed, at_most)

    def due_arrivals(
        self, speeds: Speeds = AS_PLANNED, since: int | None = None
    ) -> Iterator[tuple[int, float]]:
        """Yield the users that arrive: their number in the whole run, and when they fall due.

        For a shard: its share.

        :param speeds: the changes of the load up to now.
        :param since: the number of the first to yield; by default that of the first user.
        """
        whole, shard = self._arrivals_of_users(speeds), self.shard_of
        first, step = (0, 1) if shard is None else (shard.index, shard.shards)
        for number in range(first if since is None else since, whole.total, step):
            yield number, whole.due_at(number)

    @property
    def arrival_step(self) -> int:
        """The difference between the numbers of two users that arrive one after the other here."""
        return 1 if self.shard_of is None else self.shard_of.shards

    def count_users(self, speeds: Speeds = AS_PLANNED) -> int:
        """Count the users that there are to be in the whole run.

        :param speeds: the changes of the load up to now.
        """
        if self.arrive is not None:
            return self._arrivals_of_users(speeds).total
        return self.count if self.shard_of is None else self.shard_of.sockets

    def count_own_users(self) -> int:
        """Count the users that there are to be in this shard, as far as it is known beforehand."""
        return 0 if self.arrive is not None else self.count

    def _arrivals_of_users(self, speeds: Speeds) -> Steady | Steered | Poisson:
        assert self.arrive is not None
        planned = Steady.lasting(self.arrive, self.load_s)
        even = Steered(planned, speeds) if speeds.steps else planned
        return Poisson(even, self.seed) if self.arrivals == "poisson" else even
