"""What an engine books by the clock: seconds, lag, phases; on a clock that nothing holds up."""

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from loadgen.engine.engine import Engine
from loadgen.engine.running import Phase
from loadgen.results.ledger import Ending, Failure
from loadgen.workload.misbehaviour import Behave, Kind
from loadgen.workload.plan import Plan


@pytest.fixture
async def engine(autojump_clock):
    made = Engine(Plan(10))
    made._began = made._phase_began = trio.current_time()
    return made


async def test_each_second_has_what_was_counted_in_it(engine, nursery):
    nursery.start_soon(engine._sample_every_second)
    ledger, series = engine.ledger, engine.series
    await trio.sleep(0.5)
    for _ in range(4):
        ledger.count_opened()
    ledger.failed[Failure.REFUSED] += 1
    ledger.sent, ledger.received = 10, 7
    await trio.sleep(1.0)
    ledger.count_ended(Ending.BY_PEER, 1000, early=True)
    ledger.sent, ledger.received = 15, 17
    engine._books.intended.record(4000)
    engine._books.intended.record(8000)
    await trio.sleep(1.0)
    ledger.not_attempted = 2
    await trio.sleep(1.0)
    told = [(round(s.t_s, 1), s.open, s.opening, s.sent, s.received, s.errors) for s in series]
    assert told == [(1.0, 4, 5, 10, 7, 1), (2.0, 3, 5, 5, 10, 1), (3.0, 3, 3, 0, 0, 0)]
    assert [round(s.p50_ms) for s in series] == [0, 4, 0]
    assert [round(s.p99_ms) for s in series] == [0, 8, 0]
    assert engine._books.intended.total.count == 2


async def test_a_second_that_is_cut_short_is_booked_with_the_rest(engine, nursery):
    nursery.start_soon(engine._sample_every_second)
    await trio.sleep(2.3)
    engine.ledger.sent = 3
    engine._sample()
    assert [(round(second.t_s, 1), second.sent) for second in engine.series] == [
        (1.0, 0), (2.0, 0), (2.3, 3)
    ]  # fmt: skip


async def test_who_waits_for_a_second_is_woken_when_it_is_booked(engine, nursery):
    woken = []

    async def watch():
        while True:
            await engine.wait_for_second()
            woken.append((trio.current_time() - engine._began, len(engine.series)))

    nursery.start_soon(watch)
    nursery.start_soon(engine._sample_every_second)
    await trio.sleep(2.5)
    assert woken == [(pytest.approx(1, abs=0.1), 1), (pytest.approx(2, abs=0.1), 2)]


async def test_books_of_all_crowds_are_sorted_into_buckets_each_second(autojump_clock):
    engine = Engine(Plan(10, behave=(Behave.parse("half-open:30%"),)))
    engine._began = trio.current_time()
    assert (engine.ledger.requested, engine.apart[Kind.HALF_OPEN].requested) == (7, 3)
    for books in engine.all_books:
        books.intended.record(5000)
        books.connect.record(6000)
    engine._sample()
    for books in engine.all_books:
        assert (books.intended.total.count, books.connect.total.count) == (1, 1)


class Clock(trio.abc.Clock):
    """Jumps as it is told to: how late whoever sleeps is."""

    def __init__(self, lates_s):
        self._now, self._lates_s = 0.0, list(lates_s)

    def start_clock(self):
        pass

    def current_time(self):
        return self._now

    def deadline_to_sleep_time(self, deadline):
        if deadline > self._now and deadline < 1e6:
            self._now = deadline + (self._lates_s.pop(0) if self._lates_s else 0.0)
        return 0.0


def test_a_stop_is_as_many_looks_as_fell_due_meanwhile():
    async def main():
        engine = Engine(Plan(1))
        engine.phase = Phase.LOAD
        with trio.move_on_after(1.0):
            await engine._measure_lag()
        engine._load_lag.end_second()
        return engine._load_lag.total

    # Late by 100 ms once, where a look is due every 20 ms: by 100, 80, 60, 40, 20 and 0.
    lag = trio.run(main, clock=Clock([0.0, 0.1]))
    assert lag.max == pytest.approx(100_000, abs=100)
    late = sorted(value for value, n in lag.state.counts.items() for _ in range(n) if value > 1000)
    assert len(late) == 5


async def test_only_the_lag_of_the_load_phase_is_the_runs(engine, nursery):
    nursery.start_soon(engine._measure_lag)
    counts = []
    for phase in (Phase.OPEN, Phase.LOAD, Phase.CLOSE):
        engine.phase = phase
        await trio.sleep(1.0)
        engine._load_lag.end_second()
        counts.append(engine._load_lag.total.count)
    assert counts[0] == 0
    assert counts[1] == counts[2] == pytest.approx(48, abs=5)


@pytest.mark.parametrize(("interrupted", "column"), [(True, "not_attempted"), (False, "dns")])
async def test_a_target_that_has_no_address_is_booked_by_why(engine, interrupted, column):
    engine.interrupted = interrupted
    engine._book_unattempted()
    engine.ledger.check()
    assert engine.ledger.not_attempted == (10 if interrupted else 0)
    assert engine.ledger.failed[Failure.DNS] == (0 if interrupted else 10)


async def test_a_run_against_a_name_that_is_none_has_a_report(autojump_clock):
    result = await Engine(Plan(3, "ws://no.such.name.invalid/", connect_timeout_s=1.0)).run()
    assert result.ledger.failed == {Failure.DNS: 3}
    assert (len(result.series), result.series[-1].errors) == (1, 3)


async def test_an_interruption_reaches_scopes_that_are_made_later_too(engine):
    before = engine._new_interruption()
    engine.interrupt()
    after = engine._new_interruption()
    await wait_all_tasks_blocked()
    assert (before.cancel_called, after.cancel_called) == (True, True)
