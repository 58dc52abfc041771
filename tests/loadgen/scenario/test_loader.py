"""A script is loaded from its file or from bytes, and an error in it is told with file and line."""

from __future__ import annotations

import linecache
import sys
from pathlib import Path

import pytest

from loadgen.scenario import loader
from loadgen.scenario.errors import BadScenario, TooFewRows
from loadgen.scenario.rows import LOADING
from loadgen.workload.plan import Plan

HEAD = "from loadgen.scenario import rows, scenario\n"
CHAT = "@scenario\nasync def chat(user): pass\n"


def load(body: str, name: str = "", **files: bytes) -> loader.Script:
    """Load a script that came with a plan, and the files of its rows."""
    own = ("s.py", (HEAD + body).encode())
    others = ((f"{stem}.csv", content) for stem, content in files.items())
    return loader.load(f"s.py:{name}" if name else "s.py", (own, *others))


def names(script: loader.Script) -> list[str]:
    return [each.name for each in script.scenarios]


@pytest.mark.parametrize(
    ("setting", "parts"),
    [
        ("chat.py", ("chat.py", None)),
        ("chat.py:talk", ("chat.py", "talk")),
        ("a:b/chat.py", ("a:b/chat.py", None)),
        ("C:chat.py:talk", ("C:chat.py", "talk")),
        ("chat.py:", ("chat.py:", None)),
        ("chat.py:two words", ("chat.py:two words", None)),
    ],
)
def test_a_setting_is_a_file_and_the_name_behind_its_last_colon(
    setting: str, parts: tuple[str, str | None]
) -> None:
    assert loader.split(setting) == parts


def test_scenarios_are_those_that_are_marked_in_their_order_each_once() -> None:
    script = load("""
async def helper(user): pass
@scenario(weight=2)
async def second(user): await user.ready()
@scenario
async def first(user): await user.sleep(1)
alias = second
""")
    assert names(script) == ["second", "first"]
    assert [each.weight for each in script.scenarios] == [2, 1]
    # Users take turns by weight, over and over.
    turns = [script.of(number).name for number in range(6)]
    assert turns[:3] == turns[3:]
    assert sorted(turns[:3]) == ["first", "second", "second"]
    assert script.file == "s.py"


def test_one_scenario_may_be_asked_for_by_any_of_its_names_marked_or_not() -> None:
    body = CHAT + "async def plain(user): pass\nalias = chat\n"
    for name in ("chat", "plain", "alias"):
        assert names(load(body, name)) == [name]
    assert load(body, "plain").scenarios[0].weight == 1


@pytest.mark.parametrize(
    ("first", "second", "are_journeys", "has_pace"),
    [
        ("pass", "pass", True, False),
        ("pass", "await user.ready()", False, False),
        ("async for due in user.pace(1): pass", "pass", False, True),
        ("await user.ready()", "await user.ready()", False, False),
    ],
)
def test_a_script_is_of_journeys_if_all_are_and_has_a_pace_if_one_has(
    first: str, second: str, are_journeys: bool, has_pace: bool
) -> None:
    script = load(
        f"@scenario\nasync def a(user):\n    {first}\n@scenario\nasync def b(user):\n    {second}\n"
    )
    assert (script.are_journeys, script.has_pace) == (are_journeys, has_pace)
    assert script.make_lever(Plan(1, scenario="s.py")).unit == ("factor" if has_pace else None)


def test_the_shortest_file_of_rows_that_are_not_shared_bounds_the_users() -> None:
    script = load(
        'rows("long.csv"), rows("short.csv"), rows("shared.csv", shared=True)\n' + CHAT,
        long=b"a\n1\n2\n3\n4\n", short=b"a\n1\n2\n3\n", shared=b"a\n1\n",
    )  # fmt: skip
    assert script.own_rows == ("short.csv", 3)
    assert [rows.name for rows in script.rows] == ["long.csv", "short.csv", "shared.csv"]
    script.check_rows(3)
    with pytest.raises(TooFewRows, match=r"short\.csv has 3 rows for 4 users"):
        script.check_rows(4)
    arriving = Plan(1, scenario="s.py", arrive=1.0, duration_s=3.0)
    assert script.make_lever(arriving)._rows == script.own_rows
    without = load('rows("shared.csv", shared=True)\n' + CHAT, shared=b"a\n1\n")
    assert without.own_rows is None
    without.check_rows(10**6)


def test_from_its_files_a_script_can_be_loaded_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "s.py").write_text(HEAD + 'names = rows("n.csv")\n' + CHAT)
    (tmp_path / "n.csv").write_bytes(b"name\nana\n")
    setting = str(tmp_path / "s.py")
    script = loader.load(setting)
    assert [name for name, _ in script.files] == [setting, "n.csv"]
    for path in tmp_path.iterdir():
        path.unlink()
    loader._load.cache_clear()
    again = loader.load(setting, script.files)
    assert (names(again), again.files) == (["chat"], script.files)
    assert [row.name for row in again.rows[0]] == ["ana"]


def test_a_script_imports_what_is_beside_it_and_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "beside_it.py").write_text("VALUE = 7\n")
    before = list(sys.path)
    good = tmp_path / "good.py"
    good.write_text(HEAD + "import beside_it\nassert beside_it.VALUE == 7\n" + CHAT)
    bad = tmp_path / "bad.py"
    bad.write_text(HEAD + "import beside_it\nraise KeyError('x')\n")
    try:
        assert names(loader.load(str(good))) == ["chat"]
        assert (sys.path, LOADING.get()) == (before, None)
        with pytest.raises(BadScenario, match=r"bad\.py:3: KeyError: 'x'$"):
            loader.load(str(bad))
        assert (sys.path, LOADING.get()) == (before, None)
    finally:
        sys.modules.pop("beside_it", None)


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("def f(:\n", "s.py:2: invalid syntax"),
        ("\nraise ValueError('no   such\\nthing')\n", "s.py:3: no such thing"),
        ("raise ValueError\n", "s.py:2: ValueError"),
        ("def f(): raise KeyError(1)\nf()\n", "s.py:2: KeyError: 1"),  # where it was raised
        ("import json\njson.loads('{')\n", "s.py:3: Expecting property name"),
        ("open('/nowhere/at-all')\n", "s.py:2: at-all: No such file or directory"),
        ("raise SystemExit(1)\n", "s.py:2: it exits while it is loaded"),
        ("async def f(user): pass\n", "s.py has no scenario: write @scenario"),
        ("@scenario\ndef chat(user): pass\n", "s.py:2: chat has to be async"),
        ("@scenario\nasync def chat(): pass\n", "s.py:2: chat has to take the user and nothing"),
        ("@scenario\nasync def chat(u, v): pass\n", "s.py:2: chat has to take the user"),
        ("@scenario\nclass Chat:\n    pass\n", "s.py: Chat is no function"),
    ],
)
def test_an_error_is_one_line_with_the_place_in_the_script(body: str, problem: str) -> None:
    with pytest.raises(BadScenario) as caught:
        load(body)
    assert str(caught.value).startswith(problem)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("body", "name", "problem"),
    [
        (CHAT, "chatt", "s.py has no scenario 'chatt': there is chat"),
        (CHAT + CHAT.replace("chat", "chats"), "chatz", "there is chat"),
        (CHAT + CHAT.replace("chat", "buy"), "zzzz", "'zzzz': there is chat, buy"),
        ("", "chat", "s.py has no scenario 'chat'"),
        ("value = 7\n", "value", "s.py: value is no function"),
    ],
)
def test_of_a_name_that_is_none_the_nearest_are_told(body: str, name: str, problem: str) -> None:
    with pytest.raises(BadScenario) as caught:
        load(body, name)
    assert str(caught.value).endswith(problem)


def test_an_error_in_what_a_script_imports_is_told_with_its_own_file(tmp_path: Path) -> None:
    (tmp_path / "its_helper.py").write_text("\n\nx = (\n")
    script = tmp_path / "s.py"
    script.write_text(HEAD + "import its_helper\n" + CHAT)
    with pytest.raises(BadScenario, match=r"^its_helper\.py:3: "):
        loader.load(str(script))
    script.write_text(HEAD + "x = (\n")
    with pytest.raises(BadScenario, match=rf"^{script}:2: "):
        loader.load(str(script))


def test_the_lines_of_a_script_without_a_file_are_known_to_tracebacks() -> None:
    load(CHAT)
    shown = [linecache.getline(str(Path("s.py").absolute()), number) for number in (1, 2, 4)]
    assert shown == [HEAD, "@scenario\n", ""]


def test_what_wraps_a_scenario_is_told_by_the_line_of_what_it_wraps() -> None:
    wrap = """
import functools
def wrap(function):
    @functools.wraps(function)
    async def wrapped(user): await function(user)
    return wrapped
"""
    assert names(load(wrap + "@scenario\n@wrap\nasync def chat(user): pass\n")) == ["chat"]
    with pytest.raises(BadScenario, match=r"s\.py:8: chat has to be async"):
        load(wrap + "@scenario\n@wrap\ndef chat(user): pass\n")


@pytest.mark.parametrize(("name", "hint"), [("none.py", False), ("none.txt", True), ("chat", True)])
def test_a_file_that_cant_be_read_is_told_and_that_a_scenario_is_python(
    tmp_path: Path, name: str, hint: bool
) -> None:
    with pytest.raises(BadScenario, match="No such file") as caught:
        loader.load(str(tmp_path / name))
    assert ("write one with loadgen new" in str(caught.value)) is hint


def test_a_script_that_is_too_long_is_not_read_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, content = tmp_path / "s.py", (HEAD + CHAT).encode()
    path.write_bytes(content)
    monkeypatch.setattr(loader, "MAX_BYTES", len(content))
    assert names(loader.load(str(path))) == ["chat"]
    path.write_bytes(content + b"#")
    with pytest.raises(BadScenario):
        loader.load(str(path))
