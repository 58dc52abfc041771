import io
from types import SimpleNamespace

import pytest
import trio
from rich.console import Console

from loadgen.cli import progress
from loadgen.cli.keys import Keys
from loadgen.engine.running import Phase
from loadgen.results.ledger import Failure, Ledger
from loadgen.results.series import Second
from loadgen.results.verify import Verdict
from loadgen.workload.lever import Lever, Wanted
from loadgen.workload.plan import Plan


class FakeEngine(SimpleNamespace):
    """What is shown of an engine: ten of a hundred sockets open, 25 s into the load."""

    def __init__(self, **changes):
        ledger = Ledger(100, opened=10, sent=30, received=29)
        ledger.verdicts[Verdict.ECHOED] = 29
        settings = {
            "plan": Plan(100, duration_s=50.0),
            "ledger": ledger,
            "series": [],
            "phase": Phase.LOAD,
            "interrupted": False,
            "elapsed_s": 27.0,
            "phase_elapsed_s": 25.0,
        }
        settings |= changes
        super().__init__(**{"lever": Lever(settings["plan"])} | settings)


def second(**changes):
    return Second(
        **(
            {"t_s": 1.0, "open": 10, "opening": 0, "sent": 10, "received": 10, "errors": 0}
            | {"p50_ms": 1.25, "p99_ms": 9.5, "lag_ms": 0.1}
            | changes
        )
    )


def shown(engine, width=80, keys=None):
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    console.print(progress._display(engine, width, keys))
    return console.file.getvalue()


async def test_a_line_is_printed_for_each_phase_and_now_and_then(autojump_clock):
    engine = FakeEngine(phase=Phase.OPEN)
    type(engine).elapsed_s = property(lambda _: trio.current_time() - began)
    del engine.__dict__["elapsed_s"]
    began, lines = trio.current_time(), io.StringIO()
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(progress.watch_lines, engine, lines)
            await trio.sleep(1.1)
            engine.phase = Phase.LOAD
            await trio.sleep(11)
            engine.phase = Phase.CLOSE
            await trio.sleep(1)
            engine.phase = Phase.DONE
    finally:
        del type(engine).elapsed_s
    # A look each quarter of a second; a line at once for a phase, and again just after 5 s.
    assert [tuple(line.split()[0:3:2]) for line in lines.getvalue().splitlines()] == [
        ("0.0", "opening"), ("1.2", "load"), ("6.2", "load"), ("11.2", "load"), ("12.2", "closing"),
    ]  # fmt: skip
    assert lines.getvalue().splitlines()[0] == (
        "   0.0 s  opening  10 of 100 open, 30 sent, 29 received, 0 errors"
    )


@pytest.mark.parametrize(("lost", "style"), [(0, "dim"), (3, "red")])
def test_errors_are_red_once_there_are_any(lost, style):
    _, facts = progress._display(FakeEngine(ledger=Ledger(100, lost=lost)), 80, None).renderables
    shown = [*facts.columns[1].cells][-1]
    assert (shown.plain, shown.style) == (str(lost), style)


async def test_the_live_display_is_gone_when_the_run_is_done(autojump_clock):
    engine = FakeEngine()
    console = Console(file=io.StringIO(), width=80, force_terminal=True)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(progress.watch_live, engine, console)
        await trio.sleep(1)
        engine.phase = Phase.DONE
    written = console.file.getvalue()
    assert "10 of 100 open" in written
    assert written.index("\x1b[?25l") < written.rindex("\x1b[?25h")
    assert written.rstrip().endswith("\x1b[2K")


async def test_the_live_display_gives_the_terminal_back_when_cancelled(autojump_clock):
    console = Console(file=io.StringIO(), width=80, force_terminal=True)
    with trio.move_on_after(1):
        await progress.watch_live(FakeEngine(), console)
    assert console.file.getvalue().rstrip().endswith("\x1b[2K")
    assert "\x1b[?25h" in console.file.getvalue()


@pytest.mark.parametrize("width", [80, 120])
def test_the_display_shows_phase_sockets_messages_latency_and_errors(width):
    text = shown(FakeEngine(series=[second(), second(received=5, p99_ms=19.0)]), width)
    assert text.count("\n") == 6
    for fact in (
        "load", "27 s, 25 s left", "Ctrl-C", "10 sent, 5 received", "10 of 100 open",
        "30 sent, 29 received",
        "p50 1.25 ms, p99 19.00 ms", "errors", "█▅", "▅█",
    ):  # fmt: skip
        assert fact in text


def test_the_display_shows_the_rate_and_the_keys_that_change_it():
    engine, keys = FakeEngine(series=[second()]), Keys(-1)
    assert "1/s per socket" not in shown(engine)
    text = shown(engine, keys=keys)
    assert "1/s per socket" in text
    assert "+ - rate, space pauses, q stops" in text
    engine.lever.pull(engine.lever.step(2), t_s=4.0, load_s=2.0)
    engine.lever.pull(Wanted(paused=True), t_s=5.0, load_s=3.0)
    for told in ("paused, 1.2/s per socket, 120% of the plan", "paused"):
        assert told in shown(engine, keys=None)  # Somebody else has changed it.
    assert "space goes on" in shown(engine, width=120, keys=keys)


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        (Plan(100, closed_loop=True), "closed loop"),
        (Plan(100, rate_per_conn=0.0), "no rate of its own"),
    ],
)
def test_the_display_says_what_a_load_without_a_rate_is(plan, said):
    engine = FakeEngine(plan=plan)
    text = shown(engine, keys=Keys(-1))
    assert said in text
    assert "+ - rate" not in text


def test_the_display_says_that_the_run_is_being_stopped():
    assert "stopping" in shown(FakeEngine(interrupted=True))


@pytest.mark.parametrize(
    ("changes", "completed"),
    [
        pytest.param({"phase": Phase.OPEN}, 0.1, id="opening"),
        pytest.param({"phase": Phase.OPEN, "plan": Plan(200)}, 0.1, id="part-of-several"),
        pytest.param(
            {"phase": Phase.OPEN, "plan": Plan(200, scenario="s.py")}, 0.05, id="users-that-come"
        ),
        pytest.param({}, 0.5, id="load"),
        pytest.param({"plan": Plan(100, messages=5)}, 0.58, id="messages"),
        pytest.param({"plan": Plan(100, duration_s=0.0)}, 1.0, id="no-duration"),
        pytest.param({"phase_elapsed_s": 70.0}, 1.0, id="overdue"),
        pytest.param({"phase": Phase.CLOSE}, 0.0, id="closing"),
        pytest.param({"phase": Phase.CLOSE, "ledger": Ledger(100)}, 1.0, id="none-to-close"),
    ],
)
def test_the_bar_shows_how_far_the_phase_is(changes, completed):
    assert progress._completed(FakeEngine(**changes)) == completed


async def test_a_terminal_that_is_gone_does_not_end_the_run(monkeypatch):
    class Gone(io.StringIO):
        def write(self, _):
            raise BrokenPipeError

    monkeypatch.setattr(progress.sys, "stderr", Gone())
    await progress.watch(FakeEngine())


@pytest.mark.parametrize("width", [40, 50, 60, 70, 79, 80, 120])
def test_in_a_narrow_terminal_nothing_that_counts_is_cut(width):
    engine = FakeEngine(series=[second()] * 40, elapsed_s=3727.0, plan=Plan(100, duration_s=9e3))
    lines = shown(engine, width, Keys(-1)).splitlines()
    assert all(len(line) <= width for line in lines)
    assert "…" not in "".join(lines)
    assert lines[0].startswith("load ")
    assert "3727 s, 150 min left" in lines[0]


@pytest.mark.parametrize("answered", [0, 20, 50])
def test_the_bar_of_a_number_of_messages_is_full_when_those_who_opened_have_theirs(answered):
    ledger = Ledger(100, opened=10, sent=50)
    ledger.verdicts[Verdict.ECHOED] = answered
    engine = FakeEngine(plan=Plan(100, messages=5), ledger=ledger)
    assert progress._completed(engine) == answered / 50


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, "27 s, 25 s left"),
        ({"phase_elapsed_s": 60.0}, "27 s, 0 s left"),
        ({"plan": Plan(100, duration_s=124.4)}, "27 s, 99 s left"),
        ({"plan": Plan(100, duration_s=125.0)}, "27 s, 2 min left"),
        ({"phase": Phase.OPEN}, "27 s"),
        ({"plan": Plan(100, messages=5)}, "27 s"),
    ],
    ids=str,
)
def test_the_time_that_is_left_is_told_of_a_load_that_has_an_end(changes, told):
    assert progress._time(FakeEngine(**changes)) == told


def test_pictures_are_as_high_as_their_highest_and_as_long_as_there_is_room():
    engine = FakeEngine(series=[second(open=n) for n in (0, 1, 4, 7, 7)])
    assert progress._spark(engine, "open", 30).plain == "▁▂▅██"
    assert progress._spark(engine, "open", 2).plain == "██"
    assert progress._spark(engine, "open", 0).plain == ""
    assert progress._spark(FakeEngine(series=[second(open=0)]), "open", 9).plain == "▁"
    assert progress._spark(FakeEngine(series=[second(p99_ms=None)]), "p99_ms", 9).plain == "▁"


def test_what_a_key_could_not_do_stands_in_the_place_of_the_keys():
    engine, keys = FakeEngine(), Keys(-1)
    _, hint = progress._load(engine, keys, 31)
    assert hint.plain == "+ - rate, space pauses, q stops"
    assert progress._load(engine, keys, 30)[1].plain == ""
    assert progress._load(engine, None, 99)[1].plain == ""
    keys._note, keys._noted_s = "the load is over", 1e12
    assert progress._load(engine, keys, 0)[1].plain == "the load is over"


@pytest.mark.parametrize(
    ("plan", "wanted", "told"),
    [
        (Plan(100), {}, "1/s per socket"),
        (Plan(100), {"factor": 2.0}, "2/s per socket, 200% of the plan"),
        (Plan(100, scenario="s.py"), {"factor": 2.0}, "2 × the plan"),
        (Plan(100, closed_loop=True), {"paused": True}, "paused"),
        (Plan(100, closed_loop=True), {}, "closed loop"),
        (Plan(100, rate_per_conn=0.0), {}, "no rate of its own"),
    ],
    ids=str,
)
def test_the_rate_is_told_with_its_share_of_the_plan(plan, wanted, told):
    engine = FakeEngine(plan=plan)
    if wanted:
        engine.lever.pull(Wanted(**wanted), t_s=1.0, load_s=1.0)
    rate, _ = progress._load(engine, None, 99)
    assert (rate.plain, rate.style) == (told, "bold yellow" if wanted else "")


@pytest.mark.parametrize("failed", [0, 3])
def test_of_a_scenario_the_users_at_work_are_told(failed):
    users = SimpleNamespace(requested=100, settled=60, failed=failed)
    result = SimpleNamespace(scenario=SimpleNamespace(users=users))
    engine = FakeEngine(plan=Plan(100, scenario="s.py"), result_so_far=lambda: result)
    text = shown(engine)
    assert "40 at work" in text
    assert ("3 failed" in text) is bool(failed)


def test_before_anything_came_back_there_is_no_rate_and_no_latency():
    text = shown(FakeEngine(series=[second(sent=0, received=0, p50_ms=None, p99_ms=None)]))
    assert "a second" not in text
    assert "latency" not in text
    for changes in ({"sent": 0}, {"received": 0}):
        assert "a second" in shown(FakeEngine(series=[second(**changes)]))


async def test_a_line_says_that_the_load_is_paused_and_a_long_check_is_told(autojump_clock):
    engine, lines = FakeEngine(phase=Phase.PREFLIGHT, elapsed_s=5.0), io.StringIO()
    with trio.move_on_after(1):
        await progress.watch_lines(engine, lines)
    assert lines.getvalue() == ""
    engine.elapsed_s = 5.1
    engine.lever.pull(Wanted(paused=True), t_s=1.0, load_s=1.0)
    with trio.move_on_after(1):
        await progress.watch_lines(engine, lines)
    assert lines.getvalue() == (
        "   5.1 s  checking 10 of 100 open, 30 sent, 29 received, 0 errors, paused\n"
    )


@pytest.mark.parametrize(("phase_elapsed_s", "filled"), [(0.0, 0), (25.0, 12), (50.0, 24)])
def test_the_bar_is_filled_as_far_as_the_phase_is(phase_elapsed_s, filled):
    bar = shown(FakeEngine(phase_elapsed_s=phase_elapsed_s), width=120).splitlines()[0]
    assert bar.count("━") == filled


def test_a_socket_that_did_not_open_is_done_with_in_the_bar_of_the_open_phase():
    ledger = Ledger(100, opened=10)
    ledger.failed[Failure.REFUSED] = 15
    engine = FakeEngine(phase=Phase.OPEN, ledger=ledger, plan=Plan(100))
    assert progress._completed(engine) == 0.25
