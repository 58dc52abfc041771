"""Decide how a load that goes on may be changed, and remember each change. Pure.

A load has at most one rate that can be raised and lowered: that of its plan. Where the plan has
none of its own, because stages or a script say how much is due, it is raised and lowered as a
whole, by a factor. Where the next message waits for the last reply there is none: such a load can
be paused.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

import msgspec

from loadgen.workload.plan import Plan
from loadgen.workload.schedule import DEFAULT_RATE_PER_CONN
from loadgen.workload.speeds import Speeds

Unit = Literal["rate_per_conn", "rate", "arrive", "factor"]

#: The step of the keys + and -, as a share of the planned rate: what one does the other undoes.
STEP: Final = 0.1
#: A load is raised to this multiple of its plan at most, and lowered to its inverse: a slip of the
#: hand by a few digits is no load anybody wants.
MAX_FACTOR: Final = 1000.0
#: A load is changed so often at most: each change makes the schedule a little longer to compute.
MAX_CHANGES: Final = 1000
#: Changes that a text names one by one.
MAX_SHOWN: Final = 10
#: Halvings by which the highest rate is found that there are rows for: from `MAX_FACTOR` times the
#: planned rate they come as near as a millionth of the plan.
_HALVINGS: Final = 30


class Wanted(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A change that is asked for; what is ``None`` stays as it is.

    :ivar rate: in the unit of the plan's rate, a second.
    :ivar factor: of the planned rate.
    """

    rate: float | None = None
    factor: float | None = None
    paused: bool | None = None


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One change of a load by hand.

    :ivar t_s: when, in seconds since the run began, as in `series`.
    :ivar load_s: the same, since the load began.
    :ivar unit: the plan's setting that was changed, whose unit `old` and `new` are in, a second;
        `factor` is of the planned rate; null for a load that can only be paused.
    :ivar old: what it was before, 0 during a pause; null without a unit, as is `new`.
    :ivar paused_s: how long the pause was that this ends; null for other changes.
    """

    t_s: float
    load_s: float
    what: Literal["rate", "pause", "resume"]
    unit: Unit | None
    old: float | None
    new: float | None
    paused_s: float | None = None


class OwnRows(NamedTuple):
    """The rows of a file of which each user has one for itself.

    :ivar file: its name, as the script has it.
    :ivar rows: the number of rows, and so of users that there can be.
    """

    file: str
    rows: int


class BadChange(Exception):
    """A change that this load can't take; the message says why.

    :ivar field: what was asked for that it can't take, by its name in `Wanted`.
    """

    def __init__(self, problem: str, field: str) -> None:
        super().__init__(problem)
        self.field = field


class NotLoading(Exception):
    """A change of a run that is not in its load phase; the message says which it is in."""


class Lever:
    """The present rate of a load, and all of its changes.

    :param has_pace: false if the plan has a script without a pace, which no factor could change.
    :param rows: those that bound the number of users; ``None`` if nothing does.
    :ivar unit: the unit of its rate; ``None`` if it can only be paused.
    :ivar planned: its planned rate, in this unit.
    :ivar factor: by which it is multiplied, also while the load is paused.
    """

    def __init__(self, plan: Plan, *, has_pace: bool = True, rows: OwnRows | None = None) -> None:
        self._plan = plan
        # Where users don't arrive their number is the plan's, whatever the rate.
        self._rows = None if plan.arrive is None else rows
        self._speeds = Speeds()
        self.unit: Unit | None
        self.planned: float
        self.unit, self.planned, self._why_not = _rate_of(plan, has_pace=has_pace)
        self.factor: float = 1.0
        self.is_paused: bool = False
        self.changes: tuple[Change, ...] = ()

    @property
    def rate(self) -> float | None:
        """The rate that it has, or will have again after its pause."""
        return None if self.unit is None else _round(self.planned * self.factor)

    @property
    def speed(self) -> float:
        """The factor that holds now: 0 while it is paused."""
        return 0.0 if self.is_paused else self.factor

    def pull(self, wanted: Wanted, *, t_s: float, load_s: float) -> bool:
        """Change the load; return whether anything changes.

        :param t_s: the present time of the run, and `load_s` that of its load.
        :raises BadChange: if it can't be changed so; nothing is changed then.
        """
        factor = self._find_factor(wanted)
        before = len(self.changes)
        changes_rate = factor is not None and factor != self.factor
        pauses = bool(wanted.paused) and not self.is_paused
        goes_on = wanted.paused is False and not changes_rate
        # The last change of all can only be the end of a pause.
        if before + max(changes_rate + pauses, 1) >= MAX_CHANGES and not goes_on:
            field = "paused" if factor is None else "rate" if wanted.factor is None else "factor"
            raise BadChange(f"a load is changed {MAX_CHANGES:,} times at most", field)
        if factor is not None and factor > self.factor:
            self._check_rows(factor, load_s, "rate" if wanted.factor is None else "factor")
        if factor is not None and changes_rate:
            old, self.factor = self.rate, factor
            self._note("rate", old, self.rate, t_s, load_s)
        if wanted.paused is not None and wanted.paused != self.is_paused:
            self.is_paused = wanted.paused
            none = None if self.unit is None else 0.0
            if wanted.paused:
                self._note("pause", self.rate, none, t_s, load_s)
            else:
                began = next(one for one in reversed(self.changes) if one.what == "pause")
                self._note("resume", none, self.rate, t_s, load_s, load_s - began.load_s)
        if len(self.changes) == before:
            return False
        self._speeds = self._speeds.then(load_s, self.speed)
        return True

    def step(self, steps: int) -> Wanted:
        """Make the change by a number of steps of `STEP`, down if it is negative."""
        lowest = min(STEP, self.factor)
        return Wanted(factor=max(round(self.factor + steps * STEP, 6), lowest))

    def _find_factor(self, wanted: Wanted) -> float | None:
        given = [name for name in ("rate", "factor") if getattr(wanted, name) is not None]
        if not given:
            return None
        if self.unit is None:
            raise BadChange(self._why_not, given[0])
        if len(given) > 1:
            raise BadChange("rate and factor both say how much is due: give one", "factor")
        if wanted.factor is not None:
            factor = wanted.factor
        elif self.unit == "factor":
            raise BadChange("the plan has no rate of its own: give a factor, 1.1 for 10 % more",
                            "rate")  # fmt: skip
        else:
            assert wanted.rate is not None
            factor = wanted.rate / self.planned
        if not factor > 0:
            raise BadChange("to send nothing, pause the load", given[0])
        if not 1 / MAX_FACTOR <= factor <= MAX_FACTOR:
            raise BadChange(
                f"from a {MAX_FACTOR:,.0f}th of the plan to {MAX_FACTOR:,.0f} times as much",
                given[0],
            )
        return factor

    def _check_rows(self, factor: float, load_s: float, field: str) -> None:
        """Check that there are rows for the users that would arrive at another rate from now on.

        A paused load is taken for one that goes on now: the later it does, the fewer users arrive.
        """
        if self._rows is None:
            return

        def count_users(factor: float) -> int:
            return self._plan.count_users(self._speeds.then(load_s, factor))

        file, rows = self._rows
        if (users := count_users(factor)) <= rows:
            return
        fits, does_not = self.factor, factor
        for _ in range(_HALVINGS):
            middle = (fits + does_not) / 2
            if count_users(middle) <= rows:
                fits = middle
            else:
                does_not = middle
        highest = _round_down(fits * self.planned)
        advice = "the rate can't be raised"
        if highest > self.factor * self.planned:
            advice = f"raise it to {show_rate(highest, self.unit)} at most"
        raise BadChange(f"{file} has {rows:,} rows for {users:,} users: {advice}", field)

    def _note(
        self,
        what: Literal["rate", "pause", "resume"],
        old: float | None,
        new: float | None,
        t_s: float,
        load_s: float,
        paused_s: float | None = None,
    ) -> None:
        change = Change(
            t_s=round(t_s, 3),
            load_s=round(load_s, 3),
            what=what,
            unit=self.unit,
            old=old,
            new=new,
            paused_s=None if paused_s is None else round(paused_s, 3),
        )
        self.changes = (*self.changes, change)


def _rate_of(plan: Plan, *, has_pace: bool) -> tuple[Unit | None, float, str]:
    """Find the rate of a plan that can be changed; or say why there is none."""
    if plan.closed_loop:
        return None, 1.0, "a closed loop has no rate: it can only be paused"
    if plan.arrive is not None:
        return _of("arrive", plan.arrive)
    if plan.scenario is not None:
        if has_pace:
            return _of("factor", 1.0)
        return None, 1.0, "the scenario has no pace: it can only be paused"
    if plan.stages:
        return _of("factor", 1.0)
    if plan.rate is not None:
        return _of("rate", plan.rate)
    per_conn = DEFAULT_RATE_PER_CONN if plan.rate_per_conn is None else plan.rate_per_conn
    return _of("rate_per_conn", per_conn)


def _of(unit: Unit, planned: float) -> tuple[Unit | None, float, str]:
    if planned:
        return unit, planned, ""
    return None, 1.0, "the plan sends nothing, so there is no rate to change"


def count_paused_s(changes: Sequence[Change], load_s: float) -> float:
    """Count the seconds for which a load of this length was paused."""
    paused_s = sum(change.paused_s or 0.0 for change in changes)
    stops = [change for change in changes if change.what != "rate"]
    if stops and stops[-1].what == "pause":
        paused_s += max(load_s - stops[-1].load_s, 0.0)
    return round(paused_s, 3)


def show_rate(value: float, unit: Unit | None) -> str:
    """Write a rate for a person."""
    match unit:
        case "factor":
            return f"{value:.4g} × the plan"
        case "arrive":
            return f"{value:,.6g} users/s"
        case "rate_per_conn":
            return f"{value:,.6g}/s per socket"
        case _:
            return f"{value:,.6g}/s"


def show_change(change: Change) -> str:
    """Say in a few words what was changed."""
    if change.what == "pause":
        return "paused"
    if change.what == "resume":
        return f"went on after {change.paused_s or 0.0:.1f} s"
    assert change.old is not None
    assert change.new is not None
    verb = "raised" if change.new > change.old else "lowered"
    old, new = show_rate(change.old, change.unit), show_rate(change.new, change.unit)
    return f"{verb} from {old} to {new}"


def show_changes(changes: Sequence[Change]) -> list[str]:
    """Say in a line each when a load was changed by hand, and how; of many, the first and last."""
    lines = [f"at {change.t_s:,.1f} s {show_change(change)}" for change in changes]
    if (left_out := len(lines) - MAX_SHOWN) > 0:
        half = MAX_SHOWN // 2
        lines[half:-half] = [f"({left_out:,} more changes)"]
    return lines


def explain_changes(changes: Sequence[Change], paused_s: float) -> str:
    """Say in one line that a load was changed by hand, and what that came to."""
    rates = sum(change.what == "rate" for change in changes)
    pauses = sum(change.what == "pause" for change in changes)
    parts = [f"its rate {_times(rates)}"] if rates else []
    if pauses:
        parts.append(f"paused {_times(pauses)}, for {paused_s:,.1f} s in all")
    return f"the load was changed by hand: {', '.join(parts)}"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count:,} times"


def _round(value: float) -> float:
    return float(f"{value:.9g}")


def _round_down(value: float) -> float:
    """Round down to three digits: below what is allowed, all is allowed."""
    step = 10.0 ** (math.floor(math.log10(value)) - 2)
    return _round(math.floor(value / step) * step)
