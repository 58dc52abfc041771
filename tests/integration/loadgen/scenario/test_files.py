"""A scenario's file: what is wrong with it is one line, told before any socket opens."""

import textwrap

import pytest

from echo_trio.forks.starter import Starter
from loadgen.cli import load
from loadgen.processes.coordinator import Coordinator
from loadgen.processes.local import SHARD, Processes
from loadgen.scenario import engine, loader
from loadgen.scenario.errors import BadScenario
from loadgen.workload.lever import BadChange, Wanted
from loadgen.workload.plan import Plan

HEAD = "from loadgen.scenario import User, rows, scenario\n"
GOOD = "@scenario\nasync def talk(user: User) -> None: pass\n"
PACED = (
    "@scenario\nasync def talk(user: User) -> None:\n    async for _ in user.pace('1/s'): pass\n"
)


@pytest.fixture(autouse=True)
def beside(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "three.csv").write_text("name,token\na,1\nb,2\nc,3\n")
    (tmp_path / "torn.csv").write_text("name,token\na,1\nb\n")
    (tmp_path / "torn.jsonl").write_text('{"name": "a"}\n{"name": \n')
    return tmp_path


WRONG = {
    "syntax": (HEAD + "async def talk(:\n", (), "chat.py:2: invalid syntax"),
    "import": (HEAD + "\nimport no_such_module\n", (), "chat.py:3: ModuleNotFoundError"),
    "raises": (HEAD + "def f(): return 1 / 0\nf()\n" + GOOD, (), "chat.py:2: ZeroDivisionError"),
    "exits": (HEAD + "raise SystemExit(0)\n", (), "chat.py:2: it exits"),
    "none": (HEAD + "async def talk(user): pass\n", (), "has no scenario: write @scenario"),
    "name": (HEAD + GOOD, (":tolk",), "has no scenario 'tolk': there is talk"),
    "sync": (HEAD + "@scenario\ndef talk(user): pass\n", (), "chat.py:2: talk has to be async"),
    "signature": (
        HEAD + "@scenario\nasync def talk(): pass\n",
        (),
        "chat.py:2: talk has to take the user",
    ),
    "weight": (
        HEAD + "@scenario(weight=0)\nasync def talk(user): pass\n",
        (),
        "chat.py:2: weight=0",
    ),
    "too few rows": (
        HEAD + "people = rows('three.csv')\n" + GOOD,
        (),
        "three.csv has 3 rows for 5",
    ),
    "no rows": (HEAD + "people = rows('none.csv')\n" + GOOD, (), "chat.py:2: none.csv: No such"),
    "torn rows": (HEAD + "people = rows('torn.csv')\n" + GOOD, (), "torn.csv line 3 has 1 values"),
    "torn json": (HEAD + "x = rows('torn.jsonl')\n" + GOOD, (), "torn.jsonl line 2 is no JSON"),
    "arrive": (HEAD + PACED, ("", "--arrive", "5/s"), "--arrive begins users who leave again"),
    "verify": (HEAD + GOOD, ("", "--verify", "exact"), "--verify and --scenario both say"),
    "rate": (HEAD + GOOD, ("", "--rate", "5/s"), "--rate and --scenario both say"),
    "trace": (HEAD + GOOD, ("", "--trace"), "--trace goes with --scenario, one user"),
}


@pytest.mark.parametrize(("script", "given", "said"), WRONG.values(), ids=list(WRONG))
def test_what_is_wrong_with_a_script_is_one_line_and_exit_code_2(
    beside, capsys, script, given, said
):
    (beside / "chat.py").write_text(script)
    name, *more = given or ("",)
    # Nothing listens there: whatever tried to connect would say so.
    code = load.main(["5", "ws://127.0.0.1:1/", "--scenario", f"chat.py{name}", *more])
    out, err = capsys.readouterr()
    assert code == 2
    assert said in err
    assert "Traceback" not in err
    assert not out
    assert len(err.splitlines()) <= 2  # the second points at --help


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--scenario", "none.py"], "can't read --scenario none.py: No such file"),
        (["--arrive", "5/s"], "--arrive goes with --scenario"),
        (["--trace"], "--trace goes with --scenario"),
        (["--fail-if", "steps.say.lost>0"], "needs --scenario"),
    ],
)
def test_flags_that_need_a_scenario_say_so(capsys, given, said):
    assert load.main(["5", "ws://127.0.0.1:1/", *given]) == 2
    assert said in capsys.readouterr().err


def test_weights_are_kept_among_any_users_in_a_row(beside):
    script = HEAD + textwrap.dedent(
        """
        @scenario(weight=6)
        async def many(user: User) -> None: pass

        @scenario(weight=2)
        async def few(user: User) -> None: pass
        """
    )
    (beside / "chat.py").write_text(script)
    loaded = loader.load("chat.py")
    names = [loaded.of(number).name for number in range(40)]
    for first in range(36):
        assert names[first : first + 4].count("few") == 1
    assert loader.load("chat.py:few").of(7).name == "few"


def test_a_script_and_its_rows_are_the_same_from_the_bytes_that_were_sent(beside):
    (beside / "chat.py").write_text(
        HEAD + "people = rows('three.csv')\nshared = rows('three.csv', shared=True)\n" + GOOD
    )
    here = loader.load("chat.py")
    for file in beside.iterdir():
        file.unlink()
    there = loader.load("chat.py", here.files)
    assert [each.name for each in there.rows] == ["three.csv", "three.csv"]
    assert there.rows[0][2].token == there.rows[0][2]["token"] == "3"
    with pytest.raises(AttributeError, match="there are name, token"):
        there.rows[0][2].nme  # noqa: B018
    with pytest.raises(BadScenario):
        there.check_rows(4)


def test_the_rows_bound_the_users_of_a_load_that_is_changed_in_one_process_and_in_many(beside):
    # The fewest count, and those that users share do not.
    (beside / "two.csv").write_text("name,token\na,1\nb,2\n")
    files = "a = rows('three.csv')\nb = rows('two.csv')\nc = rows('torn.jsonl', shared=True)\n"
    (beside / "torn.jsonl").write_text('{"name": "a"}\n')
    (beside / "chat.py").write_text(HEAD + files + GOOD)
    plan = engine.prepare(Plan(5, scenario="chat.py", arrive=1.0, duration_s=2.0))
    for run in (engine.make_engine(plan), Coordinator(plan, Processes(2, Starter(SHARD)))):
        with pytest.raises(BadChange, match=r"two\.csv has 2 rows for 4 users"):
            run.lever.pull(Wanted(factor=2.0), t_s=0.0, load_s=0.0)


def test_a_new_scenario_is_written_once_and_loads(beside, capsys):
    assert load.main(["new", "mine.py"]) == 0
    written = (beside / "mine.py").read_text()
    assert loader.load("mine.py").of(0).name == "talker"
    assert load.main(["new", "mine.py"]) == 2
    assert "is there already" in capsys.readouterr().err
    assert (beside / "mine.py").read_text() == written
    assert load.main(["new", "mine.txt"]) == 2
