"""Coordinate several shards as one run: begin, watch, stop and report them like one process.

The shards go through the phases together: each phase begins at one moment, when the last shard is
ready. Their measurements are merged, not averaged. A shard that dies is written off: its open
sockets and unanswered messages are counted as this machine's fault, and the others go on.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec
import trio

from loadgen.engine.running import Phase, find_why_not
from loadgen.preflight.check import Refused
from loadgen.processes import messages
from loadgen.processes.fan_out import AWAIT_SHARE, SharedRooms
from loadgen.processes.member import DIED, Member, nothing_measured, write_obituary
from loadgen.processes.messages import Launcher, LinkLost
from loadgen.results.ledger import Ledger
from loadgen.results.result import FanOut, Place, Result, Workers
from loadgen.results.series import Second, merge_series
from loadgen.scenario import loader
from loadgen.workload.lever import Lever, NotLoading, Wanted
from loadgen.workload.plan import Plan

#: The phases that begin together.
_TOGETHER: Final = (Phase.OPEN, Phase.LOAD, Phase.CLOSE)
#: The time between the order to proceed and the moment it names, in which it arrives everywhere.
HEAD_START_S: Final = 0.05
#: The number of times that a clock which is not ours is asked. The quickest answer counts: half of
#: its round trip bounds the error (Cristian 1989).
CLOCK_QUESTIONS: Final = 8
#: A shard reports every second; one that is silent for this long is taken for dead.
SILENCE_S: Final = 60
#: A second is booked without the shards that are this late.
LATE_S: Final = 3
#: A shard that should stop and is silent for this long will not. While it reports it is given time:
#: its own stop timeout bounds it.
STOP_SILENCE_S: Final = 15


class Coordinator:
    """One run of a plan in several processes.

    :param on_warning: called with each warning of preflight, one line.
    """

    def __init__(
        self,
        plan: Plan,
        launcher: Launcher,
        *,
        on_warning: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.plan = plan
        self.interrupted: bool = False
        #: The seconds that all shards have reported; they don't change any more.
        self.series: list[Second] = []
        self._launcher = launcher
        self._on_warning = on_warning
        self._warned: set[str] = set()
        self._members: list[Member] = []
        self._refusal: str | None = None
        #: The rate of the load, and its changes by hand.
        self.lever: Lever = _make_lever(plan)
        self._interruption = trio.Event()
        self._put_change, self._take_changes = trio.open_memory_channel[messages.Steer](math.inf)
        self._second_booked = trio.lowlevel.ParkingLot()
        self._booked_s = 0
        self._merged: Result | None = None
        #: The rooms of all shards, where messages go to whole rooms.
        self._rooms: SharedRooms | None = None
        self._copies_until: float | None = None
        #: The last phase that began together.
        self._phase: Phase = Phase.PREFLIGHT
        self._began = self._phase_began = 0.0
        self._started_at = datetime.now(UTC)

    # -- For observers ----------------------------------------------------------------------

    def interrupt(self) -> None:
        """Stop: all shards end in good order, and `run` returns the result."""
        self.interrupted = True
        self._interruption.set()

    def steer(self, wanted: Wanted) -> None:
        """Change the load of all shards, at one moment of its clock.

        :raises NotLoading: if the run is not in its load phase.
        :raises BadChange: if this load can't be changed so.
        """
        if why := find_why_not(self):
            raise NotLoading(why)
        head_start_s = self._head_start_s([each for each in self._members if not each.is_over])
        load_s = self.phase_elapsed_s + head_start_s
        if self.lever.pull(wanted, t_s=self.elapsed_s + head_start_s, load_s=load_s):
            self._merged = None
            self._put_change.send_nowait(messages.Steer(load_s, self.lever.speed))

    async def _pass_on_changes(self) -> None:
        async for order in self._take_changes:
            for member in self._members:
                if not member.is_over:
                    await member.link.send(order)

    @property
    def phase(self) -> Phase:
        """The present phase."""
        # The users of a scenario take their leave before the shards wait for each other once more.
        there = [member.record for member in self._members if not member.is_over]
        if there and all(record is not None and record.phase == Phase.CLOSE for record in there):
            return Phase.CLOSE
        return self._phase

    @property
    def ledger(self) -> Ledger:
        """The ledgers of all shards, merged, as they were at most a second ago."""
        ledgers = [member.ledger for member in self._members]
        whole = Ledger(0 if ledgers else len(self.plan.conns()[0]))
        for ledger in ledgers:
            whole.merge(ledger)
        if self._rooms is not None:
            whole.merge(self._rooms.ledger)
        return whole

    @property
    def elapsed_s(self) -> float:
        """Seconds since the run began."""
        return max(trio.current_time() - self._began, 0.0)

    @property
    def phase_elapsed_s(self) -> float:
        """Seconds since its present phase began."""
        return max(trio.current_time() - self._phase_began, 0.0)

    async def wait_for_second(self) -> None:
        """Wait until the next second of the run is booked: `series` then has one more."""
        await self._second_booked.park()

    def result_so_far(self) -> Result:
        """Return the run up to the last second booked."""
        if self._merged is None:
            self._merged = dataclasses.replace(self._merge(), series=self.series)
        return self._merged

    def _merge(self) -> Result:
        results = [
            dataclasses.replace(
                member.result(self._started_at),
                deaths=() if member.death is None else (member.death,),
            )
            for member in self._members
        ] or [nothing_measured(self.plan, self._started_at, self.ledger, [], {})]
        merged = Result.merge(results, self.plan)
        if self._rooms is not None:
            merged.ledger.merge(self._rooms.ledger)
        return dataclasses.replace(
            merged,
            fan_out=self._report_rooms(merged.ledger.published),
            interrupted=self.interrupted or merged.interrupted,
            ended_at=datetime.now(UTC),
            workers=self._place(),
            changes=self.lever.changes,
        )

    def _report_rooms(self, published: int) -> FanOut | None:
        """Return the times of copies; of a scenario only if anything was published."""
        if self._rooms is None or (self.plan.scenario is not None and not published):
            return None
        return self._rooms.result(self._clock_error_s)

    def _place(self) -> Workers:
        """Tell how many processes share the run, and where they are."""
        sockets: dict[str, list[int]] = {}
        for member in self._members:
            if member.link.worker is not None:
                sockets.setdefault(member.link.worker, []).append(member.plan.count)
        return Workers(
            processes=max(len(self._members), 1),
            scheduler=self._launcher.scheduler,
            places=[
                Place(worker=worker, processes=len(counts), sockets=sum(counts))
                for worker, counts in sockets.items()
            ],
        )

    # -- Running ----------------------------------------------------------------------------

    async def run(self) -> Result:
        """Run the plan to its end, or until `interrupt`.

        Cancelled: the shards end with their launcher's block, and nothing is reported.

        :raises Refused: if preflight finds, here or at a shard, that this can't work.
        :raises Unbalanced: if the ledger doesn't add up.
        """
        self._began = self._phase_began = trio.current_time()
        for warning in await self._launcher.check(self.plan):
            self._warn(warning)
        async with self._launcher.launch(self.plan) as links:
            self._members = [Member(link.plan, link) for link in links]
            if self.plan.has_rooms:
                self._rooms = SharedRooms(len(links))
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._watch_silence)
                nursery.start_soon(self._interrupt_all)
                nursery.start_soon(self._pass_on_changes)
                async with trio.open_nursery() as following:
                    for member in self._members:
                        following.start_soon(self._follow, member)
                nursery.cancel_scope.cancel()
        if self._refusal is not None:
            raise Refused(self._refusal)
        self._phase = Phase.DONE
        if self._rooms is not None:
            self._rooms.finish(interrupted=self.interrupted)
        result = self._merge()
        if self._rooms is not None and result.series:
            # Only now is it known which copies are missing: the last second gets them.
            last = result.series[-1]
            wrong = self._rooms.ledger.errors
            result.series[-1] = msgspec.structs.replace(last, errors=last.errors + wrong)
        for ledger in (result.ledger, *result.apart.values()):
            ledger.check()
        if result.scenario is not None:
            result.scenario.check_identities()
        self._merged = result
        return result

    def _warn(self, warning: str) -> None:
        if warning not in self._warned:
            self._warned.add(warning)
            self._on_warning(warning)

    async def _follow(self, member: Member) -> None:
        """Talk with a shard until it has finished, or died."""
        try:
            while not member.is_over:
                await self._heed(member, await member.link.receive())
                member.silent_s = 0
        except LinkLost as lost:
            self._bury(member, str(lost))
        await self._look_whether_together()

    async def _heed(self, member: Member, word: messages.Word) -> None:
        # A shard's words come in this order: Hello; Clock, asked again until there are enough; for
        # each phase Waiting, which our Proceed answers, with a Noted a second and Happened as it
        # comes; then Finished. In place of the first Waiting there may be a Refusal, or Finished at
        # once if the target's name leads nowhere.
        match word:
            case messages.Hello():
                member.has_begun = True
                await member.link.send(messages.Begin(member.plan))
                if self.interrupted:
                    await member.link.send(messages.Interrupt())
                elif not self._launcher.are_clocks_shared:
                    await member.link.send(messages.AskClock(time.perf_counter()))
            case messages.Clock(asked_s, clock_s):
                await self._compare_clocks(member, asked_s, clock_s)
            case messages.Waiting(phase, warnings):
                for warning in warnings:
                    self._warn(warning)
                member.waiting = phase
                await self._look_whether_together()
            case messages.Refusal(problem):
                self._refusal = self._refusal or problem
                self._interruption.set()
                member.is_over = True
            case messages.Noted(noted):
                member.note(noted)
                self._book_seconds()
            case messages.Happened(until_us, events):
                assert self._rooms is not None
                shard = self._members.index(member)
                self._rooms.note(shard, until_us, events, self._ahead_s(member))
                await self._look_whether_together()
            case messages.Finished(noted):
                member.note(noted)
                member.is_over = True
                if self._rooms is not None:
                    self._rooms.end(self._members.index(member))
                self._book_seconds()

    async def _compare_clocks(self, member: Member, asked_s: float, clock_s: float) -> None:
        # The shard read its clock somewhere between the question and the answer, at a guess in the
        # middle: the error is at most half of the round trip, so the fastest one is the best.
        now_s = time.perf_counter()
        if now_s - asked_s < member.fastest_s:
            member.fastest_s = now_s - asked_s
            member.ahead_s = clock_s - (asked_s + now_s) / 2
        member.clock_answers += 1
        if member.clock_answers < CLOCK_QUESTIONS:
            await member.link.send(messages.AskClock(now_s))
        else:
            await self._look_whether_together()

    async def _look_whether_together(self) -> None:
        """Let all shards go on to the next phase, if all wait for it."""
        # Asked after each event that may be the last that was missing: a shard waits, has told its
        # clock, has reported its copies, or is gone. A dead one is not waited for.
        there = [member for member in self._members if not member.is_over]
        following = [phase for phase in _TOGETHER if self._comes_before(phase)]
        if not there or not following or any(each.waiting is not following[0] for each in there):
            return
        if not self._launcher.are_clocks_shared and any(
            each.clock_answers < CLOCK_QUESTIONS for each in there
        ):
            return
        phase = following[0]
        if phase is Phase.CLOSE and self._awaits_copies():
            return
        head_start_s = self._head_start_s(there)
        at_s = time.perf_counter() + head_start_s
        self._phase, self._phase_began = phase, trio.current_time() + head_start_s
        if phase is Phase.OPEN:
            self._began, self._started_at = self._phase_began, datetime.now(UTC)
        for member in there:
            await member.link.send(messages.Proceed(phase, at_s + member.ahead_s))

    def _head_start_s(self, there: Sequence[Member]) -> float:
        """Compute the time from an order until its moment, in which it arrives everywhere."""
        if self._launcher.are_clocks_shared:
            return HEAD_START_S
        # On other machines the order travels longer.
        return HEAD_START_S + 2 * max((each.fastest_s for each in there), default=0.0)

    def _awaits_copies(self) -> bool:
        """Tell whether copies may still come, now that all shards wait for the close phase."""
        if self._rooms is None or self.interrupted or not self._rooms.awaited:
            return False
        now = trio.current_time()
        if self._copies_until is None:
            self._copies_until = now + self.plan.stop_timeout_s * AWAIT_SHARE
        return now < self._copies_until

    def _ahead_s(self, member: Member) -> float:
        return 0.0 if self._launcher.are_clocks_shared else member.ahead_s

    @property
    def _clock_error_s(self) -> float | None:
        """By how much two clocks may disagree: half of each one's round trip."""
        if self._launcher.are_clocks_shared:
            return None
        journeys = (each.fastest_s for each in self._members if each.clock_answers)
        return sum(sorted(journeys)[-2:]) / 2

    def _comes_before(self, phase: Phase) -> bool:
        """Tell whether the run has not reached this phase yet."""
        order = list(Phase)
        return order.index(self._phase) < order.index(phase)

    # -- Seconds ----------------------------------------------------------------------------

    def _book_seconds(self) -> None:
        """Book the seconds that all shards have reported."""
        self._merged = None
        # A second is booked once, when the last shard has reported it. Shards that have ended or
        # are late don't hold it up; what a late one reports afterwards is in its result, but its
        # seconds are not in `series` before the end, when all are merged anew.
        awaited = [
            member for member in self._members if not member.is_over and member.silent_s < LATE_S
        ]
        told = [_place(member.series[-1]) if member.series else 0 for member in awaited]
        if not (upto := min(told, default=0)) > self._booked_s:
            return
        parts = []
        for member in self._members:
            seconds = []
            for second in reversed(member.series):
                if _place(second) <= self._booked_s:
                    break
                seconds.append(second)
            parts.append([each for each in reversed(seconds) if _place(each) <= upto])
        self.series += merge_series([(self._started_at, part) for part in parts])
        self._booked_s = upto
        self._second_booked.unpark_all()

    # -- Ends -------------------------------------------------------------------------------

    async def _interrupt_all(self) -> None:
        await self._interruption.wait()
        for member in self._members:
            if not member.has_begun:
                continue  # It is interrupted right behind its Begin, see _heed.
            await member.link.send(messages.Interrupt())
        await trio.sleep(self.plan.stop_timeout_s)
        while True:
            for member in self._members:
                if not member.is_over and member.silent_s >= STOP_SILENCE_S:
                    member.link.kill("it did not stop in time")
            await trio.sleep(1)

    async def _watch_silence(self) -> None:
        """Count the seconds of each shard's silence, without those in which we stood still."""
        while True:
            await trio.sleep(1)
            for member in self._members:
                member.silent_s += 1
                if member.silent_s == SILENCE_S and not member.is_over:
                    member.link.kill(f"silent for {SILENCE_S} s")

    def _bury(self, member: Member, how: str) -> None:
        """Write off what a dead shard has left."""
        ledger = member.ledger
        orphans, opening = ledger.open, ledger.requested - ledger.settled
        unanswered = ledger.awaited
        failed_users = 0 if self.interrupted else member.users_left
        for books in (ledger, *member.apart.values()):
            books.write_off(DIED, interrupted=self.interrupted)
        if self._rooms is not None:
            if self.plan.scenario is None:
                sockets = [(conn % self.plan.rooms, conn) for conn in member.plan.conns()[0]]
            else:
                sockets = self._rooms.find_sockets(member.plan.has_conn)
                self._rooms.lose_messages()
            self._rooms.lose(self._members.index(member), sockets)
        when_s = self.elapsed_s
        member.series.append(
            Second(
                t_s=round(when_s, 3), open=0, opening=0,
                # What it has told in the middle of a second.
                sent=ledger.sent - sum(second.sent for second in member.series),
                received=ledger.received - sum(second.received for second in member.series),
                errors=orphans + opening + failed_users, p50_ms=None, p99_ms=None, lag_ms=None,
            )
        )  # fmt: skip
        member.died_interrupted = self.interrupted
        member.death = write_obituary(how, when_s, orphans, opening, unanswered)
        member.is_over = True
        self._merged = None
        self._warn(member.death)


def _make_lever(plan: Plan) -> Lever:
    """Make the lever of a plan, with what its script allows as far as it is known here."""
    if plan.scenario is None or not plan.scenario_files:
        return Lever(plan)
    return loader.load(plan.scenario, plan.scenario_files).make_lever(plan)


def _place(second: Second) -> int:
    """Return the number of a second within the run, from 1."""
    return max(round(second.t_s), 1)
