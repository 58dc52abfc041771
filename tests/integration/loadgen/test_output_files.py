"""Where reports go: what was there stays until a whole report takes its place."""

import json
import os
import random
import resource
import signal
import socket
import subprocess
import sys
import time

import pytest
from websockets.asyncio.server import ServerConnection

from ..starter import starter
from .conftest import PATIENCE_S


async def echo(connection: ServerConnection, counts):
    async for message in connection:
        await connection.send(f"{message} 1")


class Generator:
    """A generator from the starter, whose stderr goes to a file that `communicate` reads."""

    def __init__(self, errors, arguments):
        self._errors = errors
        with errors.open("w") as stderr:
            self._started = starter().start("loadgen", *arguments, stderr=stderr)

    def __getattr__(self, name):
        return getattr(self._started, name)

    @property
    def errors(self):
        return self._errors.read_text()

    def communicate(self, timeout=None):
        out, _ = self._started.communicate(timeout)
        return out, self.errors


@pytest.fixture
def run(tmp_path, tmp_path_factory, monkeypatch):
    """Starts the generator in the test's folder, without a report file; ends it at the end."""
    monkeypatch.chdir(tmp_path)
    errors = tmp_path_factory.mktemp("errors")
    started = []

    def start(*arguments, **options):
        arguments = (*arguments, "--quiet")
        if options:
            process = subprocess.Popen(
                [sys.executable, "-m", "loadgen", *arguments],
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options,
            )  # fmt: skip
        else:
            process = Generator(errors / str(len(started)), arguments)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def url(serve_websockets):
    return serve_websockets(echo).url


ONE = ("--messages", "1", "--rate-per-conn", "10/s")


@pytest.mark.parametrize("reader_comes", ["first", "later"])
def test_a_pipe_has_the_whole_report_and_one_end(run, url, tmp_path, reader_comes):
    pipe = tmp_path / "f"
    os.mkfifo(pipe)
    if reader_comes == "first":
        reader = subprocess.Popen(["cat", str(pipe)], stdout=subprocess.PIPE)
        process = run("1", url, *ONE, "--json", "f")
    else:
        process = run("1", url, *ONE, "--json", "f")
        reader = subprocess.Popen(["cat", str(pipe)], stdout=subprocess.PIPE)
    content, _ = reader.communicate(timeout=PATIENCE_S)
    assert json.loads(content)["connections"]["opened"] == 1
    assert process.wait(PATIENCE_S) in {0, 3}


@pytest.mark.parametrize("journal", ["off", "x.journal"])
def test_a_signal_ends_the_wait_for_a_reader_who_never_comes(run, url, tmp_path, journal):
    os.mkfifo(tmp_path / "f")
    process = run("1", url, "--duration", "2500ms", "--json", "done.json", "--csv", "f",
                  "--journal", journal, "--stop-timeout", "1s")  # fmt: skip
    while not (tmp_path / "done.json").exists():
        assert process.poll() is None, process.errors
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 2
    assert "can't write the report to f: nobody reads it" in errors
    assert json.loads((tmp_path / "done.json").read_text())["interrupted"] is False
    assert (tmp_path / "x.journal").exists() == (journal != "off")


def test_a_reader_of_stdout_who_takes_nothing_does_not_outlive_a_signal(run, url, tmp_path):
    # The report is longer than a pipe takes, and nobody reads this one.
    process = run("1", url, "--rate-per-conn", "1/s", "--duration", "1h", "--json", "-",
                  "--message", "a" * 100_000, "--journal", "x.journal")  # fmt: skip
    journal = tmp_path / "x.journal"
    while not journal.exists() or journal.read_bytes().count(b"\n") < 2:
        assert process.poll() is None, process.errors
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE_S) == 2
    assert "can't write the report: nobody reads it" in process.errors
    assert journal.exists()


def test_what_else_the_shell_has_opened_is_written_to(run, url, tmp_path):
    with (tmp_path / "three").open("w") as file:
        file.write("kept\n")
        file.flush()
        process = run(
            "1", url, *ONE, "--json", f"/dev/fd/{file.fileno()}", pass_fds=[file.fileno()]
        )
        process.communicate(timeout=PATIENCE_S)
    first, rest = (tmp_path / "three").read_text().split("\n", 1)
    assert first == "kept"
    assert json.loads(rest)["schema"] == 1


def test_dev_stdout_is_stdout_with_nothing_else_on_it(run, url):
    out, _ = run("1", url, *ONE, "--json", "/dev/stdout").communicate(timeout=PATIENCE_S)
    assert json.loads(out)["schema"] == 1


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        pytest.param(["--json", "block"], "it is a device", id="disk"),
        pytest.param(["--json", "/dev/zero"], "it is a device", id="device"),
        pytest.param(["--json", "."], "it is a directory", id="folder"),
        pytest.param(["--json", "dangling"], "it is a link to nothing", id="dangling"),
        pytest.param(["--json", "socket"], "it is a socket", id="socket"),
        pytest.param(["--json", "a", "--csv", "./a"], "two reports can't go", id="twice"),
        pytest.param(["--json", "a", "--journal", "a"], "a report and the journal", id="journal"),
        pytest.param(["--json", "a", "--journal", "notes.txt"], "is no journal", id="notes"),
        pytest.param(["--json", "a", "--journal", "pipe"], "it is a pipe", id="journal-in-a-pipe"),
        pytest.param(["--json", "a", "--journal", "/dev/null"], "it is a device", id="null"),
        pytest.param(["--json", "a", "--overwrite"], "--overwrite goes with --journal", id="alone"),
        pytest.param(["--json", "a", "--source-ip", "192.0.2.1"], "192.0.2.1", id="preflight"),
        pytest.param(["--json", "a", "--fail-if", "x"], "--fail-if", id="threshold"),
    ],
)
def test_a_run_that_is_refused_is_one_line_and_leaves_all_files_as_they_were(
    run, url, tmp_path, arguments, problem
):
    (tmp_path / "notes.txt").write_text("my notes")
    (tmp_path / "dangling").symlink_to("nothing")
    os.mkfifo(tmp_path / "pipe")
    if "block" in arguments:
        if os.geteuid():
            pytest.fail("this test makes a device, which only root may: run the tests as root")
        os.mknod(tmp_path / "block", 0o600 | 0o060000, os.makedev(7, 250))
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind("socket")
    before = sorted(tmp_path.iterdir())
    process = run("1", url, *ONE, *arguments)
    out, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 2, out
    line = errors.splitlines()[0]
    assert problem in line
    assert sorted(tmp_path.iterdir()) == before
    assert (tmp_path / "notes.txt").read_text() == "my notes"


def test_a_report_that_could_not_be_written_leaves_the_one_before(run, url, tmp_path):
    (tmp_path / "a.json").write_text("before")
    process = run("1", url, *ONE, "--json", "a.json", preexec_fn=limit_files)
    _, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 2
    assert errors == "loadgen: can't write the report to a.json: File too large\n"
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]
    assert (tmp_path / "a.json").read_text() == "before"


def limit_files():
    resource.setrlimit(resource.RLIMIT_FSIZE, (1500, 1500))


def test_killed_at_any_moment_a_run_leaves_each_file_old_or_whole(run, url, tmp_path):
    chance, seen = random.Random(1), set()
    for _ in range(12):
        for name in ("a.json", "a.csv"):
            (tmp_path / name).write_text("before")
        (tmp_path / "notes.txt").write_text("my notes")
        process = run("1", url, "--duration", "100ms", "--json", "a.json", "--csv", "a.csv",
                      "--journal", f"{len(seen)}-{chance.random()}.journal")  # fmt: skip
        time.sleep(chance.uniform(0, 1))
        process.kill()
        process.communicate()
        report, rows = (tmp_path / "a.json").read_text(), (tmp_path / "a.csv").read_text()
        assert report == "before" or json.loads(report)["schema"] == 1
        assert rows == "before" or rows.startswith("t_s,open,")
        seen.add(report == "before")
        for path in tmp_path.iterdir():
            if path.suffix == ".journal":
                assert path.read_bytes().startswith(b'{"journal":1,')
                assert path.read_bytes().endswith(b"\n")
                path.unlink()
        assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "a.json", "notes.txt"]
        assert (tmp_path / "notes.txt").read_text() == "my notes"


def test_overwrite_replaces_the_journal_of_a_killed_run_and_nothing_else_does(run, url, tmp_path):
    journal = tmp_path / "x.journal"
    killed = run("2", url, "--duration", "1h", "--journal", "x.journal", "--stream")
    for _ in range(3):
        killed.stdout.readline()
    killed.kill()
    killed.communicate()
    before = journal.read_bytes()
    refused = run("1", url, *ONE, "--journal", "x.journal")
    _, errors = refused.communicate(timeout=PATIENCE_S)
    assert refused.returncode == 2
    assert "--overwrite" in errors
    assert journal.read_bytes() == before
    again = run("3", url, "--duration", "1h", "--journal", "x.journal", "--overwrite", "--stream")
    for _ in range(3):
        again.stdout.readline()
    assert journal.read_bytes() != before
    again.send_signal(signal.SIGTERM)
    again.communicate(timeout=PATIENCE_S)
    assert not journal.exists()
