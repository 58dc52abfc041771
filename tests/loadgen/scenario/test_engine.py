"""An engine leads the users of a script through the phases, and books them like any run's sockets.

Few sockets are opened here: `tests/integration/loadgen/scenario` has those.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked
from websockets.sync.server import serve

from loadgen.engine import stamps
from loadgen.engine.engine import Engine
from loadgen.engine.running import Phase
from loadgen.results.ledger import Failure, Unbalanced
from loadgen.results.result import Result
from loadgen.scenario.context import BOOKS
from loadgen.scenario.engine import ScenarioEngine, make_engine, prepare
from loadgen.scenario.errors import BadScenario, TooFewRows
from loadgen.scenario.timetable import Timetable
from loadgen.workload.plan import Plan

HEAD = "import trio\nfrom loadgen.scenario import check, rows, scenario\n"
#: Nobody is asked there: these users open no socket.
NOWHERE = "ws://127.0.0.1:9/"
READY = """
@scenario
async def talk(user):
    await user.ready()
    user.count(f"of {user.context.users}")
    check("is odd", user.number % 2 == 1)
    if user.number == 1:
        raise ValueError
"""
STAYS = """
@scenario
async def stay(user):
    await user.ready()
    await trio.sleep_forever()
"""
JOURNEY = "@scenario\nasync def journey(user): await trio.sleep(0.01)\n"


def plan_of(body: str, count: int = 3, **settings: Any) -> Plan:
    source = (HEAD + body).encode()
    files = settings.pop("files", ())
    settings = {"url": NOWHERE, "duration_s": 0.2, "stop_timeout_s": 0.5} | settings
    return Plan(count, scenario="s.py", scenario_files=(("s.py", source), *files), **settings)


def run(plan: Plan, **settings: Any) -> tuple[ScenarioEngine, Result]:
    async def main() -> tuple[ScenarioEngine, Result]:
        engine = make_engine(plan, **settings)
        assert isinstance(engine, ScenarioEngine)
        result = await engine.run()
        assert BOOKS.get() is None  # Checks count in this run's books, and in it alone.
        return engine, result

    return trio.run(main)


def users_of(result: Result) -> dict[str, int]:
    assert result.scenario is not None
    users = result.scenario.users
    names = ("requested", "finished", "failed", "interrupted", "not_started")
    return {name: count for name in names if (count := getattr(users, name))}


# -- Before it runs -------------------------------------------------------------------------


def test_a_plan_gets_the_files_that_its_script_needs_elsewhere(tmp_path: Any) -> None:
    (tmp_path / "s.py").write_text(HEAD + 'rows("n.csv")\n' + JOURNEY)
    (tmp_path / "n.csv").write_bytes(b"name\nana\n")
    plan = Plan(1, scenario=str(tmp_path / "s.py"))
    prepared = prepare(plan)
    assert [name for name, _ in prepared.scenario_files] == [plan.scenario, "n.csv"]
    assert prepared.scenario_files[1][1] == b"name\nana\n"


WAITS = JOURNEY + READY
PACED = "@scenario\nasync def paced(user):\n    async for due in user.pace(1): pass\n"


@pytest.mark.parametrize(
    ("body", "settings", "problem"),
    [
        (JOURNEY, {"arrive": 1.0}, None),
        (JOURNEY, {"arrive": 1.0, "arrivals": "poisson"}, None),
        (PACED, {"arrivals": "poisson"}, None),
        (JOURNEY + PACED, {"arrivals": "poisson"}, None),
        (WAITS, {"arrive": 1.0}, "and talk waits for the load as a whole"),
        (JOURNEY + PACED, {"arrive": 1.0}, "and paced waits"),
        (JOURNEY, {"arrivals": "poisson"}, "nothing does"),
        (WAITS, {"arrivals": "poisson"}, "without --arrive no user falls due"),
    ],
)
def test_a_script_that_cant_be_run_so_is_refused(
    body: str, settings: dict[str, Any], problem: str | None
) -> None:
    plan = plan_of(body, **settings)
    if problem is None:
        assert prepare(plan) == plan
        return
    with pytest.raises(BadScenario, match=problem):
        prepare(plan)


@pytest.mark.parametrize(
    ("settings", "users"),
    [
        ({}, 3),
        ({"arrive": 10.0, "duration_s": 0.4}, 4),  # as many as arrive, not as may be at work
        ({"arrive": 10.0, "duration_s": 0.2}, 2),
    ],
)
def test_there_has_to_be_a_row_for_each_user_of_the_whole_run(
    settings: dict[str, Any], users: int
) -> None:
    for rows, is_enough in ((users, True), (users - 1, False)):
        table = b"n\n" + b"1\n" * rows
        plan = plan_of('rows("n.csv")\n' + JOURNEY, files=(("n.csv", table),), **settings)
        for part in (plan, plan.shard(1, 2)):
            if is_enough:
                prepare(part)
                continue
            with pytest.raises(TooFewRows, match=f"for {users} users"):
                prepare(part)


async def test_the_engine_is_the_plans_with_a_scenario_or_without() -> None:
    trace: Any = object()
    made = make_engine(plan_of(JOURNEY), trace=trace)
    assert isinstance(made, ScenarioEngine)
    assert (made._trace, made.ledger.requested) == (trace, 0)
    assert type(make_engine(Plan(3))) is Engine
    lever = made.lever
    assert lever.unit is None  # Its script has no pace.
    assert make_engine(plan_of(PACED)).lever.unit == "factor"
    with pytest.raises(BadScenario):
        make_engine(plan_of("x = 1\n"))


# -- A whole run ----------------------------------------------------------------------------


def test_users_are_booked_checks_and_counters_are_this_runs_and_sockets_none() -> None:
    engine, result = run(plan_of(READY))
    assert users_of(result) == {"requested": 3, "finished": 2, "failed": 1}
    books = result.scenario
    assert books is not None
    assert (books.checks["is odd"].passed, books.checks["is odd"].failed) == (1, 2)
    assert books.counters == {"of 3": 3}
    assert (result.ledger.requested, result.ledger.opened, result.fan_out) == (0, 0, None)
    assert result.all_open_after_s is None  # There was no socket to open.
    # A user that failed is an error of its second, once.
    assert sum(second.errors for second in result.series) == 1
    assert engine.phase is Phase.DONE
    # The load has a time and a strain of its own, without those of the phases beside it.
    assert 0 < result.load_s == result.load_strain.wall_s
    assert books.opening_s > 0
    assert books.opening_s + result.load_s < result.series[-1].t_s + 0.001  # as it is rounded


def test_users_have_stamps_and_a_trace_and_replies_wake_their_own_tasks() -> None:
    trace: Any = object()
    engine, _ = run(plan_of(READY), trace=trace)
    context = engine._context
    assert context is not None
    assert context.trace is trace
    assert context.run.dialer._has_stamps is stamps.AVAILABLE
    assert context.run.poller is None or context.run.poller._through_trio
    assert context.run.steering is engine.steering
    assert (context.run.ledger, context.books) == (engine.ledger, engine._scenario)


def test_of_a_shard_users_know_how_many_there_are_in_all_and_phases_begin_in_their_order() -> None:
    asked = []

    async def gate(phase: Phase) -> None:
        asked.append(phase)

    _, result = run(plan_of(READY, 4).shard(1, 2), gate=gate)
    assert users_of(result) == {"requested": 2, "finished": 1, "failed": 1}
    assert result.scenario is not None
    assert result.scenario.counters == {"of 4": 2}
    assert asked == [Phase.OPEN, Phase.LOAD, Phase.CLOSE]


def test_a_load_that_nobody_is_there_for_is_left_out() -> None:
    _, result = run(
        plan_of("@scenario\nasync def f(user):\n    raise ValueError\n    user.ready\n")
    )
    assert users_of(result) == {"requested": 3, "failed": 3}
    assert (result.load_s, result.load_strain.wall_s) == (0.0, 0.0)


def test_each_phase_has_its_own_time_and_waiting_for_other_processes_is_none_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slow = READY.replace(
        "    await user.ready()", "    await trio.sleep(0.3)\n    await user.ready()"
    )

    async def wait_for_others(_: Phase) -> None:
        await trio.sleep(2)

    async def resolve(_: Engine) -> list[Any]:
        return [(socket.AF_INET, ("127.0.0.1", 9))]

    # A thread that looks it up would lose against a clock that jumps.
    monkeypatch.setattr(Engine, "_resolve", resolve)

    async def main() -> Result:
        stays = slow + "    await trio.sleep(0.7)\n"
        return await make_engine(plan_of(stays, 1, duration_s=0.9), gate=wait_for_others).run()

    result = trio.run(main, clock=MockClock(autojump_threshold=0))
    assert result.scenario is not None
    assert result.scenario.opening_s == pytest.approx(0.3, abs=0.1)
    assert result.load_s == result.load_strain.wall_s == pytest.approx(0.7, abs=0.1)


def test_what_opening_took_of_the_processor_is_no_strain_of_the_load() -> None:
    burns = """
import time

@scenario
async def burn(user):
    ends_s = time.process_time() + 0.2
    while time.process_time() < ends_s:
        pass
    await user.ready()
    await trio.sleep(0.1)
"""
    _, result = run(plan_of(burns, 1, duration_s=0.1))
    assert result.generator.cpu_s > 0.2
    assert result.load_strain.cpu_share * result.load_strain.wall_s < 0.15


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """Serve whoever comes, in a thread, until it leaves."""
    with serve(list, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}/"
        server.shutdown()
        thread.join()


CONNECTS = """
@scenario
async def connect(user):
    async with user.connect() as ws:
        {first}
        await user.ready()
"""


@pytest.mark.parametrize(("first", "all_open"), [("pass", True), ("user.number or [][0]", False)])
def test_all_are_open_when_every_user_is_ready_and_none_has_ended(
    url: str, first: str, all_open: bool
) -> None:
    _, result = run(plan_of(CONNECTS.format(first=first), url=url, stop_timeout_s=5.0))
    assert result.ledger.opened == result.ledger.closed.total() == 3
    assert (result.all_open_after_s is not None) is all_open
    assert sum(second.errors for second in result.series) == (0 if all_open else 1)


# -- Its ends -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("phase", "body", "settings"),
    [
        (Phase.OPEN, STAYS.replace("ready()", "sleep(1e9)\n    user.ready"), {}),
        (Phase.LOAD, STAYS, {"duration_s": 1e9}),
        (Phase.CLOSE, STAYS, {"stop_timeout_s": 1e9}),
    ],
)
def test_an_interruption_cancels_the_users_that_are_at_work_whatever_the_phase(
    phase: Phase, body: str, settings: dict[str, Any]
) -> None:
    """Interrupt a phase that lasts for ever without that."""

    async def main() -> Result:
        engine = make_engine(plan_of(body, **settings))
        results = []

        async def run() -> None:
            results.append(await engine.run())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(run)
            while engine.phase is not phase:
                await trio.sleep(0.005)
            await wait_all_tasks_blocked()
            engine.interrupt()
        return results[0]

    result = trio.run(main)
    assert users_of(result) == {"requested": 3, "interrupted": 3}
    assert result.interrupted


def test_users_of_a_run_that_is_interrupted_before_they_begin_are_not_waited_for() -> None:
    async def interrupt(phase: Phase) -> None:
        await trio.lowlevel.checkpoint()
        if phase is Phase.OPEN:
            engine.interrupt()

    async def main() -> Result:
        nonlocal engine
        engine = make_engine(plan_of(STAYS, stop_timeout_s=1e9), gate=interrupt)
        with trio.fail_after(20):
            return await engine.run()

    engine: Any = None
    result = trio.run(main)
    ended = users_of(result)
    assert ended.pop("requested") == sum(ended.values()) == 3
    assert ended.keys() <= {"interrupted", "not_started"}
    assert (result.interrupted, result.load_s) == (True, 0.0)


def test_a_run_that_is_interrupted_before_it_begins_has_asked_for_no_socket() -> None:
    async def main() -> Result:
        engine = make_engine(plan_of(READY))
        engine.interrupt()
        return await engine.run()

    result = trio.run(main)
    assert users_of(result) == {"requested": 3, "not_started": 3}
    assert (result.ledger.requested, result.ledger.not_attempted) == (0, 0)


def test_without_an_address_no_user_begins_and_every_socket_has_failed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def resolve(self: Engine) -> list[Any]:
        self._unresolved = "nowhere: unknown"
        return []

    monkeypatch.setattr(Engine, "_resolve", resolve)
    _, result = run(plan_of(READY))
    assert users_of(result) == {"requested": 3, "not_started": 3}
    assert result.ledger.failed == {Failure.DNS: 3}
    assert result.ledger.requested == 3


def test_calls_that_never_end_are_lost_or_in_flight_as_the_run_ended() -> None:
    for interrupted, column in ((False, "lost"), (True, "in_flight")):

        async def main(interrupted: bool = interrupted) -> Any:
            engine = make_engine(plan_of(READY))
            assert isinstance(engine, ScenarioEngine)
            engine.interrupted = interrupted
            engine._scenario.users.requested = 2
            step = engine._scenario.step("ask", "request")
            step.count, step.ok = 5, 2
            engine._settle()
            return step, engine._scenario.users.not_started

        step, not_started = trio.run(main)
        assert (getattr(step, column), step.open, not_started) == (3, 0, 2)


async def test_users_in_no_column_are_an_error_and_no_report() -> None:
    engine = make_engine(plan_of(READY))
    assert isinstance(engine, ScenarioEngine)
    engine._scenario.users.failed = 1
    with pytest.raises(Unbalanced):
        engine._settle()


# -- Seconds, and a load that is changed ----------------------------------------------------


async def test_replies_of_steps_are_in_the_runs_seconds_once_also_when_sorted_in() -> None:
    engine = make_engine(plan_of(READY))
    assert isinstance(engine, ScenarioEngine)
    engine._began = trio.current_time()
    step = engine._scenario.step("ask", "request")
    step.undue.append(4000)
    engine.sort_in()
    result = engine.result_so_far()
    assert (result.service.count, result.intended.count) == (1, 1)
    step.undue += [8000, 8000]
    engine._sample()
    result = engine.result_so_far()
    assert (result.service.count, result.intended.count, step.service.total.count) == (3, 3, 3)
    assert [second.p50_ms for second in result.series] == [pytest.approx(8, rel=0.01)]
    assert result.scenario is engine._scenario
    step.undue.append(2000)
    engine._sample()
    assert engine.series[-1].p50_ms == pytest.approx(2, rel=0.01)


async def test_what_was_published_has_its_times_in_the_result_also_if_no_copy_has_come() -> None:
    engine = make_engine(plan_of(READY))
    engine._began = trio.current_time()
    assert engine.result_so_far().fan_out is None
    engine.ledger.published = 1
    fan_out = engine.result_so_far().fan_out
    assert fan_out is not None
    assert (fan_out.first.count, fan_out.last.count, fan_out.each.count) == (0, 0, 0)


async def test_each_second_the_clocks_are_compared_once_there_are_users() -> None:
    engine = make_engine(plan_of(READY))
    assert isinstance(engine, ScenarioEngine)
    engine._began = trio.current_time()
    engine._sample()
    compared = []
    context: Any = SimpleNamespace(compare_clocks=lambda: compared.append(1))
    engine._context = context
    engine._sample()
    engine._sample()
    assert len(compared) == 2


@pytest.mark.parametrize(("at_s", "changes"), [(1.0, [0.0, 1.0]), (0.0, [0.0])])
async def test_users_follow_a_change_when_it_is_known_and_when_it_holds(
    nursery: trio.Nursery, autojump_clock: MockClock, at_s: float, changes: list[float]
) -> None:
    engine = make_engine(plan_of(PACED))
    assert isinstance(engine, ScenarioEngine)
    began, told, due = trio.current_time(), list[float](), [began_s := 5.0]
    table = Timetable()
    table.add(began + began_s, lambda: None, lambda: began + due[0])
    context: Any = SimpleNamespace(
        timetable=table,
        phases=SimpleNamespace(change_load=lambda: told.append(trio.current_time() - began)),
    )
    engine._context = context
    nursery.start_soon(table.run)
    engine._enter(Phase.LOAD)
    due[0] = 3.0
    with engine.steering.calling(engine._take_change):
        engine.steering.turn(at_s, 0.0)
    # What falls due in the load does so at another time now.
    assert min(table._entries)[0] - began == pytest.approx(min(3.0, at_s or 3.0))
    await trio.sleep(2)
    assert told == [pytest.approx(each, abs=0.01) for each in changes]
    assert [entry[0] - began for entry in table._entries] == [pytest.approx(3.0)]
