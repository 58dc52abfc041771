"""What makes a release: only what is pinned runs, and no wheel is without the page."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
#: A hang guard, nothing else.
PATIENCE_S = 240


def build_wheel(folder: Path, path: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder / "dist"],
        cwd=folder,
        env={"PATH": path, "HOME": str(folder)},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def test_sources_without_page_and_node_say_so_and_with_a_page_need_none(tmp_path):
    for name in ("pyproject.toml", "hatch_build.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    for package in ("echo_trio", "loadgen"):
        shutil.copytree(
            ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("page", "__pycache__")
        )
    (tmp_path / "bin").mkdir()
    path = str(tmp_path / "bin")
    done = build_wheel(tmp_path, path)
    assert done.returncode != 0
    assert "the web page is not built, and Node is missing" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert not list(tmp_path.glob("dist/*.whl"))
    for page in ("echo_trio/console/page/index.html", "loadgen/report/page/report.html"):
        (tmp_path / page).parent.mkdir()
        (tmp_path / page).write_text("a page")
    done = build_wheel(tmp_path, path)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = tmp_path.glob("dist/*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {"echo_trio/console/page/index.html", "echo_trio/py.typed", "loadgen/py.typed"} <= {
        *names
    }


WORKFLOWS = {path.name: path.read_text() for path in (ROOT / ".github/workflows").glob("*.yml")}
#: The jobs that may write, by workflow.
WRITING = {"ci.yml": [], "docs.yml": ["publish"], "release.yml": ["publish", "image"]}


def test_workflows_run_pinned_actions_only_and_write_where_they_publish():
    assert WORKFLOWS.keys() == WRITING.keys()
    versions = {}
    for name, workflow in WORKFLOWS.items():
        uses = re.findall(r"uses: (\S+)(.*)", workflow)
        assert uses
        for action, comment in uses:
            assert re.fullmatch(r"[\w/.-]+@[0-9a-f]{40}", action), action
            assert re.fullmatch(r" # v\d+\.\d+\.\d+", comment), action
            # One version of an action, wherever it is used.
            pinned = action + comment
            assert versions.setdefault(action.partition("@")[0], pinned) == pinned
        head, _, jobs = workflow.partition("\njobs:\n")
        before, *jobs = re.split(r"^  (?=\w+:$)", jobs, flags=re.MULTILINE)
        assert not before
        assert [job.partition(":")[0] for job in jobs if ": write" in job] == WRITING[name]
        assert "permissions:\n  contents: read\n" in head
        assert all("timeout-minutes: " in job for job in jobs), name


def test_ci_runs_on_every_python_that_the_package_names():
    project = (ROOT / "pyproject.toml").read_text()
    named = re.findall(r'"Programming Language :: Python :: (3\.\d+)"', project)
    assert named[0] == re.search(r'requires-python = ">=(.*)"', project)[1]
    matrices = re.findall(r"python: (\[.*\])", WORKFLOWS["ci.yml"])
    assert len(matrices) == 2
    assert [json.loads(matrix) for matrix in matrices] == [named, named]
