"""What `--help` of both programs shows, and what a mistaken command line is told."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

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


@pytest.mark.parametrize("program", PROGRAMS, ids=" ".join)
def test_help_fits_eighty_columns_and_names_values_as_users_write_them(program: list[str]) -> None:
    shown = run(*program, "--help")
    assert shown.returncode == 0
    assert not shown.stderr
    assert max(map(len, shown.stdout.splitlines())) <= 80
    assert not PYTHONIC.findall(shown.stdout)


@pytest.mark.parametrize("program", PROGRAMS[:2], ids=" ".join)
def test_help_imports_nothing_that_only_a_server_or_a_run_needs(program: list[str]) -> None:
    imported = run("-X", "importtime", "-m", *program, "--help", module=False).stderr
    names = {line.rpartition("|")[2].strip() for line in imported.splitlines()}
    assert "cyclopts" in names
    heavy = {"trio", "websockets", "asyncio", "echo_trio.wire.frames", "jsonschema", "msgspec"}
    assert not names & heavy


@pytest.mark.parametrize("program", PROGRAMS, ids=" ".join)
def test_help_ends_with_an_example_the_exit_codes_and_where_there_is_more(
    program: list[str],
) -> None:
    foot = run(*program, "--help").stdout.rpartition("\n\nExample: ")[2]
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
        pytest.param(["nosuch", "--help"], "there are compare, new, plan", id="help of no command"),
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


def test_help_is_shown_without_importing_what_runs_a_load() -> None:
    heavy = ["trio", "loadgen.engine.engine", "loadgen.report.text", "prometheus_client"]
    code = (
        "import sys\nfrom loadgen.cli import load\n"
        "try: load.main(['--help'])\nexcept SystemExit: pass\n"
        f"sys.exit(' '.join(name for name in {heavy} if name in sys.modules) or 0)"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert shown.returncode == 0, shown.stderr
