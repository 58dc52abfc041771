"""The shell lines of docs/how-to/ci.md do what the page says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import yaml
from websockets.sync.client import connect

from .conftest import DEPLOY, PATIENCE_S


def test_the_steps_start_a_server_say_where_it_is_and_show_what_it_saw(tmp_path: Path) -> None:
    page = (DEPLOY.parent / "how-to/ci.md").read_text()
    workflow = yaml.safe_load(re.findall("```yaml\n(.*?)```", page, re.DOTALL)[0])
    steps = {
        step["name"]: step["run"] for step in workflow["jobs"]["test"]["steps"] if "run" in step
    }
    environment = tmp_path / "environment"
    search = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

    def run(step: str, **variables: str) -> str:
        return subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", steps[step]],
            cwd=tmp_path,
            env={**os.environ, "PATH": search, "GITHUB_ENV": str(environment), **variables},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            timeout=PATIENCE_S,
        ).stdout

    run("Start it")
    variables = dict(line.split("=", 1) for line in environment.read_text().splitlines())
    try:
        with connect(variables["ECHO_URL"] + "plain") as client:
            client.send("m")
            assert client.recv(timeout=60) == "m"
    finally:
        log = run("What the server saw", **variables)
    assert re.search(r"stopped .*outcomes=\{'clean': 1\}", log)
