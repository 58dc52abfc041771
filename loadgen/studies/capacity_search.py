"""Choose the rates of a search for capacity, and say when enough runs have been made.

Without a confidence target the search trusts a break at once, and a rate that held `REPEATS` times.
With one, those first runs only propose an edge. Each of its sides is then tested by runs of its
own, until they decide (A. Wald, Sequential Tests of Statistical Hypotheses, 1945):

- at every rate, a run holds with some probability that nobody knows;
- a rate *holds* if that probability is more than `MORE_OFTEN_THAN_NOT`, and *breaks* if it is less
  than `NEARLY_ALWAYS`. Between the two, either answer is right;
- the likelihood ratio of the two hypotheses is a martingale if one of them is true, so it ever
  exceeds 1/e with a probability of e at most (Ville's inequality), however often one looks. Near
  the edge that may take a hundred runs, so a test ends after a number of runs, in favour of what
  is more likely by then: the first number with which its exact probabilities of error, counted
  over all courses that it may take, are still e at most;
- the search chooses which rates to test by what it has seen, so the first test may err with half of
  the error allowed, the second with a quarter, and so on: together they stay below what is allowed.
  The runs that made a rate a candidate do not count in its test, since they were chosen for their
  outcome.

MLRsearch (draft-ietf-bmwg-mlrsearch), the method of benchmarks of network devices, asks the same of
a load: that at most half of its trials fail. It gives no probability of being wrong.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from itertools import count
from typing import Final

from loadgen.workload.plan import Plan

#: The search ends when the lowest rate that broke is at most a tenth above the highest that held.
PRECISION: Final = 1.1
#: Without a confidence target a rate has held if this many runs in a row have, and broken if one
#: run has.
REPEATS: Final = 3
#: Below this there is nothing to find.
LOWEST_PER_S: Final = 0.1
#: Twenty doublings, ten halvings of the bracket and the repeats are fewer.
MAX_STEPS: Final = 60
#: The same with a confidence target: with 95 % a test takes 3 to 33 runs, and a search has two that
#: count and some that move the edge.
MAX_STEPS_CONFIDENT: Final = 200
#: The forecast says how long a search takes whose edge is this many times the first rate.
FAR: Final = 100
#: The hypothesis against which a rate holds, and the one against which it breaks: the share of its
#: runs that hold. Wider apart, tests are shorter and say less.
MORE_OFTEN_THAN_NOT: Final = 0.5
NEARLY_ALWAYS: Final = 0.9
_HELD_WEIGHS: Final = math.log(NEARLY_ALWAYS / MORE_OFTEN_THAN_NOT)
_BROKE_WEIGHS: Final = math.log((1 - NEARLY_ALWAYS) / (1 - MORE_OFTEN_THAN_NOT))


@dataclass
class RateTest:
    """A sequential test of one rate.

    :ivar error: the probability with which its answer may be wrong.
    :ivar verdict: true if the rate holds, false if it breaks; ``None`` until decided.
    """

    error: float
    held: int = 0
    broke: int = 0
    verdict: bool | None = None

    def book(self, *, held: bool) -> None:
        """Note how a run has ended."""
        self.held += held
        self.broke += not held
        lean = _lean(self.held, self.broke)
        is_over = self.held + self.broke >= longest_test(self.error)
        if is_over or abs(lean) >= math.log(1 / self.error):
            self.verdict = lean > 0


def _lean(held: int, broke: int) -> float:
    """Return the logarithm of the likelihood ratio, above 0 in favour of holding."""
    return held * _HELD_WEIGHS + broke * _BROKE_WEIGHS


@cache
def longest_test(error: float) -> int:
    """Return the number of runs after which a test may end without erring more often than this."""
    bound = math.log(1 / error)
    return next(
        runs
        for runs in count(1)
        if _find_chance_to_hold(MORE_OFTEN_THAN_NOT, bound, runs) <= error
        and 1 - _find_chance_to_hold(NEARLY_ALWAYS, bound, runs) <= error
    )


def _find_chance_to_hold(share: float, bound: float, runs: int) -> float:
    """Return the probability with which a test of at most this many runs finds that a rate holds.

    :param share: the share of the rate's runs that hold.
    :param bound: the lean at which a test ends early.
    """
    undecided, found = {0: 1.0}, 0.0  # By the number of runs that broke.
    for run in range(1, runs + 1):
        reached: dict[int, float] = defaultdict(float)
        for broke, chance in undecided.items():
            reached[broke] += chance * share
            reached[broke + 1] += chance * (1 - share)
        undecided = {}
        for broke, chance in reached.items():
            lean = _lean(run - broke, broke)
            if abs(lean) < bound and run < runs:
                undecided[broke] = chance
            elif lean > 0:
                found += chance
    return found


class Search:
    """The choice of the next rate: doubled until it breaks, then halfway, then the edge repeatedly.

    :param start_per_s: the first rate.
    :param confidence: the probability with which the edge found is to be right, between 0 and 1;
        ``None`` asks for no test.
    """

    def __init__(self, start_per_s: float, confidence: float | None = None) -> None:
        self._start = start_per_s
        self._confidence = confidence
        self._tried: list[tuple[float, bool]] = []
        self._tests: dict[float, RateTest] = {}
        self._runs = 0

    def book(self, rate_per_s: float, *, held: bool) -> None:
        """Note that a run at this rate has held, or not."""
        self._runs += 1
        if rate_per_s == self._find_untested():
            if rate_per_s not in self._tests:
                error = (1 - (self._confidence or 0)) / 2 ** (len(self._tests) + 1)
                self._tests[rate_per_s] = RateTest(error)
            self._tests[rate_per_s].book(held=held)
        else:
            self._tried.append((rate_per_s, held))

    @property
    def broke(self) -> float | None:
        """The lowest rate that did not hold, if only once, above those that a test found to hold.

        With a confidence target, one that a test found to hold has not broken.
        """
        floor = self._find_decided(verdict=True)
        once = [rate for rate, held in self._tried if not held and rate > max(floor, default=0.0)]
        return min([*once, *self._find_decided(verdict=False)], default=None)

    @property
    def held(self) -> float | None:
        """The highest rate that held, and below which none has broken."""
        ceiling = math.inf if self.broke is None else self.broke
        sure = self._find_decided(verdict=True)
        floor = max(sure, default=0.0)
        once = [rate for rate, held in self._tried if held and floor < rate < ceiling]
        return max([*once, *sure], default=None)

    def is_sure_of(self, rate_per_s: float | None) -> bool:
        """Tell whether a test has decided on this rate."""
        return rate_per_s in self._find_decided(verdict=True) + self._find_decided(verdict=False)

    def runs_at(self, rate_per_s: float) -> int:
        """Count the runs at a rate that were in no test."""
        return sum(rate == rate_per_s for rate, _ in self._tried)

    def next_rate(self) -> float | None:
        """Choose the rate to try now; ``None`` if the edge is found, or there is none to find."""
        if self._runs >= most_steps(self._confidence):
            return None
        if (rate := self._find_next_proposal()) is not None:
            return rate
        if self._confidence is not None:
            return self._find_untested()
        held = self.held
        return held if held is not None and self.runs_at(held) < REPEATS else None

    def _find_next_proposal(self) -> float | None:
        """Choose the rate that narrows the edge; ``None`` if it is narrow enough."""
        held, broke = self.held, self.broke
        if held is None:
            lower = self._start if broke is None else broke / 2
            return lower if lower >= LOWEST_PER_S else None
        if broke is None:
            return held * 2
        if broke > held * PRECISION:
            return _round(math.sqrt(held * broke), held, broke)
        return None

    def _find_untested(self) -> float | None:
        """Return the side of a narrow edge that is to be tested now; ``None`` if none is.

        The upper side is first: three runs decide on a rate that always breaks, and if it holds
        after all, the lower one needs no test.
        """
        if self._confidence is None or self._find_next_proposal() is not None:
            return None
        sides = [rate for rate in (self.broke, self.held) if rate is not None]
        return next((rate for rate in sides if not self.is_sure_of(rate)), None)

    def _find_decided(self, *, verdict: bool) -> list[float]:
        return [rate for rate, test in self._tests.items() if test.verdict is verdict]


@dataclass(frozen=True)
class Forecast:
    """A forecast of the time that a search takes.

    Steps are counted by a search of its own against a target whose runs all end alike at a rate, so
    it is wrong only by what nobody knows yet: where the edge is, how long opening and closing take,
    and, with a confidence target, how often a run at the edge ends differently from the one before.

    :ivar step_s: seconds that one step takes at least.
    :ivar least_steps: steps if the edge is less than twice the first rate.
    :ivar far_steps: steps if it is `FAR` times the first rate.
    :ivar most_steps: the number of steps at which any search ends.
    :ivar confidence: the target asked for; ``None`` if there is none.
    """

    step_s: float
    least_steps: int
    far_steps: int
    most_steps: int
    confidence: float | None


def forecast(plan: Plan, confidence: float | None = None) -> Forecast:
    """Forecast the search for the capacity of a plan's target."""
    opening_s = plan.count / plan.connect_rate if plan.connect_rate else 0.0
    return Forecast(
        plan.load_s + opening_s,
        _count_steps(1.5, confidence),
        _count_steps(FAR, confidence),
        most_steps(confidence),
        confidence,
    )


def most_steps(confidence: float | None) -> int:
    """Return the number of steps at which any search ends."""
    return MAX_STEPS if confidence is None else MAX_STEPS_CONFIDENT


def _count_steps(edge: float, confidence: float | None) -> int:
    """Count the steps of a search that begins at 1/s and finds that everything to here holds."""
    search, steps = Search(1.0, confidence), 0
    while (rate := search.next_rate()) is not None:
        search.book(rate, held=rate <= edge)
        steps += 1
    return steps


def _round(rate: float, low: float, high: float) -> float:
    """Round to three digits, which is more than a search can tell apart."""
    rounded = float(f"{rate:.3g}")
    return rounded if low < rounded < high else rate
