"""What an engine books by the clock: seconds, lag, phases; on a clock that nothing holds up."""

import dataclasses
import socket
import time
from datetime import timedelta

import pytest
import structlog
import trio
from structlog.testing import LogCapture
from trio.testing import wait_all_tasks_blocked

from echo_trio.server import EchoServer
from echo_trio.settings import Settings
from loadgen.engine.engine import Engine
from loadgen.engine.gate import Gate
from loadgen.engine.running import Phase
from loadgen.preflight.check import Refused
from loadgen.results.ledger import Ending, Failure, Unbalanced
from loadgen.results.result import Strain
from loadgen.workload.lever import NotLoading, Wanted
from loadgen.workload.misbehaviour import Behave, Kind
from loadgen.workload.plan import Plan


@pytest.fixture
async def engine():
    made = Engine(Plan(10))
    made._began = made._phase_began = trio.current_time()
    return made


def second_of(second):
    """Return which second it is: a busy machine is late by some tenths, and never early."""
    return round(second.t_s - 0.3)


async def test_each_second_has_what_was_counted_in_it(engine, nursery, autojump_clock):
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
    told = [(second_of(s), s.open, s.opening, s.sent, s.received, s.errors) for s in series]
    assert told == [(1, 4, 5, 10, 7, 1), (2, 3, 5, 5, 10, 1), (3, 3, 3, 0, 0, 0)]
    assert [s.p50_ms and round(s.p50_ms) for s in series] == [None, 4, None]
    assert [s.p99_ms and round(s.p99_ms) for s in series] == [None, 8, None]
    assert engine._books.intended.total.count == 2


async def test_a_second_ends_when_it_is_over_however_late_the_one_before_was(
    nursery, autojump_clock
):
    engine = Engine(Plan(1), on_second=lambda: autojump_clock.jump(0.4))
    engine._began = trio.current_time()
    nursery.start_soon(engine._sample_every_second)
    await trio.sleep(4.5)
    assert [second.t_s for second in engine.series] == pytest.approx([1, 2, 3, 4], abs=0.05)


async def test_only_addresses_of_a_family_to_connect_from_are_dialled(monkeypatch):
    addresses = [(socket.AF_INET6, ("::1", 9)), (socket.AF_INET, ("127.0.0.1", 9))]
    looked_at = []

    async def resolve(_):
        await trio.lowlevel.checkpoint()
        return addresses

    def gather(reachable, _):
        looked_at.append(reachable)

    monkeypatch.setattr(Engine, "_resolve", resolve)
    monkeypatch.setattr("loadgen.engine.engine.machine.gather", gather)
    monkeypatch.setattr("loadgen.engine.engine.check.check", lambda *_: [])
    for sources, expected in (
        ((), addresses), (("127.0.0.2",), addresses[1:]), (("::2",), addresses[:1])
    ):  # fmt: skip
        assert await Engine(Plan(1, source_ips=sources))._check_machine() == expected
        assert looked_at.pop() == expected


async def test_a_second_that_is_cut_short_is_booked_with_the_rest(engine, nursery, autojump_clock):
    nursery.start_soon(engine._sample_every_second)
    await trio.sleep(2.3)
    engine.ledger.sent = 3
    engine._sample()
    assert [(second_of(second), second.sent) for second in engine.series] == [
        (1, 0), (2, 0), (2, 3)
    ]  # fmt: skip
    assert engine.series[-1].t_s >= 2.3


async def test_who_waits_for_a_second_is_woken_when_it_is_booked(engine, nursery, autojump_clock):
    woken = []

    async def watch():
        while True:
            await engine.wait_for_second()
            woken.append((trio.current_time() - engine._began, len(engine.series)))

    nursery.start_soon(watch)
    nursery.start_soon(engine._sample_every_second)
    await trio.sleep(2.5)
    assert woken == [(pytest.approx(1, abs=0.4), 1), (pytest.approx(2, abs=0.4), 2)]


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


async def test_each_second_has_the_longest_lag_in_it_whatever_the_phase(engine):
    for phase, *lags_s in (
        (Phase.OPEN, 0.03, 0.01), (Phase.LOAD, 0.005, 0.009), (Phase.LOAD,), (Phase.CLOSE, 0.001),
    ):  # fmt: skip
        engine.phase = phase
        for late_s in lags_s:
            engine._book_look(late_s)
        engine._sample()
    assert [second.lag_ms and round(second.lag_ms, 1) for second in engine.series] == [
        30.0, 9.0, None, 1.0
    ]  # fmt: skip


def looks(engine):
    counts = engine._load_lag.total.state.counts
    return sorted(value for value, n in counts.items() for _ in range(n))


async def test_a_stop_is_as_many_looks_as_fell_due_meanwhile(engine):
    engine.phase = Phase.LOAD
    engine._book_look(0.0001)
    engine._book_look(0.1)
    engine._load_lag.end_second()
    assert engine._load_lag.total.max == 100_000
    # Late by 100 ms once, where a look is due every 20 ms: by 100, 80, 60, 40, 20 and 0.
    assert len(looks(engine)) == 7
    assert sum(value > 1000 for value in looks(engine)) == 5


@pytest.mark.parametrize(
    ("shards", "in_a_second", "of_a_stop"), [(1, 50, 6), (2, 25, 3), (3, 20, 3), (10, 20, 3)]
)
async def test_several_processes_look_together_as_often_as_one_would(
    nursery, autojump_clock, shards, in_a_second, of_a_stop
):
    engine = Engine(Plan(10) if shards == 1 else Plan(10).shard(0, shards))
    engine.phase = Phase.LOAD
    await engine._start_poller(nursery)
    await trio.sleep(10.01)
    engine._load_lag.end_second()
    assert engine._load_lag.total.count == pytest.approx(10 * in_a_second, abs=2)
    nursery.cancel_scope.cancel()
    engine = Engine(engine.plan)
    engine.phase = Phase.LOAD
    engine._book_look(0.1000001)
    engine._load_lag.end_second()
    assert len(looks(engine)) == of_a_stop


async def test_only_the_lag_of_the_load_phase_is_the_runs(engine):
    counts = []
    for phase in (Phase.OPEN, Phase.LOAD, Phase.CLOSE):
        engine.phase = phase
        engine._book_look(0.001)
        engine._load_lag.end_second()
        counts.append(engine._load_lag.total.count)
    assert counts == [0, 1, 1]


@pytest.mark.parametrize(("interrupted", "column"), [(True, "not_attempted"), (False, "dns")])
async def test_a_target_that_has_no_address_is_booked_by_why(engine, interrupted, column):
    engine.interrupted = interrupted
    engine._book_unattempted()
    engine.ledger.check()
    assert engine.ledger.not_attempted == (10 if interrupted else 0)
    assert engine.ledger.failed[Failure.DNS] == (0 if interrupted else 10)


@pytest.mark.parametrize("interrupted", [True, False])
async def test_of_who_misbehaves_nobody_is_dialled_either(autojump_clock, interrupted):
    engine = Engine(Plan(10, behave=(Behave.parse("half-open:30%"), Behave.parse("no-pong:20%"))))
    engine.interrupted = interrupted
    engine._book_unattempted()
    for ledger in (engine.ledger, *engine.apart.values()):
        ledger.check()
        tried = ledger.failed[Failure.DNS], ledger.details[Failure.DNS, engine._unresolved]
        assert (ledger.not_attempted, *tried) == (
            (ledger.requested, 0, 0) if interrupted else (0, ledger.requested, ledger.requested)
        )


async def test_a_view_of_a_run_in_its_load_has_the_lag_and_the_strain_of_the_load_so_far(engine):
    engine._enter(Phase.LOAD)
    engine._book_look(0.030)
    engine._sample()
    result = engine.result_so_far()
    assert (result.loop_lag.count, result.loop_lag.max) == (2, 30_000)
    assert result.load_strain.wall_s == result.load_s > 0
    engine._enter(Phase.CLOSE)
    engine._load_s = 7.0
    assert engine.result_so_far().load_s == 7.0


async def test_a_run_against_a_name_that_is_none_has_a_report(autojump_clock):
    result = await Engine(Plan(3, "ws://no.such.name.invalid/", connect_timeout_s=1.0)).run()
    assert result.ledger.failed == {Failure.DNS: 3}
    assert (len(result.series), result.series[-1].errors) == (1, 3)


async def test_an_interruption_reaches_scopes_that_are_made_later_too(engine):
    scopes = [engine._new_interruption() for _ in range(3)]
    assert not any(scope.cancel_called for scope in scopes)
    engine.interrupt()
    scopes += [engine._new_interruption() for _ in range(2)]
    await wait_all_tasks_blocked()
    assert all(scope.cancel_called for scope in scopes)


# -- Whole runs, against a server in this process ----------------------------------------------


@pytest.fixture
async def url(nursery):
    log = structlog.wrap_logger(None, processors=[LogCapture()])
    server = EchoServer.listen(Settings(port=0, console=False), log)
    await nursery.start(server.run)
    yield server.url
    server.drain()


async def wait_for(holds):
    with trio.fail_after(60):
        while not holds():
            await trio.sleep(0.002)


async def test_a_run_to_its_end_has_all_its_figures_in_their_places(url):
    plan = Plan(4, f"{url}plain", rate_per_conn=20.0, duration_s=0.5, verify="exact")
    engine = Engine(plan)
    began = trio.current_time()
    result = await engine.run()
    took_s = trio.current_time() - began
    ledger = result.ledger
    ledger.check()
    assert (ledger.opened, ledger.sent, ledger.due, ledger.missed) == (4, 40, 40, 0)
    assert ledger.answered == ledger.received == 40
    assert (ledger.lost, ledger.in_flight, result.interrupted) == (0, 0, False)
    assert 0 < result.all_open_after_s < took_s
    assert 0.5 <= result.load_s <= took_s - result.all_open_after_s
    assert sum(second.sent for second in result.series) == 40
    assert sum(second.received for second in result.series) == 40
    assert result.series[-1].open == 0
    assert (result.connect.count, result.intended.count, result.scheduling_lag.count) == (4, 40, 40)
    assert result.load_strain.wall_s == pytest.approx(result.load_s, abs=0.05)


async def test_an_interrupted_run_has_its_unanswered_messages_in_flight(url, nursery):
    engine = Engine(Plan(2, f"{url}silent", rate_per_conn=50.0, duration_s=3600.0))
    results = []

    async def run():
        results.append(await engine.run())

    nursery.start_soon(run)
    await wait_for(lambda: engine.ledger.sent >= 4)
    engine.interrupt()
    await wait_for(lambda: results)
    (result,) = results
    assert result.interrupted
    assert (result.ledger.lost, result.ledger.in_flight) == (0, result.ledger.sent)
    assert result.ledger.closed == {Ending.CLEAN: 2}


async def test_replies_that_never_come_are_lost_where_nobody_interrupts(url):
    plan = Plan(2, f"{url}silent", messages=1, stop_timeout_s=6.0)
    result = await Engine(plan).run()
    assert (result.ledger.lost, result.ledger.in_flight, result.ledger.sent) == (2, 0, 2)


async def test_books_that_do_not_add_up_are_an_error_and_no_report(url):
    engine = Engine(Plan(1, f"{url}plain", messages=1, verify="exact"))
    engine.ledger.received += 1
    with pytest.raises(Unbalanced):
        await engine.run()


async def test_a_load_does_not_begin_without_a_socket(url):
    """Wait with the load until the server has closed all of them."""
    phases = []

    async def gate(phase):
        phases.append(phase)
        if phase is Phase.LOAD:
            await wait_for(lambda: not engine.ledger.open)

    engine = Engine(Plan(2, f"{url}~drop/0/plain", duration_s=3600.0, verify="exact"), gate=gate)
    result = await engine.run()
    assert (phases, result.load_s) == ([Phase.OPEN, Phase.LOAD, Phase.CLOSE], 0.0)
    assert (result.ledger.sent, result.ledger.due) == (0, None)


async def test_a_run_of_one_of_several_processes_begins_when_all_are_ready(url):
    """Hold it up before it opens, and before its load, which has a strain of its own."""
    began, waited = {}, []

    async def gate(phase):
        await trio.sleep(0.05)
        began[phase] = trio.current_time()
        if phase is Phase.LOAD:
            waited.append((engine.elapsed_s, engine._started_at))
            burn(0.2)

    engine = Engine(Plan(1, f"{url}plain", messages=1, verify="exact"), gate=gate)
    made_at = engine._started_at
    result = await engine.run()
    ((elapsed_s, started_at),) = waited
    assert elapsed_s <= began[Phase.LOAD] - began[Phase.OPEN]
    assert result.started_at == started_at >= made_at + timedelta(seconds=0.05)
    assert result.generator.cpu_s > 0.2
    assert result.load_strain.cpu_share * result.load_strain.wall_s < 0.15


def burn(cpu_s):
    ends_s = time.process_time() + cpu_s
    while time.process_time() < ends_s:
        pass


# -- What it is made of ------------------------------------------------------------------------


@pytest.mark.parametrize("is_fan_out", [False, True])
@pytest.mark.parametrize("is_one_of_several", [False, True])
async def test_rooms_are_matched_here_or_logged_for_who_matches_those_of_all(
    is_fan_out, is_one_of_several
):
    plan = Plan(4, verify="fan-out") if is_fan_out else Plan(4)
    engine = Engine(plan, gate=trio.sleep if is_one_of_several else None)
    assert (engine.events is not None) == (is_fan_out and is_one_of_several)
    assert (engine._matcher is not None) == (is_fan_out and not is_one_of_several)


async def test_a_load_is_steered_while_it_lasts_and_its_changes_are_in_the_result(autojump_clock):
    engine = Engine(Plan(2, rate=50.0, duration_s=10.0))
    engine._began = trio.current_time()
    with pytest.raises(NotLoading, match="has not begun"):
        engine.steer(Wanted(rate=100.0))
    await trio.sleep(1.0)
    engine._enter(Phase.LOAD)
    await trio.sleep(2.0)
    engine.steer(Wanted(rate=100.0))
    engine.steer(Wanted(rate=100.0))  # It is so already: no change.
    assert engine.steering.speeds.steps == ((pytest.approx(2.0), 2.0),)
    (change,) = engine.result_so_far().changes
    assert (change.t_s, change.load_s, change.new) == (
        pytest.approx(3.0), pytest.approx(2.0), 100.0
    )  # fmt: skip
    engine.steer(Wanted(paused=True))
    assert engine.steering.speeds.steps[1:] == ((pytest.approx(2.0), 0.0),)
    await trio.sleep(8.0)
    with pytest.raises(NotLoading, match="is over"):
        engine.steer(Wanted(paused=True))


async def test_a_view_shows_the_phases_that_have_been_and_when_all_were_open(
    engine, autojump_clock
):
    assert (engine.result_so_far().load_s, engine.result_so_far().all_open_after_s) == (0.0, None)
    await trio.sleep(1.5)
    engine._enter(Phase.OPEN)
    await trio.sleep(2.0)
    engine._on_all_open()  # The time before the opening counts, too.
    assert engine.result_so_far().all_open_after_s == pytest.approx(3.5)
    assert (engine.phase_elapsed_s, engine.elapsed_s) == (pytest.approx(2.0), pytest.approx(3.5))
    assert engine.result_so_far().load_strain == Strain()


async def test_all_crowds_are_sorted_in_and_the_observer_is_told_of_each_second(autojump_clock):
    seconds = []
    plan = Plan(10, behave=(Behave.parse("half-open:30%"),))
    engine = Engine(plan, on_second=lambda: seconds.append(len(engine.series)))
    engine._began = trio.current_time()
    for books in engine.all_books:
        books.service.record(7)
    engine.sort_in()
    assert [books.service.total.count for books in engine.all_books] == [1, 1]
    engine._sample()
    engine._sample()
    assert seconds == [1, 2]


@pytest.mark.parametrize(
    ("host", "why"),
    [(f"{'a' * 64}.example", "no name in the DNS is written so"),
     ("no.such.name.invalid", "no.such.name.invalid: ")],
)  # fmt: skip
async def test_why_a_name_has_no_address_is_a_detail(host, why):
    engine = Engine(Plan(2, f"ws://{host}/", connect_timeout_s=5.0))
    assert await engine._resolve() == []
    assert why in engine._unresolved


async def test_what_this_machine_can_not_do_is_refused_before_anything_is_tried():
    with pytest.raises(Refused, match=r"--source-ip: 127\.0\.0\.1 has no address of that family"):
        await Engine(Plan(1, "ws://127.0.0.1:9/", source_ips=("::1",))).run()
    with pytest.raises(Refused, match=r"wss: .*/none"):
        await Engine(Plan(1, "wss://127.0.0.1:9/", cacert="/none")).run()


async def test_notes_on_the_message_are_warnings(url):
    warnings = []
    plan = Plan(1, f"{url}plain", message="{sq}-{seq}", messages=1, verify="exact")
    assert plan.payloads().notes
    await Engine(plan, on_warning=warnings.append).run()
    assert [warning for warning in warnings if warning in plan.payloads().notes]


async def test_those_that_misbehave_know_the_messages_of_all_and_have_their_part_of_the_rest():
    plan = Plan(10, rate=100.0, behave=(Behave.parse("no-pong:20%"),), lifetime_s=5.0)
    engine = Engine(plan)
    (behave,) = plan.behave
    crowd = engine._make_apart(behave, [], None, None, Gate(plan))
    assert (crowd.plan.count, crowd.plan.rate, crowd.plan.lifetime_s) == (2, 20.0, None)
    assert crowd.context.payloads.sockets == plan.payloads().sockets
    assert crowd.context.ledger is engine.apart[Kind.NO_PONG]
    assert [session.conn for session in crowd.crowd.slots] == plan.conns()[1][Kind.NO_PONG]
    plan = dataclasses.replace(plan, lifetime_s=None)
    crowd = Engine(plan)._make_apart(behave, [], None, None, Gate(plan))
    assert crowd.context.payloads.sockets == 10


async def test_those_that_misbehave_have_ledgers_of_their_own_and_their_part_of_the_rate(url):
    kinds = ("half-open:20%", "no-pong:20%", "slow-reader:10%:1MiB/s")
    plan = Plan(
        10, f"{url}plain", rate=100.0, duration_s=0.5, verify="exact", stop_timeout_s=30.0,
        behave=tuple(map(Behave.parse, kinds)),
    )  # fmt: skip
    result = await Engine(plan).run()
    counts = {kind: (ledger.opened, ledger.sent) for kind, ledger in result.apart.items()}
    assert counts == {Kind.HALF_OPEN: (2, 0), Kind.NO_PONG: (2, 10), Kind.SLOW_READER: (1, 5)}
    assert (result.ledger.opened, result.ledger.sent, result.ledger.answered) == (5, 25, 25)
    for ledger in result.apart.values():
        ledger.check()
        assert ledger.closed.total() == ledger.opened
        assert ledger.answered == ledger.sent


async def test_a_run_of_rooms_settles_its_copies_and_has_their_times(url):
    plan = Plan(
        3, f"{url}plain", messages=2, rate_per_conn=100.0, verify="fan-out", stop_timeout_s=1.0
    )
    result = await Engine(plan).run()  # An echo: each sees its own messages alone.
    ledger = result.ledger
    assert (ledger.published, ledger.owed, ledger.delivered, ledger.missing) == (6, 18, 6, 12)
    assert (result.fan_out.each.count, result.fan_out.last.count) == (6, 0)
    assert sum(second.errors for second in result.series) == ledger.errors >= 12
