"""Check locally all of a release that can be checked without a registry.

Builds the source distribution and the wheel, looks into both, tries the wheel in a fresh virtual
environment without Node, and makes sure that the source distribution without Node says so:

    python scripts/release_check.py             needs the page to be built (make page) or Node
    python scripts/release_check.py --dist DIR  keeps what it has built there
    python scripts/release_check.py --wheel FILE
                                                tries a wheel alone, on this Python
    python scripts/release_check.py --wheel FILE --python python3.13 --python python3.14
                                                tries it on those

Exits with 1 and a line for each thing that is wrong. Needs pip's index for the dependencies.
"""

from __future__ import annotations

import argparse
import email
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("echo_trio", "loadgen")
PAGES = ("echo_trio/console/page/index.html", "loadgen/report/page/report.html")
#: In no distribution, wherever it stands.
NEVER = re.compile(r"(^|/)(node_modules|__pycache__|\.venv|\.git|\.env|\.pypirc)(/|$)")
#: In a file of npm's settings: a credential.
CREDENTIAL = re.compile(rb"_auth|_password|:username", re.IGNORECASE)
#: What a source distribution needs so that page and wheel can be built, and the tests be run.
IN_SDIST = (
    "pyproject.toml", "hatch_build.py", "README.md", "LICENSE", "Makefile", "requirements/run.txt",
    "react-client/package-lock.json", "react-client/src", "tests", "docs",
)  # fmt: skip
#: In a fresh environment: both programs, the page, a run, the API, the plugin's entry point.
TRY = """
import json, re, signal, subprocess, sys, urllib.request
from importlib.metadata import entry_points
import echo_trio
(plugin,) = [e for e in entry_points(group="pytest11") if e.name == "echo_trio"]
assert plugin.value == "echo_trio.testing.plugin"
command = [sys.executable, "-m", "echo_trio", "--port", "0", "--console-port", "0"]
with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
    ws, console = re.match(r"ready ws=(\\S+) console=(\\S+)", server.stdout.readline()).groups()
    page = urllib.request.urlopen(console).read().decode()
    assert "<script" in page
    for asset in re.findall(r'(?:src|href)="/([^"]+)"', page):
        assert urllib.request.urlopen(console + asset).status == 200, asset
    subprocess.run(
        [sys.executable, "-m", "loadgen", "10", ws, "--duration", "1s", "--html", "report.html",
         "--quiet"], check=True)
    assert "<script" in open("report.html").read()
    server.send_signal(signal.SIGTERM)
assert server.returncode == 0
with echo_trio.serving_in_thread() as server:
    assert server.url.startswith("ws://127.0.0.1:")
"""

problems: list[str] = []


def check(holds: object, problem: str) -> None:
    """Note a problem unless something holds."""
    if not holds:
        problems.append(problem)


def run(command: list[str | Path], cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a program; its output is kept."""
    return subprocess.run(
        command, cwd=cwd, env=os.environ | env, capture_output=True, text=True, check=False
    )


def build(target: str, source: Path, dist: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Build a distribution with the backend that pyproject.toml names."""
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "hatchling",
        "build",
        "-t",
        target,
        "-d",
        dist,
    ]
    return run(command, source, **env)


def without_node(folder: Path) -> str:
    """Make a PATH of what is on ours, less Node and npm."""
    bin_ = folder / "bin"
    bin_.mkdir()
    for directory in os.environ["PATH"].split(os.pathsep):
        for program in Path(directory).glob("*") if Path(directory).is_dir() else ():
            link = bin_ / program.name
            if program.name not in {"node", "nodejs", "npm", "npx"} and not link.exists():
                link.symlink_to(program)
    assert shutil.which("node", path=str(bin_)) is None
    return str(bin_)


def look_into_wheel(wheel: Path, version: str) -> None:
    """Check the content and the metadata of a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        info = f"echo_trio-{version}.dist-info"
        metadata = email.message_from_bytes(archive.read(f"{info}/METADATA"))
        entries = archive.read(f"{info}/entry_points.txt").decode()
    check(wheel.name.endswith("-py3-none-any.whl"), f"{wheel.name} is not for every platform")
    tops = {name.split("/")[0] for name in names}
    check(tops == {*PACKAGES, info}, f"the wheel has more than the packages: {sorted(tops)}")
    listed = run(["git", "ls-files", *PACKAGES], ROOT).stdout.split()
    for name in [*listed, *PAGES, *(f"{package}/py.typed" for package in PACKAGES)]:
        check(name in names, f"the wheel lacks {name}")
    for name in names:
        check(not NEVER.search(name), f"the wheel has {name}")
    check(any(name.startswith(f"{info}/licenses/") for name in names), "the wheel has no licence")
    check(metadata["Version"] == version, "the wheel's version is not pyproject.toml's")
    check(metadata["Description-Content-Type"] == "text/markdown", "the description is no Markdown")
    check(str(metadata.get_payload()).startswith("# "), "the description is not README.md")
    check(metadata["Requires-Python"], "the wheel doesn't say which Python it needs")
    for name in ("echo-trio = ", "loadgen = ", "[pytest11]"):
        check(name in entries, f"the wheel's entry points lack {name}")


def look_into_sdist(sdist: Path, version: str) -> None:
    """Check the content of a source distribution."""
    with tarfile.open(sdist) as archive:
        members = archive.getmembers()
        for member in members:
            if member.name.endswith("/.npmrc") and (file := archive.extractfile(member)):
                check(not CREDENTIAL.search(file.read()), f"{member.name} has a credential")
    names = {member.name.removeprefix(f"echo_trio-{version}/") for member in members}
    for wanted in IN_SDIST:
        check(
            wanted in names or any(name.startswith(f"{wanted}/") for name in names),
            f"the source distribution lacks {wanted}",
        )
    for name in names:
        check(not NEVER.search(name), f"the source distribution has {name}")
    check(
        not any(member.islnk() or member.issym() for member in members),
        "the source distribution has links",
    )


def try_wheel(wheel: Path, folder: Path, path: str, base: str = sys.executable) -> None:
    """Install a wheel into a fresh environment without Node, and use it, its plugin as well.

    :param base: the interpreter to try it on.
    """
    environment = folder / "venv"
    shutil.rmtree(environment, ignore_errors=True)
    made = run([base, "-m", "venv", environment], folder)
    if made.returncode != 0:
        problems.append(f"{base} makes no environment: {(made.stdout + made.stderr).strip()}")
        return
    python = environment / "bin/python"
    pip: list[str | Path] = [python, "-m", "pip", "--disable-pip-version-check", "-q", "install"]
    for arguments in (
        ["--require-hashes", "-r", ROOT / "requirements/run.txt"],
        ["--no-deps", wheel],
        ["pytest"],
    ):
        done = run([*pip, *arguments], folder, PATH=path)
        if done.returncode != 0:
            problems.append(f"{base}: the wheel can't be installed: {done.stderr.strip()}")
            return
    check(run([python, "-m", "pip", "check"], folder).returncode == 0, "pip check finds conflicts")
    done = run([python, "-I", "-c", TRY], folder, PATH=path)
    check(done.returncode == 0, f"{base}: the wheel doesn't work: {done.stderr.strip()}")
    # Server, generator and plugin: what is tried on other systems, too.
    done = run([python, ROOT / "scripts/system_check.py", "--sockets", "100"], folder, PATH=path)
    check(done.returncode == 0, f"{base}: {done.stdout.strip()} {done.stderr.strip()}")
    print(done.stdout.strip().splitlines()[-1] if done.stdout else f"{base}: silent", flush=True)


def try_sdist(sdist: Path, folder: Path, path: str) -> None:
    """Build from a source distribution without Node: that has to say so, and to make nothing."""
    with tarfile.open(sdist) as archive:
        archive.extractall(folder / "source", filter="data")
    (source,) = (folder / "source").iterdir()
    done = build("wheel", source, folder / "none", PATH=path)
    said = done.stdout + done.stderr
    check(done.returncode != 0, "the source distribution makes a wheel without Node")
    check("Node is missing" in said, f"without Node, building says: {said.strip()[-300:]}")
    check(not list((folder / "none").glob("*.whl")), "a wheel without the page was made")


def tell(success: str) -> int:
    """Print a line for each problem, or that there is none; return the exit code."""
    for problem in problems or [success]:
        print(problem)
    return bool(problems)


def main() -> int:
    """Check everything, and print a line for each problem."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--dist", type=Path, help="where to keep what is built")
    parser.add_argument("--wheel", type=Path, help="try this wheel in a fresh environment alone")
    parser.add_argument(
        "--python", action="append", help="with --wheel: an interpreter to try it on; repeatable"
    )
    arguments = parser.parse_args()
    if arguments.wheel:
        with tempfile.TemporaryDirectory(prefix="release-check-") as name:
            path = without_node(Path(name))
            for python in arguments.python or [sys.executable]:
                try_wheel(arguments.wheel.resolve(), Path(name), path, python)
        return tell(f"{arguments.wheel.name} works")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    version = project["version"]
    changes = (ROOT / "CHANGELOG.md").read_text()
    check(
        re.search(rf"^## (\[?{re.escape(version)}\]?|Unreleased)", changes, re.MULTILINE),
        f"CHANGELOG.md has nothing of {version}",
    )
    with tempfile.TemporaryDirectory(prefix="release-check-") as name:
        folder = Path(name)
        dist = arguments.dist.resolve() if arguments.dist else folder / "dist"
        for target in ("sdist", "wheel"):
            done = build(target, ROOT, dist)
            if done.returncode != 0:
                print(f"the {target} can't be built: {(done.stdout + done.stderr).strip()}")
                return 1
        wheel = dist / f"echo_trio-{version}-py3-none-any.whl"
        sdist = dist / f"echo_trio-{version}.tar.gz"
        look_into_wheel(wheel, version)
        look_into_sdist(sdist, version)
        path = without_node(folder)
        try_wheel(wheel, folder, path)
        try_sdist(sdist, folder, path)
        sizes = ", ".join(
            f"{file.name} {file.stat().st_size // 1024} KiB" for file in (wheel, sdist)
        )
    return tell(f"ready to release: {sizes}")


if __name__ == "__main__":
    raise SystemExit(main())
