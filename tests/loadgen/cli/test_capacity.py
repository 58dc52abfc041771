"""A search for capacity runs step after step, keeps what each has found, and says how it ended."""

from types import SimpleNamespace

import msgspec
import pytest

from loadgen.cli import capacity as capacity_module
from loadgen.cli.capacity import _find_problem, _find_want, find_capacity
from loadgen.cli.options import Options
from loadgen.cli.output import Output
from loadgen.journal.search import SearchJournal
from loadgen.preflight.check import Refused
from loadgen.report import thresholds
from loadgen.results.ledger import Ledger
from loadgen.studies.capacity import NothingToRaise
from loadgen.workload.pacing import Stage
from loadgen.workload.plan import Plan

PLAN = Plan(10, rate=5.0)
LIMITS = [thresholds.parse("latency.p99>1s")]


@pytest.mark.parametrize(
    ("plan", "output", "problem"),
    [
        (PLAN, Output(), None),
        (Plan(10), Output(json="x"), None),
        (Plan(10, closed_loop=True), Output(), "--find-capacity sets the rate"),
        (Plan(10, messages=5), Output(), "--find-capacity sets the rate"),
        (Plan(10, stages=(Stage(1.0, 1.0),)), Output(), "--find-capacity sets the rate"),
        (Plan(10, rate_per_conn=0.0), Output(), "--find-capacity needs a rate to start with"),
        (PLAN, Output(stream=True), "--find-capacity makes many runs, and --stream is of one"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_search_is_of_a_plan_whose_rate_can_be_raised(plan, output, problem):
    found = _find_problem(plan, LIMITS, output)
    assert found is None if problem is None else found.startswith(problem)


def test_a_search_may_be_held_against_what_the_target_says_of_itself():
    limits = [thresholds.parse("target.cpu_share>80%")]
    assert _find_problem(PLAN, limits, Output()) is None


class FakeJournal:
    """A journal that notes what becomes of it."""

    problem, has_records, path = None, True, "the journal"

    def __init__(self):
        self.done = []

    def note(self, step):
        self.done.append(step)

    def remove(self):
        self.done.append("removed")

    def close(self):
        self.done.append("closed")


@pytest.fixture
def search(monkeypatch, result_of):
    """A search of which the test says what it finds."""
    made = SimpleNamespace(journal=FakeJournal(), runs=[], found={}, raises=None, result=None)
    made.journals, made.searched = [], []

    def open_journal(make, path, *, overwrite):
        made.journals.append((make.func, make.keywords, path, overwrite))
        return made.journal

    async def run(plan, options, output, *, target, page, starter):
        made.runs.append((plan, output.quiet, target is not None, page, starter))
        return result_of() if made.result is None else made.result

    async def find(plan, limits, run_step, tell, *, find_problem, confidence):
        assert find_problem(plan) is None  # It has no scenario.
        made.searched.append((plan, [limit.expr for limit in limits], confidence))
        made.report = await run_step(plan)
        tell("a step")
        if made.raises is not None:
            raise made.raises
        return SimpleNamespace(
            **{"interrupted": False, "steps": ["a step"], "held_per_s": 5.0} | made.found
        )

    text = capacity_module.capacity_text
    for name, value in (
        ("encode", lambda _: b"{}"), ("show", lambda _: "the summary"),
        ("show_step", lambda step: f"shown: {step}"), ("show_forecast", lambda _: "the forecast"),
    ):  # fmt: skip
        monkeypatch.setattr(text, name, value)
    monkeypatch.setattr(capacity_module, "open_journal", open_journal)
    monkeypatch.setattr(capacity_module, "run", run)
    monkeypatch.setattr(capacity_module, "find", find)
    return made


@pytest.mark.parametrize(
    ("found", "opened", "code"),
    [
        ({}, True, 0),
        ({"held_per_s": None}, True, 1),
        ({"interrupted": True, "held_per_s": None}, True, 130),
        ({"held_per_s": None}, False, 69),
        ({"held_per_s": None, "steps": ["a step"] * 2}, False, 1),
        ({"interrupted": True}, False, 130),
    ],
)
def test_how_a_search_ended_is_its_exit_code(search, result_of, capsys, found, opened, code):
    search.found = found
    if not opened:
        search.result = result_of(Ledger(2))
    assert find_capacity(PLAN, LIMITS, Options(), Output()) == code
    told = capsys.readouterr()
    assert told.out == "the summary\n"
    assert told.err.startswith("the forecast\nshown: a step\n")
    assert ("no socket could be opened to" in told.err) is (code == 69)
    assert search.journal.done == ["a step", "removed"]


def test_who_wants_quiet_has_the_summary_alone_and_its_runs_show_nothing(search, capsys):
    options = Options(console="http://h:1/", journal="x")
    assert find_capacity(PLAN, LIMITS, options, Output(quiet=True), "page", "starter") == 0
    assert capsys.readouterr() == ("the summary\n", "")
    assert search.runs == [(PLAN, True, True, "page", "starter")]
    assert search.report.connections.opened == 10
    assert search.report.target.source == "http://h:1/"


def test_a_search_and_its_journal_have_the_same_limits_and_confidence(search, capsys):
    options = Options(confidence=0.9, journal="j", overwrite=True, workers=2)
    assert find_capacity(PLAN, LIMITS, options, Output()) == 0
    assert find_capacity(PLAN, [], Options(dask="h:1"), Output()) == 0
    assert search.report.target is msgspec.UNSET
    assert search.searched == [
        (PLAN, ["latency.p99>1s"], 0.9), (PLAN, ["latency.p99>100ms"], None)
    ]  # fmt: skip
    settings = PLAN.settings()
    default = [thresholds.parse("latency.p99>100ms")]
    assert search.journals == [
        (
            SearchJournal,
            {"plan": settings | {"workers": 2, "dask": None}, "limits": LIMITS, "confidence": 0.9},
            "j", True,
        ),
        (
            SearchJournal,
            {"plan": settings | {"workers": None, "dask": "h:1"}, "limits": default,
             "confidence": None},
            None, False,
        ),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("raises", "says"),
    [
        (NothingToRaise("there is no rate"), "--find-capacity: there is no rate"),
        (Refused("too few files"), "too few files"),
    ],
)
def test_a_search_that_cannot_go_on_says_why_and_keeps_what_it_has(search, capsys, raises, says):
    search.raises = raises
    assert find_capacity(PLAN, LIMITS, Options(), Output()) == 2
    assert says in capsys.readouterr().err
    assert search.journal.done == ["a step", "closed"]


def test_a_run_that_is_refused_ends_the_search(search, capsys):
    search.result = Refused("too few files")
    assert find_capacity(PLAN, LIMITS, Options(), Output()) == 2
    assert "too few files" in capsys.readouterr().err
    assert search.journal.done == ["closed"]


def test_a_report_that_cannot_be_written_is_kept_in_the_journal(search, capsys):
    assert find_capacity(PLAN, LIMITS, Options(), Output(json="/dev/full")) == 2
    told = capsys.readouterr()
    assert told.out == "the summary\n"
    assert "what was measured is in the journal: loadgen recover" in told.err


def test_what_can_be_no_search_is_one_line(search, capsys):
    assert find_capacity(Plan(10, messages=5), LIMITS, Options(), Output()) == 2
    assert "--find-capacity sets the rate" in capsys.readouterr().err
    assert (search.runs, search.journal.done) == ([], [])


TWO_ROWS = """
from loadgen.scenario import rows, scenario

people = rows("people.csv")

@scenario
async def talker(user):
    people[user]
"""


@pytest.mark.parametrize(
    ("arrive", "wants"),
    [(2.0, None), (3.0, "people.csv has 2 rows for 3 users")],
    ids=["as many rows as users", "a row too few"],
)
def test_a_step_wants_a_row_for_each_of_its_users(tmp_path, arrive, wants):
    (tmp_path / "people.csv").write_text("name\nAda\nGrace\n")
    (tmp_path / "talker.py").write_text(TWO_ROWS)
    plan = Plan(10, arrive=arrive, duration_s=1.0, scenario=str(tmp_path / "talker.py"))
    found = _find_want(plan)
    assert found is None if wants is None else found.startswith(wants)


def test_a_step_without_a_scenario_wants_nothing():
    assert _find_want(PLAN) is None
