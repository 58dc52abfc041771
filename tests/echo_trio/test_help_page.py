"""What `--help` of both programs shows, and what a mistaken command line is told."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from echo_trio.help_page import MAX_WIDTH, NAME_WIDTH, HelpPage
from loadgen.cli.app import EPILOGUE
from loadgen.cli.load import COMMANDS
from loadgen.report import metrics

ROOT = Path(__file__).parents[2]
PROGRAMS = [["echo_trio"], ["loadgen"], *(["loadgen", command] for command in COMMANDS)]
#: What Python calls a value, and a user doesn't.
PYTHONIC = re.compile(
    r"\b(FLOAT|INT|BOOL|TUPLE|NONE)\b|--\S+ (PATH|STR)\b"
    r"|\[\(\)\]|\[(True|False|None)\]|--COUNT|--URL"
)


def run(*arguments: str, module: bool = True) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *(["-m"] if module else []), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@cache
def run_help(*program: str) -> subprocess.CompletedProcess[str]:
    return run(*program, "--help")


@pytest.mark.parametrize("program", PROGRAMS, ids=" ".join)
def test_help_fits_eighty_columns_and_names_values_as_users_write_them(program: list[str]) -> None:
    shown = run_help(*program)
    assert shown.returncode == 0
    assert not shown.stderr
    assert max(map(len, shown.stdout.splitlines())) <= 80
    assert not PYTHONIC.findall(shown.stdout)


#: What cyclopts takes for its help, whatever the program.
CYCLOPTS = "import cyclopts.help, cyclopts.config, docstring_parser, rich.console, runpy"
#: What `--help` of each program may import beside that. Each costs whoever only reads: what a run
#: or a server needs is imported when there is one.
MAY_IMPORT = {
    "echo_trio": re.compile(
        r"echo_trio(\.(cli|completion|config_file|contradictions|files|flags|help_page|masks|origins"
        r"|printable|proxies|proxy|proxy\.address|run_history|setting_sources|settings|units"
        r"|wire|wire\.addresses|wire\.limits))?"
        r"|_?heapq|difflib|gc|signal|_?string|tomllib(\._\w+)?"
    ),
    "loadgen": re.compile(
        r"echo_trio(\.(completion|files|flags|help_page|interrupts|masks|printable|units|wire"
        r"|wire\.addresses))?"
        r"|loadgen(\.(signals|workload(\.\w+)?"
        r"|cli(\.(app|command_help|destinations|load|options|output))?))?"
        r"|_?heapq|difflib|fcntl|gc|importlib\.(_abc|util)|select|signal"
    ),
}


def imported_by(*arguments: str) -> set[str]:
    lines = run("-X", "importtime", *arguments, module=False).stderr.splitlines()
    return {line.rpartition("|")[2].strip() for line in lines if line.startswith("import time:")}


def test_help_imports_only_what_defines_flags() -> None:
    cyclopts = imported_by("-c", CYCLOPTS)
    assert "cyclopts.core" in cyclopts
    for program, allowed in MAY_IMPORT.items():
        imported = imported_by("-m", program, "--help") - cyclopts
        assert f"{program}.__main__" not in imported  # It is run, not imported.
        assert {"echo_trio.flags", "echo_trio.help_page"} <= imported
        assert sorted(name for name in imported if not allowed.fullmatch(name)) == []


@pytest.mark.parametrize("program", PROGRAMS[:2], ids=" ".join)
def test_help_that_cannot_be_written_is_one_line(program: list[str]) -> None:
    command = [sys.executable, "-m", *program, "--help"]
    with open("/dev/full", "w") as full:  # noqa: PTH123 - a device
        told = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (told.returncode, told.stderr.count("\n")) == (2, 1)
    assert "can't write to stdout: No space left on device" in told.stderr


@pytest.mark.parametrize("program", PROGRAMS, ids=" ".join)
def test_help_ends_with_an_example_the_exit_codes_and_where_there_is_more(
    program: list[str],
) -> None:
    foot = run_help(*program).stdout.rpartition("\n\nExample: ")[2]
    assert " ".join(program) in foot.splitlines()[0]
    assert "Exit codes: 0 " in foot
    pages = re.findall(r"docs/[\w/-]+\.md", foot)
    assert pages
    assert all((ROOT / page).is_file() for page in pages)


def test_the_metrics_that_help_names_for_fail_if_exist() -> None:
    paragraph = EPILOGUE.partition("--fail-if takes ")[2].partition("\n\n")[0]
    named = re.findall(r"\b[a-z_]+\.[a-z0-9_.]+\b(?<!\.md)", paragraph)
    assert len(named) > 3
    assert [name for name in named if metrics.find(name) is None] == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        pytest.param(["comapre", "a.json"], "did you mean compare?", id="a command misspelt"),
        pytest.param(
            ["nosuch", "--help"], "there are compare, history, new, plan", id="help of no command"
        ),
        pytest.param(["--count", "10"], "COUNT has no flag", id="COUNT as a flag"),
        pytest.param(
            ["10", "--duration", "-1s"], "'-1s' is not a duration", id="negative duration"
        ),
        pytest.param(["10", "--rate", "-5/s"], "'-5/s' is not a rate", id="negative rate"),
        pytest.param(
            ["compare", "a.json"], "(see loadgen compare --help)", id="whose help to read"
        ),
    ],
)
def test_a_mistake_is_told_in_one_line_that_says_what_was_meant(
    arguments: list[str], told: str
) -> None:
    answer = run("loadgen", *arguments)
    assert answer.returncode == 2
    assert not answer.stdout
    assert answer.stderr.count("\n") == 1
    assert told in answer.stderr


class Paper:
    """A console of Rich's, as far as a page of help needs one."""

    def __init__(self, width: int, *, is_terminal: bool = False) -> None:
        self.width, self.is_terminal = width, is_terminal
        self.file = io.StringIO()
        self.bold: list[str] = []

    def print(self, line: str, **how: Any) -> None:
        assert how["style"] == "bold"
        self.bold.append(line)

    @property
    def lines(self) -> list[str]:
        return self.file.getvalue().split("\n")


def entry(name: str, text: str = "", **more: Any) -> SimpleNamespace:
    rest = {"positional_label": "", "positive_names": (name,), "positive_shorts": (),
            "negative_names": (), "default": None, "metavar": "", "choices": (),
            "description": text}  # fmt: skip
    return SimpleNamespace(**rest | more)


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (entry("--a", "Text."), ("--a", "Text.")),
        (entry("--a", "Text.", metavar="SIZE", default="64KiB"),
         ("--a SIZE", "Text. [64KiB]")),
        (entry("--a", "Text.", positive_shorts=("-a",)), ("--a, -a", "Text.")),
        (entry("--a", "Text.", negative_names=("--no-a",), default="True"),
         ("--no-a", "Text.")),
        (entry("--a", "Text.", negative_names=("--no-a",), default="False"),
         ("--a", "Text.")),
        (entry("--a", "Text.", choices=("x", "y"), default="x"),
         ("--a", "Text. One of x, y. [x]")),
        (entry("--a", "Text.", default="()"), ("--a", "Text.")),
        (entry("x", "Two\n words.", positional_label="COUNT"),
         ("COUNT", "Two words.")),
        (entry("--a"), ("--a", "")),
    ],
)  # fmt: skip
def test_an_entry_is_a_name_a_text_and_what_is_so_by_default(
    given: SimpleNamespace, shown: tuple[str, str]
) -> None:
    paper = Paper(80)
    HelpPage()(paper, None, SimpleNamespace(title="Group", entries=[given]))  # type: ignore[arg-type]
    name, text = shown
    assert paper.lines == ["Group:", f"  {name:<30}{text}".rstrip(), "", ""]


@pytest.mark.parametrize(("length", "has_its_own_line"), [(29, False), (30, True)])
def test_a_name_that_does_not_fit_has_a_line_of_its_own(
    length: int, has_its_own_line: bool
) -> None:
    paper = Paper(80)
    name = "--" + "a" * (length - 2)
    HelpPage()(paper, None, SimpleNamespace(title="G", entries=[entry(name, "Text.")]))  # type: ignore[arg-type]
    shown = [f"  {name}", " " * NAME_WIDTH + "Text."] if has_its_own_line else [f"  {name} Text."]
    assert paper.lines[1:] == [*shown, "", ""]


@pytest.mark.parametrize(
    ("width", "text_width"), [(20, 30), (62, 30), (63, 31), (80, 48), (100, 68), (200, 68)]
)
def test_text_is_wrapped_to_the_terminal_and_no_wider_than_can_be_read(
    width: int, text_width: int
) -> None:
    paper = Paper(width, is_terminal=True)
    words = "x " * 200
    HelpPage()(paper, None, SimpleNamespace(title="G", entries=[entry("--a", words)]))  # type: ignore[arg-type]
    assert paper.bold == ["G:"]
    texts = [line[NAME_WIDTH:] for line in paper.lines if line.strip()]
    assert max(map(len, texts)) == text_width - (text_width + 1) % 2
    assert "".join(texts).count("x") == 200
    page = Paper(width)
    HelpPage().render_description(page, None, words)  # type: ignore[arg-type]
    assert max(map(len, page.lines)) == min(width, MAX_WIDTH) - (min(width, MAX_WIDTH) + 1) % 2


def test_where_there_is_nothing_to_say_nothing_is_printed() -> None:
    paper, page = Paper(80), HelpPage()
    page(paper, None, SimpleNamespace(title="G", entries=[]))  # type: ignore[arg-type]
    page.render_usage(paper, None, None)  # type: ignore[arg-type]
    page.render_description(paper, None, None)  # type: ignore[arg-type]
    assert paper.lines == [""]
    page.render_usage(paper, None, SimpleNamespace(plain="Usage: loadgen COUNT "))  # type: ignore[arg-type]
    page.render_description(  # type: ignore[arg-type]
        paper, None, SimpleNamespace(primary_renderable=SimpleNamespace(markup="What for."))
    )
    assert paper.lines == ["Usage: loadgen COUNT", "", "What for.", "", ""]
