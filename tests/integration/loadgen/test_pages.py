"""The commands, programs and manifests of all documents, taken from the pages.

Each block of a page is listed in pages.toml: it is run here, run by another file's tests, or read
without being run, for a reason. A block that nobody has looked at fails the first test.
"""

import ast
import asyncio
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
import tomllib
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

import pytest
import yaml
from cyclopts import CycloptsError
from markdown_it import MarkdownIt

from echo_trio import Settings, cli, serving_in_thread
from loadgen.cli import load

from .conftest import PATIENCE_S

ROOT = Path(__file__).parents[3]
#: What is read: each document, and the files of docs/deploy for the commands in their comments.
PAGES = sorted(
    page
    for pattern in ("*.md", "docs/**/*.md", "docs/deploy/*", "examples/**/README.md", "bench*/*.md")
    for page in ROOT.glob(pattern)
    if "node_modules" not in page.parts  # those of the examples' servers
)
#: By page and the first words of a block: the test that runs it, or why it is only read.
BLOCKS = tomllib.loads(Path(__file__).with_name("pages.toml").read_text())
HERE = "here"


#: In the reference of scenarios; `scripts/scenario_reference.py` writes them.
SIGNATURE = re.compile(r"(async )?\w+\(.*\) -> .*\n")


def name_of(page):
    return str(page.relative_to(ROOT))


def blocks_of(page):
    """Yield the language of each block of a page, and its text; of others, what is in comments."""
    if page.suffix != ".md":
        comments = re.findall(r"^#   +(.+)$", page.read_text(), re.MULTILINE)
        yield from [("sh", "\n".join(comments))] if comments else []
        return
    for token in MarkdownIt("commonmark").parse(page.read_text()):
        if token.type in {"fence", "code_block"} and not SIGNATURE.fullmatch(token.content):
            yield token.info.strip(), token.content


def find_row(page, text):
    words = " ".join(text.split())
    return [start for start in BLOCKS.get(name_of(page), {}) if words.startswith(start)]


def block(page, start):
    """Return the block of a page in docs, or beside it, that begins with these words."""
    path = ROOT / ("" if page == "README.md" else "docs") / page
    return next(text for _, text in blocks_of(path) if " ".join(text.split()).startswith(start))


def test_each_block_of_the_pages_is_run_or_says_why_it_is_not():
    used, own = set(), Path(__file__).read_text()
    for page in PAGES:
        for _, text in blocks_of(page):
            rows = find_row(page, text)
            assert rows, f"{page}: nobody runs, and nobody says why not:\n{text}"
            start = max(rows, key=len)
            used.add((name_of(page), start))
            where = BLOCKS[name_of(page)][start]
            if where == HERE:
                name = name_of(page).removeprefix("docs/")
                begun = re.findall(rf'block\(\s*"{re.escape(name)}",\s*(?:"(.*?)"|\'(.*?)\')', own)
                assert any(start.startswith(one or two) for one, two in begun), (name, start)
            else:
                assert not where.startswith("tests/") or (ROOT / where).exists(), where
    assert used == {(page, start) for page, starts in BLOCKS.items() for start in starts}


def test_each_target_of_make_that_a_document_names_is_there():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {
        (name_of(page), target)
        for page in PAGES
        for target in re.findall(r"(?:`|^ {4}|sudo )make ([a-z-]+)", page.read_text(), re.MULTILINE)
    }
    assert len(named) > 20
    assert [(page, target) for page, target in named if target not in targets] == []


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


#: In single backquotes: a command line, not the name of a command or flag, nor a form with a gap.
INLINE = re.compile(
    r"(\S*python3? -m |\S*bin/)?(loadgen|echo_trio) (?!(--)?[\w-]+$)(?!.*(…|\[|FILE|URL)).+"
)


def command_lines_of(page):
    """Yield the command lines of ours in a page's blocks, and in its text."""
    for language, text in blocks_of(page):
        if language not in {"yaml", "python", "js", "javascript"} and "[FILE]" not in text:
            asked = re.findall(r"^\$ (.*)$", text, re.MULTILINE)  # What follows them is output.
            yield from commands_of("\n".join(asked) or text)
    if page.suffix == ".md" and page.name != "CHANGELOG.md":
        for token in MarkdownIt("commonmark").enable("table").parse(page.read_text()):
            for part in token.children or ():
                if part.type == "code_inline" and INLINE.fullmatch(part.content):
                    yield from commands_of(part.content)


def test_each_command_line_is_one_that_the_program_takes():
    read, refused = 0, []
    for page in PAGES:
        for program, arguments in command_lines_of(page):
            words = ["ws://127.0.0.1:1/" if "$YOUR_URL" in word else word for word in arguments]
            read += 1
            try:
                parse(program, words)
            except (CycloptsError, ValueError) as exc:
                refused.append(f"{name_of(page)}: {program} {shlex.join(arguments)}: {exc}")
    assert read > 40
    # A mistake that the page shows.
    assert [each for each in refused if "latency.p9>" not in each] == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_what_is_not_run_can_at_least_be_read(page, tmp_path):
    for language, text in blocks_of(page):
        if language == "python":
            ast.parse(text)
        elif language == "toml":
            assert tomllib.loads(text)
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
        block("how-to/compare-runs.md", "for i in 1 2 3;"),
        {"loadgen 1000": f"loadgen 5 {server.url} --duration 300ms"},
        check=False,
    )
    assert len(list(tmp_path.glob("*-[123].json"))) == 6
    # Two sides of one server: worse only by chance.
    assert run.returncode in {0, 1}, run.stderr
    assert "(3 runs before, 3 after)" in run.stdout


@pytest.mark.examples
def test_a_history(shell):
    begun = block("how-to/history.md", "python -m loadgen 1000")
    run = shell(begun, {"loadgen 1000": "loadgen 5", "1m": "300ms"})
    assert "nightly" in run.stdout
    asked = shell(block("how-to/history.md", "sqlite3 runs.db"), {"sqlite3 runs.db": ASK_SQLITE})
    assert asked.stdout.count("\n") == 1


#: The tool may be missing; Python has the same inside.
ASK_SQLITE = (
    "python -c 'import sqlite3, sys; "
    '[print(row) for row in sqlite3.connect("runs.db").execute(sys.argv[1])]\''
)


def test_the_first_runs_commands(shell, server, nobody):
    run = shell(
        block("tutorial/first-run.md", ".venv/bin/python -m loadgen 1000"),
        {".venv/bin/python": "python", "1000": f"5 {server.url}", "30s": "300ms"},
        check=False,
    )
    assert run.returncode in {0, 3}, run.stderr  # 3: a busy machine set the figures
    assert "5 opened" in run.stdout
    program = block("tutorial/first-run.md", "from websockets.sync")
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
    shell(block("tutorial/load-your-own-server.md", "python -m loadgen new"), {})
    run = shell(
        block("tutorial/load-your-own-server.md", "python -m loadgen 1 wss"),
        {"wss://chat.example": server.url, "5s": "2s"},
        check=False,
    )
    # The script that `new` writes is for a server of its own, so only the frames count here.
    assert re.search(r"\d s → request", run.stderr), run.stderr


@pytest.mark.examples
def test_the_servers_of_the_pages_start_do_as_they_say_and_stop(shell, server):
    own, upstream = {".venv/bin/python": "python"}, {"ws://127.0.0.1:9000": server.url.rstrip("/")}
    with begin(block("how-to/operate.md", ".venv/bin/python -m echo_trio"), own):
        pass
    start = block("how-to/faults-in-front.md", "python -m echo_trio --upstream ws")
    with begin(start, upstream) as console:
        *steps, end = block("how-to/faults-in-front.md", "$ curl").split("$ ")[1:]
        for step in (*steps, end):
            command, answer = step.splitlines()
            ran = shell(command, {"http://127.0.0.1:8766/": console})
            assert ran.stdout.strip() == answer


@pytest.mark.examples
def test_a_proxy_in_a_test(shell, server, tmp_path):
    test = block("how-to/faults-in-front.md", "import pytest")
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


@pytest.mark.examples
def test_the_requests_of_the_consoles_page(shell):
    """The answers of a server that has carried nothing have the keys that the page shows."""

    def ask(request):
        asked, *shown = request.removeprefix("$ ").splitlines()
        changes = {"http://127.0.0.1:8766/": console} | {
            old: new for old, new in of_this_run.items() if old in asked
        }
        answer = shell(asked, changes).stdout
        keys = set(re.findall(r'"(\w+)":', "".join(shown)))
        assert keys <= set(re.findall(r'"(\w+)":', answer)), answer
        return json.loads(answer) if answer else None

    of_this_run = {'"count": 1000, "duration": "10s"': '"count": 2, "duration": "1h"'}
    with begin("python -m echo_trio", {}) as console:
        server = ask(block("reference/console.md", "$ curl -s http://127.0.0.1:8766/api/server"))
        tasks = ask(block("reference/console.md", "$ curl -s http://127.0.0.1:8766/api/tasks"))
        known = ask(block("reference/console.md", "$ curl -s http://127.0.0.1:8766/api/behaviours"))
        begun = ask(block("reference/console.md", "$ curl -s http://127.0.0.1:8766/api/runs -H"))
        of_this_run["345c9dd3cba7"] = begun["id"]
        listed = ask(block("reference/console.md", "$ curl -s http://127.0.0.1:8766/api/runs {"))
        ask(block("reference/console.md", "$ curl -s -X PATCH"))
        ended = ask(block("reference/console.md", "$ curl -s -X DELETE"))
    assert server["workers"] == 1
    assert tasks["children"]
    assert {"behaviours", "faults", "max_faults"} == known.keys()
    assert [run["id"] for run in listed["runs"]] == [begun["id"]]
    assert (ended["id"], ended["state"]) == (begun["id"], "cancelling")
    upstream = {"ws://127.0.0.1:9000": "ws://127.0.0.1:1"}
    with begin("python -m echo_trio --upstream ws://127.0.0.1:9000", upstream) as console:
        faults = ask(block("reference/console.md", "$ curl -s -X PUT"))
        assert faults == {"faults": "~delay/200ms/~up-swallow/10"}


@pytest.mark.examples
def test_the_commands_of_the_references(shell, tmp_path):
    for plan in (
        block("reference/loadgen.md", "python -m loadgen plan"),
        block("scale.md", "python -m loadgen plan"),
    ):
        planned = shell(plan, {}, check=False)
        assert planned.returncode in {0, 2}, planned.stderr
        assert "sockets" in planned.stdout
    asked, *shown = block("reference/thresholds.md", "$ python -m loadgen 1").splitlines()
    refused = shell(asked.removeprefix("$ "), {}, check=False)
    assert (refused.returncode, refused.stderr.splitlines()) == (2, shown)
    settings = tmp_path / "echo-trio.toml"
    settings.write_text(block("reference/server.md", "# echo-trio.toml"))
    with begin(f"python -m echo_trio --config {settings}", {}):
        pass


@pytest.mark.examples
def test_the_commands_of_the_readme(shell, server):
    lines = block("README.md", "# A server to test clients with").splitlines()
    start, load = (line for line in lines if not line.startswith("#"))
    own = {".venv/bin/python": "python"}
    with begin(start, own):
        pass
    run = shell(load, {**own, "10000 ws://127.0.0.1:8765/": f"5 {server.url} --duration 300ms"})
    assert "5 opened" in run.stdout


@pytest.mark.examples
def test_the_scenario_that_the_reference_begins_with(shell, serve_websockets, tmp_path):
    async def serve(connection, _):
        """Greet, push ticks, and answer each message with its own id."""
        await connection.send('{"type": "welcome"}')

        async def tick():
            for seq in count():
                now_ms = time.time() * 1000
                tick = {"type": "tick", "seq": seq, "t": now_ms, "price": 1}
                await connection.send(json.dumps(tick))
                await asyncio.sleep(0.05)

        ticking = asyncio.create_task(tick())
        try:
            async for message in connection:
                await connection.send(json.dumps({"id": json.loads(message)["id"]}))
        finally:
            ticking.cancel()

    (tmp_path / "chat.py").write_text(block("reference/scenario.md", "from loadgen.scenario"))
    (tmp_path / "people.csv").write_text("token\n" + "".join(f"t{n}\n" for n in range(20)))
    base = serve_websockets(serve).url.rstrip("/")
    run = shell(
        block("reference/scenario.md", "python -m loadgen 1000"),
        {"1000 wss://chat.example": f"20 {base} --duration 2s --json report.json"},
        check=False,
    )
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["users"]["finished"] == 20, run.stderr
    assert {step["name"] for step in report["steps"]} >= {"login", "say"}
    assert report["checks"][0]["failed"] == 0 < report["checks"][0]["passed"]
    assert report["streams"][0]["gaps"] == 0


def test_what_a_library_leaves_to_its_user():
    """In a process of its own: it changes limits and the collector."""
    program = block("how-to/use-as-a-library.md", "from echo_trio.wire")
    subprocess.run([sys.executable, "-c", program], check=True, timeout=PATIENCE_S)


def test_each_test_that_the_page_of_bug_reports_names_is_there():
    page = (ROOT / "docs/explanation/bug-reports.md").read_text()
    named = set(re.findall(r"`(test_[a-z0-9_]+)`", page))
    assert len(named) > 30
    files = (ROOT / "tests").rglob("test_*.py")
    there = {name for file in files for name in re.findall(r"def (test_\w+)", file.read_text())}
    assert named - there == set()
