"""Run what other people's tools are given: the steps of action.yml, the commands of ci.md."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import junitparser
import yaml

from loadgen.cli.load import app

from .conftest import PATIENCE_S


async def echo(connection, counts):
    async for message in connection:
        await connection.send(f"{message} 7")


ROOT = Path(__file__).parents[3]
ACTION = yaml.safe_load((ROOT / "action.yml").read_text())
PAGE = (ROOT / "docs/how-to/ci.md").read_text()


class Job:
    """A job that has come to the step of the action which puts the load on the server."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        programs = folder / "loadgen" / "bin"
        programs.mkdir(parents=True)
        (programs / "loadgen").symlink_to(Path(sys.executable).with_name("loadgen"))

    def run(self, **inputs: str) -> subprocess.CompletedProcess[str]:
        step = next(step for step in ACTION["runs"]["steps"] if step.get("id") == "load")
        given = {key: each.get("default") for key, each in ACTION["inputs"].items()} | inputs
        variables = {
            name: given[re.fullmatch(r"\$\{\{ inputs\.([\w-]+) }}", value)[1]]
            for name, value in step["env"].items()
        }
        here = {"RUNNER_TEMP": str(self.folder), "GITHUB_ACTIONS": "true"}
        files = {name: str(self.folder / name) for name in ("GITHUB_STEP_SUMMARY", "GITHUB_OUTPUT")}
        return subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
            env={**os.environ, **variables, **here, **files},
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )

    @property
    def summary(self) -> str:
        return (self.folder / "GITHUB_STEP_SUMMARY").read_text()

    @property
    def outputs(self) -> dict[str, str]:
        lines = (self.folder / "GITHUB_OUTPUT").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines)


def test_the_action_runs_compares_with_the_base_and_fails_the_job_at_a_limit(
    tmp_path, serve_websockets
):
    url = serve_websockets(echo).url
    load = {
        "url": url,
        "count": "2",
        "args": "--messages 2 --rate-per-conn 50/s --stop-timeout 60s\n--message 'a b'",
    }
    before = Job(tmp_path / "before")
    # Exit code 3 is of a machine that is too busy.
    assert before.run(**load, runs="2").returncode in {0, 3}
    reports = before.outputs["reports"]
    assert sorted(path.name for path in Path(reports).iterdir()) == [
        "run-1.json", "run-1.md", "run-1.xml", "run-2.json", "run-2.md", "run-2.xml",
    ]  # fmt: skip

    after = Job(tmp_path / "after")
    limits = "messages.sent>1\n\nlatency.p99>1h\n"
    done = after.run(**load, base=f"{reports}/run-*.json", **{"fail-if": limits})
    assert done.returncode in {99, 3}
    assert after.outputs["exit-code"] == str(done.returncode)
    assert "::error title=" in done.stderr
    assert "than before" in after.summary
    assert after.summary.count("limit or check") == 1
    suite = junitparser.JUnitXml.fromfile(str(Path(after.outputs["reports"]) / "run-1.xml"))
    failed = {case.name for each in suite for case in each if case.result and case.name[0] != "v"}
    assert failed == {"messages.sent>1"}


def test_the_action_says_what_is_wrong_with_an_input_and_fails(tmp_path):
    job = Job(tmp_path)
    done = job.run(url="ws://127.0.0.1:1/", count="none", args="$(touch x)")
    assert done.returncode == 2
    assert "loadgen:" in done.stderr
    assert not Path("x").exists()
    assert job.outputs["exit-code"] == "2"


def test_every_flag_of_the_pages_commands_is_one():
    blocks = "\n".join(re.findall(r"```\w+\n(.*?)```", PAGE, re.DOTALL))
    unfolded = re.sub(r"\n +--", " --", blocks)
    commands = [
        shlex.split(found) for found in re.findall(r"loadgen (\d.*)$", unfolded, re.MULTILINE)
    ]
    assert len(commands) == 3
    for arguments in commands:
        shown = ["ws://h/" if each == "$YOUR_URL" else each for each in arguments]
        app.parse_args(shown, exit_on_error=False, print_error=False)
