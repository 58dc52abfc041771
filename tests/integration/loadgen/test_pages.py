"""The commands, programs and manifests of the how-tos and tutorials, taken from the pages.

Each block of a page stands in one of the tables below: it is run here, run by another file's tests,
or checked without being run, for a reason. A block that nobody has looked at fails the first test.
"""

import ast
import os
import re
import shlex
import shutil
import subprocess
import sys
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import yaml
from cyclopts import CycloptsError
from markdown_it import MarkdownIt

from echo_trio import Settings, cli, serving_in_thread
from loadgen.cli import load

from .conftest import PATIENCE_S

ROOT = Path(__file__).parents[3]
PAGES = sorted((ROOT / "docs").glob("how-to/*.md")) + sorted((ROOT / "docs").glob("tutorial/*.md"))

OUTPUT = "shows what is printed"
OTHERS = "is another tool's"
NEEDS = "needs what is not here: "
#: By page and the first words of a block: the tests that run it, by their file in tests, or why it
#: is only checked.
BLOCKS = {
    "ci.md": {
        "jobs: test:": "integration/deploy/test_ci_page.py",
        "- run: >": "integration/loadgen/test_load_your_server.py",
        "jobs: load:": "integration/loadgen/test_ci.py",
        "load: image:": "integration/loadgen/test_ci.py",
        "pipeline {": "integration/loadgen/test_ci.py",
    },
    "cluster.md": {
        "pip install": NEEDS + "the wheel of a release; make release-check installs it",
        "dask ssh": NEEDS + "hosts with SSH",
        "scheduler-host$": "integration/loadgen/test_dask.py",
        "apiVersion: kubernetes.dask.org": NEEDS + "a cluster with Dask's operator",
        "#!/bin/sh #SBATCH": NEEDS + "Slurm",
    },
    "compare-runs.md": {"for i in 1 2 3;": "here"},
    "faults-in-front.md": {
        "python -m echo_trio --upstream ws": "here",
        "ws://127.0.0.1:8765/~delay": "lists URLs, whose faults the tests of behaviours try",
        "$ curl": "here",
        "connection ended": OUTPUT,
        "import pytest": "here",
        "python -m echo_trio --upstream wss": NEEDS + "chat.example",
    },
    "from-other-tools.md": {
        "from loadgen.scenario": "integration/loadgen/test_examples.py",
        "import ws from": OTHERS,
        "config: target:": OTHERS,
        "import json, time": OTHERS,
    },
    "history.md": {
        "python -m loadgen 1000": "here",
        "latency p99": OUTPUT,
        "sqlite3 runs.db": "here",
    },
    "load-your-server.md": {"python -m loadgen": "integration/loadgen/test_load_your_server.py"},
    "operate.md": {".venv/bin/python -m echo_trio": "here"},
    "scale-out.md": {
        "kill -TERM PID": "integration/deploy/test_scale_out.py",
        "sudo make deploy-check": NEEDS + "root",
    },
    "test-a-client.md": {
        "import": "integration/test_behaviours_documented.py",
        "------": OUTPUT,
        "ready ws=": OUTPUT,
        "python -m echo_trio --port 0": "integration/test_behaviours_documented.py",
    },
    "use-as-a-library.md": {
        "import trio from loadgen": "integration/loadgen/test_library.py",
        "async def test_the_service": "is a part of a test of somebody's own",
        "from echo_trio.wire": "here",
        "import trio from echo_trio": "echo_trio/testing/test_serving.py",
    },
    "first-run.md": {
        "make demo": NEEDS + "half a minute and ten thousand descriptors",
        "make serve": "is make's line for what operate.md starts",
        "from websockets.sync": "here",
        ".venv/bin/python -m loadgen 1000": "here",
    },
    "load-your-own-server.md": {
        "python -m loadgen new": "here",
        "from loadgen.scenario import User, check": "integration/loadgen/test_examples.py",
        "python -m loadgen record": "integration/loadgen/test_record.py",
        "python -m loadgen 1 wss": "here",
        "0.0213 s": OUTPUT,
        "from loadgen.scenario import User, rows": "is a part of the script before it",
        "python -m loadgen 1000": "integration/loadgen/test_examples.py",
    },
}  # fmt: skip


def blocks_of(page):
    """Yield the language of each block of a page, and its text."""
    for token in MarkdownIt("commonmark").parse(page.read_text()):
        if token.type in {"fence", "code_block"}:
            yield token.info.strip(), token.content


def find_row(page, text):
    words = " ".join(text.split())
    return [start for start in BLOCKS.get(page.name, {}) if words.startswith(start)]


def block(page, start):
    """Return the block of a page that begins with these words."""
    for folder in ("how-to", "tutorial"):
        with suppress(FileNotFoundError):
            path = ROOT / "docs" / folder / page
            return next(
                text for _, text in blocks_of(path) if " ".join(text.split()).startswith(start)
            )
    raise LookupError(page)


def test_each_block_of_the_pages_is_run_or_says_why_it_is_not():
    used = set()
    for page in PAGES:
        for _, text in blocks_of(page):
            rows = find_row(page, text)
            assert rows, f"{page.name}: nobody runs, and nobody says why not:\n{text}"
            start = max(rows, key=len)
            used.add((page.name, start))
            where = BLOCKS[page.name][start]
            assert not where.endswith(".py") or (ROOT / "tests" / where).exists(), where
    assert used == {(page, start) for page, starts in BLOCKS.items() for start in starts}


#: The words of a command line up to what is the shell's.
SHELL = re.compile(r"^(\|\|?|&&?|;|\d?[<>].*|done;?|#.*)$")
COMMAND = re.compile(r"(?:^|[\s;(])(?:\S*python3? -m )?(loadgen|echo_trio) (?=[-\w\"'$])(.*)")


def commands_of(text):
    """Yield program and arguments of each command line of ours in a block."""
    joined = re.sub(r"\\\n\s*", " ", text)
    for line in joined.splitlines():
        if (found := COMMAND.search(line)) is None or "import" in line.split()[:1]:
            continue
        arguments = []
        lexer = shlex.shlex(found[2], posix=True, punctuation_chars=";")
        lexer.whitespace_split = True
        for word in lexer:
            if SHELL.match(word):
                break
            arguments.append(word)
        yield found[1], arguments


def parse(program, arguments):
    app = cli.app if program == "echo_trio" else load.app
    with suppress(SystemExit):
        app.parse_args(arguments, exit_on_error=False, print_error=False)


ALL = [
    pytest.param(program, arguments, id=f"{page.stem}-{' '.join([program, *arguments])[:60]}")
    for page in PAGES
    for language, text in blocks_of(page)
    if language not in {"yaml", "python", "js", "javascript", "text"}
    for program, arguments in commands_of(text)
]


def test_there_are_commands_to_read():
    assert len(ALL) >= 20


@pytest.mark.parametrize(("program", "arguments"), ALL)
def test_each_command_line_is_one_that_the_program_takes(program, arguments):
    words = ["ws://127.0.0.1:1/" if "$YOUR_URL" in word else word for word in arguments]
    try:
        parse(program, words)
    except (CycloptsError, ValueError) as exc:
        pytest.fail(f"{program} {shlex.join(arguments)}: {exc}")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_is_not_run_can_at_least_be_read(page, tmp_path):
    for language, text in blocks_of(page):
        if language == "python":
            ast.parse(text)
        elif language == "yaml":
            assert list(yaml.safe_load_all(text))
        elif language in {"js", "javascript"} and (node := shutil.which("node")):
            (tmp_path / "program.mjs").write_text(text)
            subprocess.run([node, "--check", tmp_path / "program.mjs"], check=True)
        elif language == "sh":
            subprocess.run(["bash", "-n"], input=text, text=True, check=True)


# -- Run here -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server():
    with serving_in_thread(Settings(port=0)) as server:
        yield server


@pytest.fixture
def shell(tmp_path, server):
    """Run a block in a shell, with what it needs to be short put in the place of what it says."""
    (tmp_path / "bin").mkdir()
    for name in ("python", "python3"):
        program = tmp_path / "bin" / name
        program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n')
        program.chmod(0o755)

    def run(text, changes, *, check=True):
        for before, after in changes.items():
            assert before in text, before
            text = text.replace(before, after)
        path = f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"
        return subprocess.run(
            ["bash", "-e", "-c", text],
            cwd=tmp_path,
            env={**os.environ, "PATH": path, "YOUR_URL": server.url, "COLUMNS": "100"},
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=check,
        )

    return run


@pytest.mark.examples
def test_compare_runs(shell, server, tmp_path):
    run = shell(
        block("compare-runs.md", "for i in 1 2 3;"),
        {"loadgen 1000": f"loadgen 5 {server.url} --duration 300ms"},
        check=False,
    )
    assert len(list(tmp_path.glob("*-[123].json"))) == 6
    # Two sides of one server: worse only by chance.
    assert run.returncode in {0, 1}, run.stderr
    assert "(3 runs before, 3 after)" in run.stdout


@pytest.mark.examples
def test_a_history(shell):
    begun = block("history.md", "python -m loadgen 1000")
    run = shell(begun, {"loadgen 1000": "loadgen 5", "1m": "300ms"})
    assert "nightly" in run.stdout
    asked = shell(block("history.md", "sqlite3 runs.db"), {"sqlite3 runs.db": ASK_SQLITE})
    assert asked.stdout.count("\n") == 1


#: The tool may be missing; Python has the same inside.
ASK_SQLITE = (
    "python -c 'import sqlite3, sys; "
    '[print(row) for row in sqlite3.connect("runs.db").execute(sys.argv[1])]\''
)


def test_the_first_runs_commands(shell, server, nobody):
    run = shell(
        block("first-run.md", ".venv/bin/python -m loadgen 1000"),
        {".venv/bin/python": "python", "1000": f"5 {server.url}", "30s": "300ms"},
    )
    assert "5 opened" in run.stdout
    program = block("first-run.md", "from websockets.sync")
    said = shell(f"python - <<'END'\n{program}END", {"ws://127.0.0.1:8765/": server.url}).stdout
    assert re.fullmatch(r"hello \d{1,6}\n", said)
    page = (ROOT / "docs/tutorial/first-run.md").read_text()
    (alone,) = re.findall(r"`(\.venv/bin/python -m loadgen 100)` with no server at all", page)
    run = shell(
        alone,
        {".venv/bin/python": "python", "100": f"100 ws://127.0.0.1:{nobody}/"},
        check=False,
    )
    assert (run.returncode, run.stderr.count("no socket could be opened")) == (69, 1)


@pytest.mark.examples
def test_a_scenario_is_begun_and_watched(shell, server):
    shell(block("load-your-own-server.md", "python -m loadgen new"), {})
    run = shell(
        block("load-your-own-server.md", "python -m loadgen 1 wss"),
        {"wss://chat.example": server.url, "5s": "2s"},
        check=False,
    )
    # The script that `new` writes is for a server of its own, so only the frames count here.
    assert re.search(r"\d s → request", run.stderr), run.stderr


@pytest.mark.examples
def test_the_servers_of_the_pages_start_do_as_they_say_and_stop(shell, server):
    own, upstream = {".venv/bin/python": "python"}, {"ws://127.0.0.1:9000": server.url.rstrip("/")}
    with begin(block("operate.md", ".venv/bin/python -m echo_trio"), own):
        pass
    start = block("faults-in-front.md", "python -m echo_trio --upstream ws")
    with begin(start, upstream) as console:
        *steps, end = block("faults-in-front.md", "$ curl").split("$ ")[1:]
        for step in (*steps, end):
            command, answer = step.splitlines()
            ran = shell(command, {"http://127.0.0.1:8766/": console})
            assert ran.stdout.strip() == answer


@pytest.mark.examples
def test_a_proxy_in_a_test(shell, server, tmp_path):
    test = block("faults-in-front.md", "import pytest")
    test = test.replace("ws://127.0.0.1:9000", server.url.rstrip("/")).replace("/chat", "/plain")
    (tmp_path / "test_page.py").write_text(test)
    flags = "-q -p no:cacheprovider -p no:asyncio --import-mode=importlib"
    assert "1 passed" in shell(f"python -m pytest {flags} .", {}).stdout


@contextmanager
def begin(command, changes):
    """Run a server as a page says, but on free ports; yield its console's URL."""
    for before, after in changes.items():
        command = command.replace(before, after)
    words = [sys.executable, *shlex.split(command)[1:], "--port", "0", "--console-port", "0"]
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            ready = re.fullmatch(r"ready ws=ws://\S+ console=(\S+)\n", process.stdout.readline())
            yield ready[1]
        finally:
            process.terminate()
            code = process.wait(timeout=PATIENCE_S)
    assert code == 0


def test_what_a_library_leaves_to_its_user():
    """In a process of its own: it changes limits and the collector."""
    program = block("use-as-a-library.md", "from echo_trio.wire")
    subprocess.run([sys.executable, "-c", program], check=True, timeout=PATIENCE_S)


def test_each_test_that_the_page_of_bug_reports_names_is_there():
    page = (ROOT / "docs/explanation/bug-reports.md").read_text()
    named = set(re.findall(r"`(test_[a-z0-9_]+)`", page))
    assert len(named) > 30
    files = (ROOT / "tests").rglob("test_*.py")
    there = {name for file in files for name in re.findall(r"def (test_\w+)", file.read_text())}
    assert named - there == set()
