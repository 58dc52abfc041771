"""A run begins if all that was asked for can be had, and whatever watches it ends with it."""

import sys
import threading
from collections import Counter
from contextlib import contextmanager
from types import SimpleNamespace

import msgspec
import pytest
import trio

from echo_trio.forks.starter import Starter
from loadgen.cli import run as run_module
from loadgen.cli.options import Options
from loadgen.cli.output import Output
from loadgen.engine.engine import Engine
from loadgen.journal.run import Journal
from loadgen.preflight.check import Refused
from loadgen.processes.coordinator import Coordinator
from loadgen.results.ledger import Failure, Ledger
from loadgen.workload.plan import Plan

PLAN = Plan(10)


@pytest.fixture
def complained(capsys):
    """The one line that was said, without its frame."""

    def take():
        told = capsys.readouterr()
        assert told.out == ""
        (line,) = told.err.splitlines()
        assert line.startswith("loadgen: ")
        assert line.endswith(" (see loadgen --help)")
        return line.removeprefix("loadgen: ").removesuffix(" (see loadgen --help)")

    return take


@pytest.mark.parametrize(
    ("options", "output", "says"),
    [
        (Options(fail_if=("target.cpu_share>90%",)), Output(), "needs --console"),
        (Options(confidence=0.95), Output(), "--confidence goes with --find-capacity"),
        (Options(journal="x"), Output(json="x"), "a report and the journal can't go to one file"),
        (Options(), Output(name="x"), "--name is for what has a run's name in it"),
        (Options(console="ftp://x"), Output(), "--console: "),
        (Options(trace=True), Output(), "--trace goes with --scenario, one user and one process"),
        (Options(metrics="x"), Output(), "--metrics: 'x' is no address"),
        (Options(journal="/nowhere/x"), Output(), "can't write the journal to /nowhere/x"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_keeps_a_run_from_beginning_is_one_line(
    monkeypatch, complained, options, output, says
):
    monkeypatch.setattr(run_module.trio, "run", lambda *_: pytest.fail("it has begun"))
    assert run_module.load(PLAN, options, output) == 2
    assert says in complained()


@pytest.mark.parametrize(
    ("plan", "options", "may"),
    [
        (Plan(1, scenario="s.py"), Options(trace=True), True),
        (Plan(2, scenario="s.py"), Options(trace=True), False),
        (Plan(1), Options(trace=True), False),
        (Plan(1, scenario="s.py"), Options(trace=True, workers=2), False),
    ],
)
def test_every_frame_is_traced_of_one_user_alone(monkeypatch, complained, plan, options, may):
    monkeypatch.setattr(run_module, "_load_once", lambda *_: 7)
    monkeypatch.setattr("loadgen.scenario.engine.prepare", lambda plan: plan)
    monkeypatch.setattr(run_module, "_make_starter", lambda _: nothing())
    assert run_module.load(plan, options, Output()) == (7 if may else 2)
    if not may:
        assert "--trace goes with" in complained()


@contextmanager
def nothing():
    yield None


@pytest.mark.parametrize("output_name", [None, "nightly"])
@pytest.mark.parametrize("flag", ["metrics", "otlp"])
def test_a_name_is_for_those_who_read_the_figures_meanwhile_as_well(monkeypatch, flag, output_name):
    given = {"metrics": "0"} if flag == "metrics" else {"otlp": "http://h"}
    monkeypatch.setattr(run_module, "_load_once", lambda *_: 7)
    monkeypatch.setattr("loadgen.cli.options.find_spec", lambda _: object())
    output = Output(name=output_name, quiet=True)
    assert run_module.load(PLAN, Options(**given), output) == 7


def test_a_threshold_that_is_none_is_pointed_at_however_wide_its_letters_are(capsys):
    assert run_module.load(PLAN, Options(fail_if=("\u65e5latency.p99>1s",)), Output()) == 2
    first, second, third = capsys.readouterr().err.splitlines()
    assert first.startswith("loadgen: --fail-if: ")
    assert second == "  \u65e5latency.p99>1s"
    assert third.strip() == "^"
    assert run_module.load(PLAN, Options(fail_if=("latency.p99>\u65e5",)), Output()) == 2
    assert capsys.readouterr().err.splitlines()[2].index("^") >= 2


@pytest.mark.parametrize(
    ("options", "starts"),
    [
        (Options(), False),
        (Options(workers=1), False),
        (Options(workers=2), True),
        (Options(workers=2, dask="h:1"), False),
    ],
    ids=["alone", "one", "several", "elsewhere"],
)
def test_processes_are_started_where_there_are_some_on_this_machine(options, starts):
    assert isinstance(run_module._make_starter(options), Starter) is starts


@pytest.mark.parametrize(
    ("options", "kind"),
    [(Options(), Engine), (Options(workers=1), Engine), (Options(workers=2), Coordinator)],
    ids=["alone", "one", "several"],
)
async def test_a_run_is_in_one_process_or_several_as_one(options, kind):
    made = run_module._make_run(PLAN, options, None)
    assert type(made) is kind
    assert made.plan == PLAN
    assert made._on_warning is run_module.warn


@pytest.mark.parametrize("workers", [None, 1, 5])
async def test_a_cluster_is_asked_for_as_many_shards_as_are_wanted(monkeypatch, workers):
    dask = SimpleNamespace(Cluster=lambda *args: args)
    monkeypatch.setitem(sys.modules, "loadgen.processes.dask", dask)
    made = run_module._make_run(PLAN, Options(dask="h:1", workers=workers), None)
    assert (type(made), made._launcher) == (Coordinator, ("h:1", workers))


async def test_what_starts_processes_is_handed_on_and_what_exports_figures_has_the_runs_name(
    monkeypatch, autojump_clock
):
    starter, given, otlp = object(), [], Watching()
    monkeypatch.setattr(run_module, "Processes", lambda *args: given.append(args) or "processes")
    made = run_module._make_run(PLAN, Options(workers=2), starter)
    assert (made._launcher, given) == ("processes", [(2, starter)])
    monkeypatch.setattr(run_module, "_make_run", lambda *_: FakeEngine("the result"))
    monkeypatch.setattr("loadgen.cli.otlp.Otlp", lambda *args: given.append(args) or otlp)
    output = Output(quiet=True, name="nightly")
    await run_module.run(PLAN, Options(otlp="http://h/"), output)
    assert (given[1:], len(otlp.times)) == ([("http://h/", "nightly")], 1)


@pytest.mark.parametrize(
    ("metrics", "quiet", "says"),
    [("0", True, True), ("127.0.0.1:0", True, True), ("0", False, True), (None, False, False)],
)
def test_where_the_figures_are_is_said_if_only_we_know_it(capsys, metrics, quiet, says):
    page = run_module.open_page(Options(metrics=metrics), Output(quiet=quiet))
    told = capsys.readouterr().err
    if page is None:
        assert (told, says) == ("", False)
    else:
        with page:
            assert told == f"loadgen: metrics are at {page.url}\n"


def test_a_port_that_was_chosen_is_not_told_to_who_wants_quiet(monkeypatch, capsys):
    made = SimpleNamespace(url="http://h:9100/metrics")
    given = []
    monkeypatch.setattr(
        "loadgen.cli.metrics_page.MetricsPage", lambda *args: given.append(args) or made
    )
    assert run_module.open_page(Options(metrics="9100"), Output(quiet=True, name="nightly")) is made
    assert given == [("9100", "nightly")]
    for quiet, told in ((True, ""), (False, "loadgen: metrics are at http://h:9100/metrics\n")):
        assert run_module.open_page(Options(metrics="9100"), Output(quiet=quiet)) is made
        assert capsys.readouterr().err == told


def test_lines_of_several_threads_stay_whole():
    inside, most = [0], [0]

    def write(_):
        inside[0] += 1
        most[0] = max(most[0], inside[0])
        threading.Event().wait(0.001)
        inside[0] -= 1
        written.append(1)

    written = []
    alone = run_module._one_at_a_time(write)
    threads = [threading.Thread(target=alone, args=(b"x",)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (most, len(written)) == ([1], 8)


class FakeEngine:
    """A run of which the test says how it ends."""

    def __init__(self, outcome, lasts_s=2.0):
        self.outcome, self.lasts_s = outcome, lasts_s
        self.interrupts = 0

    def interrupt(self):
        self.interrupts += 1

    async def run(self):
        await trio.sleep(self.lasts_s)
        if isinstance(self.outcome, Refused):
            raise self.outcome
        return self.outcome


class Watching:
    """Something that watches a run, and notes from when until when."""

    def __init__(self):
        self.times = []

    async def watch(self, engine, *_, **__):
        began_s = trio.current_time()
        try:
            await trio.sleep_forever()
        finally:
            self.times.append((began_s, trio.current_time()))

    keep = serve = watch


@pytest.fixture
def engine(monkeypatch):
    """A run of two seconds that returns "the result", whatever its plan."""
    made = FakeEngine("the result")
    monkeypatch.setattr(run_module, "_make_run", lambda *_: made)
    for name in ("raise_file_limit", "keep_large_buffers", "spare_long_lived_objects"):
        monkeypatch.setattr(run_module.process, name, lambda: None)
    return made


@pytest.mark.parametrize(
    ("options", "output", "watches"),
    [
        (Options(), Output(), "progress keys"),
        (Options(), Output(quiet=True), ""),
        (Options(trace=True), Output(), ""),
        (Options(), Output(stream=True, quiet=True), "stream"),
        (Options(orders="lines"), Output(quiet=True), "orders"),
    ],
    ids=["shown", "quiet", "traced", "streamed", "ordered"],
)
@pytest.mark.parametrize("more", [False, True])
async def test_who_watches_a_run_does_so_from_its_beginning_to_its_end(
    monkeypatch, autojump_clock, engine, options, output, watches, more
):
    found = {name: Watching() for name in ("progress", "keys", "stream", "orders")}
    keys = SimpleNamespace(obey=found["keys"].watch, taken=nothing)
    monkeypatch.setattr(run_module, "find_keys", lambda plan: keys)
    monkeypatch.setattr(run_module, "watch", found["progress"].watch)
    monkeypatch.setattr(run_module, "stream", found["stream"].watch)

    async def obey(lines, *_):
        assert lines == "lines"
        await found["orders"].watch(engine)

    monkeypatch.setattr("loadgen.cli.orders.obey", obey)
    others = {name: Watching() for name in ("journal", "target", "page")} if more else {}
    began_s = trio.current_time()
    result = await run_module.run(PLAN, options, output, **others)
    assert result == "the result"
    assert trio.current_time() - began_s == pytest.approx(2.0)
    times = [(began_s, trio.current_time())]
    for name, each in (found | others).items():
        assert each.times == (times if name in others or name in watches.split() else [])


async def test_lines_of_the_stream_and_answers_to_orders_go_out_one_at_a_time(
    monkeypatch, autojump_clock, engine
):
    written = []

    async def note(*args):
        written.append(args[-1])

    monkeypatch.setattr(run_module, "_one_at_a_time", lambda write: ("one at a time", write))
    monkeypatch.setattr(run_module, "stream", note)
    monkeypatch.setattr("loadgen.cli.orders.obey", note)
    await run_module.run(PLAN, Options(orders="lines"), Output(stream=True, quiet=True))
    assert written == [("one at a time", run_module.write_stdout)] * 2


async def test_a_run_that_is_refused_says_so(autojump_clock, engine):
    engine.outcome = Refused("too few files")
    assert await run_module.run(PLAN, Options(), Output(quiet=True)) is engine.outcome


async def test_a_signal_ends_a_run_in_good_order(monkeypatch, autojump_clock, engine):
    stops = []

    @contextmanager
    def stopping(stop):
        stops.append(stop)
        yield
        stops.append(None)

    monkeypatch.setattr(run_module.INTERRUPTS, "stopping", stopping, raising=False)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_module.run, PLAN, Options(), Output(quiet=True))
        await trio.sleep(1)
        stops[0]()
        await trio.sleep(0.5)
        assert engine.interrupts == 1
    assert stops[1] is None


class FakeJournal:
    """A journal that notes what becomes of it."""

    problem, has_records, path = None, True, "the journal"

    def __init__(self):
        self.done = []

    def remove(self):
        self.done.append("removed")

    def close(self):
        self.done.append("closed")


@pytest.mark.parametrize(
    ("ending", "writes", "code", "journal", "says"),
    [
        ("valid", True, 0, "removed", ""),
        ("valid", False, 2, "closed", "what was measured is in the journal: loadgen recover"),
        ("nothing", True, 69, "removed", "no socket could be opened to"),
        ("interrupted", True, 130, "removed", ""),
        ("refused", True, 2, "removed", "too few files"),
    ],
)
def test_a_report_is_written_and_its_journal_kept_only_if_it_was_not(
    monkeypatch, result_of, capsys, ending, writes, code, journal, says
):
    ledger = None if ending in ("valid", "refused") else Ledger(2, failed=Counter({Failure.TLS: 2}))
    result = result_of(ledger, interrupted=ending == "interrupted")
    kept, written = FakeJournal(), []
    monkeypatch.setattr(run_module, "open_journal", lambda *_, **__: kept)
    outcome = Refused("too few files") if ending == "refused" else result
    monkeypatch.setattr(run_module.trio, "run", lambda *_: outcome)
    monkeypatch.setattr(Output, "write", lambda _, report: written.append(report) or writes)
    assert run_module.load(PLAN, Options(), Output()) == code
    assert kept.done == [journal]
    assert len(written) == (ending != "refused")
    told = capsys.readouterr().err
    assert says in told
    assert bool(told) is bool(says)
    if written:
        assert written[0].target is msgspec.UNSET


@pytest.mark.parametrize(("limit", "code"), [("messages.sent>0", 99), ("messages.sent>20", 0)])
def test_all_that_was_asked_for_is_handed_on_to_the_run_and_its_report(
    monkeypatch, result_of, limit, code
):
    began, written, journals = [], [], []
    monkeypatch.setattr(
        run_module,
        "open_journal",
        lambda make, path, *, overwrite: journals.append((make, path, overwrite)) or None,
    )
    monkeypatch.setattr(run_module.trio, "run", lambda call: began.append(call) or result_of())
    monkeypatch.setattr(Output, "write", lambda _, report: written.append(report) or True)
    options = Options(
        fail_if=(limit,), console="http://h:1/", journal="j", overwrite=True, workers=2
    )
    output = Output(quiet=True)
    assert run_module.load(PLAN, options, output) == code
    (call,), (report,), ((make, path, overwrite),) = began, written, journals
    assert call.func is run_module.run
    plan, had, put, journal, target, page, starter = call.args
    assert (plan, had, put, journal, page) == (PLAN, options, output, None, None)
    assert isinstance(starter, Starter)
    assert (make.func, make.keywords, path, overwrite) == (Journal, {"plan": PLAN}, "j", True)
    assert [(each.expr, each.breached) for each in report.thresholds] == [(limit, code == 99)]
    assert report.target == target.report()


def test_what_kept_all_sockets_from_opening_is_told_by_number_with_a_proxy_if_there_is_one(
    result_of,
):
    ledger = Ledger(
        3500, failed=Counter({Failure.TIMEOUT: 500, Failure.TLS: 3000}),
        tls_errors=Counter({"bad": 3000}),
    )  # fmt: skip
    line = run_module.explain_nothing_opened(result_of(ledger))
    begin = "loadgen: no socket could be opened to ws://127.0.0.1:8765/: 3,000 × "
    assert line.startswith(begin)
    assert ", 500 × " in line
    plan = Plan(3500, "ws://a.example/", proxy="http://proxy.example:3128")
    line = run_module.explain_nothing_opened(result_of(ledger, plan=plan))
    assert "ws://a.example/ through http://proxy.example:3128: 3,000 × " in line
