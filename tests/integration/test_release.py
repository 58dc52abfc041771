"""What makes a release: only what is pinned runs, and no wheel is without the page."""

from __future__ import annotations

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


def test_every_workflow_runs_pinned_actions_only():
    versions: dict[str, set[str]] = {}
    for workflow in (ROOT / ".github/workflows").iterdir():
        for action, comment in re.findall(r"uses: (\S+)(.*)", workflow.read_text()):
            assert re.fullmatch(r"[\w/.-]+@[0-9a-f]{40}", action), action
            assert re.fullmatch(r" # v\d+\.\d+\.\d+", comment), action
            versions.setdefault(action.partition("@")[0], set()).add(action + comment)
    assert len(versions) >= 10
    assert all(len(each) == 1 for each in versions.values()), versions


def test_a_release_writes_where_it_publishes():
    release = (ROOT / ".github/workflows/release.yml").read_text()
    head, *jobs = re.split(r"^  (?=\w+:$)", release.partition("\njobs:\n")[2], flags=re.MULTILINE)
    assert not head
    writing = [job.partition(":")[0] for job in jobs if ": write" in job]
    assert writing == ["publish", "image"]
    assert "permissions:\n  contents: read\n" in release.partition("\njobs:\n")[0]
