"""Check locally all of a release that can be checked without a registry.

Builds the source distribution and the wheel, looks into both, tries each part of the wheel
(`wheel_trial.py`) in fresh virtual environments without Node, one for each Python that is here,
asks pyright how much is typed, follows the links of the documentation site, and makes sure that
the source distribution without Node says so:

    python scripts/release_check.py             needs Node for pyright, and for the page if it
                                                is not built (make page)
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
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from collections.abc import Iterable
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

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
#: The versions of Python that the package is for.
MINORS = range(11, 15)
#: As pyright is asked for of npm, and the share of exported names that it has to find typed.
PYRIGHT = "pyright@1.1"
TYPED = 0.99
#: What `scripts/wheel_trial.py` needs beside the wheel: of the lock file for developers.
TRIAL_NEEDS = ("iniconfig", "packaging", "pluggy", "pygments", "pytest")

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


def find_pythons() -> dict[int, Path]:
    """Find an interpreter of each minor version on this machine: on PATH, or of pyenv's."""
    found = {sys.version_info.minor: Path(sys.executable)}
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for minor in MINORS:
        on_path = shutil.which(f"python3.{minor}")
        for candidate in [on_path, *sorted(pyenv.glob(f"3.{minor}.*/bin/python"), reverse=True)]:
            # A shim of pyenv's is there for versions that it does not run.
            says = "import sys; print(sys.version_info.minor)"
            if candidate is None or minor in found:
                continue
            if run([candidate, "-c", says], ROOT).stdout.strip() == str(minor):
                found[minor] = Path(candidate)
    return dict(sorted(found.items()))


def pick(names: Iterable[str], lock: Path, target: Path) -> Path:
    """Write the entries of these packages in a lock file, with their hashes, into another."""
    entries = re.findall(r"^[a-z].*(?:\n    --hash.*)+\n", lock.read_text(), re.MULTILINE)
    wanted = [entry for entry in entries if re.match(r"[\w.-]+", entry)[0] in set(names)]
    target.write_text("".join(wanted))
    return target


def try_wheel(wheel: Path, folder: Path, path: str, python: str | Path) -> None:
    """Install a wheel into a fresh environment without Node, and use each of its parts.

    :param python: the interpreter to try it on.
    """
    shutil.rmtree(folder / "venv", ignore_errors=True)
    version = run([python, "-c", "import platform; print(platform.python_version())"], ROOT)
    who = f"Python {version.stdout.strip()}"
    made = run([python, "-m", "venv", folder / "venv"], ROOT)
    if made.returncode != 0:
        problems.append(f"{who}: no virtual environment: {made.stdout}{made.stderr}".strip())
        return
    python = folder / "venv/bin/python"
    pip: list[str | Path] = [python, "-m", "pip", "--disable-pip-version-check", "-q", "install"]
    needs = pick(TRIAL_NEEDS, ROOT / "requirements/dev.txt", folder / "needs.txt")
    for arguments in (
        ["--require-hashes", "-r", ROOT / "requirements/run.txt"],
        ["--no-deps", wheel],
        ["--require-hashes", "--no-deps", "-r", needs],
    ):
        done = run([*pip, *arguments], folder, PATH=path)
        if done.returncode != 0:
            problems.append(f"{who}: the wheel can't be installed: {done.stderr.strip()}")
            return
    checked = run([python, "-m", "pip", "check"], folder)
    check(checked.returncode == 0, f"{who}: pip check finds conflicts: {checked.stdout.strip()}")
    done = run([python, "-I", ROOT / "scripts/wheel_trial.py"], folder, PATH=path)
    works = [line.split()[1] for line in done.stdout.splitlines()]
    check(
        done.returncode == 0,
        f"{who}: after {works} the installed wheel doesn't work: {done.stderr.strip()}",
    )
    # What is tried on other systems, too: the books of a run, and Ctrl-C.
    seen = run([python, ROOT / "scripts/system_check.py", "--sockets", "100"], folder, PATH=path)
    check(seen.returncode == 0, f"{who}: {seen.stdout.strip()} {seen.stderr.strip()}")
    print(f"{who}: {', '.join(works)}; {seen.stdout.strip()}", flush=True)


def try_types(wheel: Path, folder: Path) -> None:
    """Let pyright, which needs Node, say how much of what the packages export is typed."""
    python = folder / "types/bin/python"
    for command in (
        [sys.executable, "-m", "venv", folder / "types"],
        [python, "-m", "pip", "-q", "install", "-r", ROOT / "requirements/run.txt"],
        [python, "-m", "pip", "-q", "install", "--no-deps", wheel],
        ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", folder, PYRIGHT],
    ):
        done = run(command, folder)
        if done.returncode != 0:
            problems.append(f"types can't be tried: {done.stderr.strip()[-300:]}")
            return
    # It looks for the packages where the `python` of PATH has them, whatever --pythonpath says.
    path = f"{python.parent}{os.pathsep}{os.environ['PATH']}"
    for package in PACKAGES:
        command = [folder / "node_modules/.bin/pyright", "--verifytypes", package]
        done = run([*command, "--ignoreexternal", "--outputjson"], folder, PATH=path)
        said = json.loads(done.stdout)
        score = said["typeCompleteness"]["completenessScore"]
        check(score >= TYPED, f"{score:.1%} of what {package} exports is typed")
        print(f"types of {package}: {score:.1%}", flush=True)


def look_into_site(site: Path, wheel: Path) -> None:
    """Follow each link of the built site within it, and look for what the wheel refers to."""
    pages = {page: Links.of(page) for page in site.rglob("*.html")}
    check(len(pages) > 50, f"the site has {len(pages)} pages")
    followed = 0
    for page, links in pages.items():
        for link in links.targets:
            where = urlsplit(link)
            if where.scheme or where.netloc:
                continue
            target = (page.parent / unquote(where.path)).resolve() if where.path else page
            target = target / "index.html" if target.is_dir() else target
            name = f"{page.relative_to(site)} has a link to {link}"
            check(target.exists(), f"{name}, which is not there")
            if where.fragment and target in pages:
                there = unquote(where.fragment) in pages[target].anchors
                check(there, f"{name}, which has no such place")
            followed += 1
    with zipfile.ZipFile(wheel) as archive:
        texts = [archive.read(name).decode() for name in archive.namelist() if name[-3:] == ".py"]
    named = {name for text in texts for name in re.findall(r"docs/([\w/-]+)\.md", text)}
    for name in sorted(named):
        page = site / ("map.html" if name == "README" else f"{name}.html")
        check(page in pages, f"the programs refer to docs/{name}.md, which the site lacks")
    print(
        f"site: {len(pages)} pages, {followed} links, {len(named)} that programs name", flush=True
    )


class Links(HTMLParser):
    """The links of a page, and the places that others may link to."""

    def __init__(self) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.anchors: set[str] = {"", "top"}

    @classmethod
    def of(cls, page: Path) -> Links:
        """Read a page."""
        links = cls()
        links.feed(page.read_text(encoding="utf-8"))
        return links

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what a tag refers to, and its own name."""
        for name, value in attrs:
            if value and (name == "id" or (tag == "a" and name == "name")):
                self.anchors.add(value)
            if value and name in {"href", "src"}:
                self.targets.append(value)


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
        pythons = find_pythons()
        for minor, python in pythons.items():
            (folder / str(minor)).mkdir()
            try_wheel(wheel, folder / str(minor), path, python)
        if missing := [f"3.{minor}" for minor in MINORS if minor not in pythons]:
            print(f"not here, so not tried: Python {', '.join(missing)}")
        try_types(wheel, folder)
        built = run([sys.executable, ROOT / "scripts/site.py", folder / "site"], ROOT)
        check(built.returncode == 0, f"the site can't be built: {built.stderr.strip()[-500:]}")
        if built.returncode == 0:
            look_into_site(folder / "site", wheel)
        try_sdist(sdist, folder, path)
        sizes = ", ".join(
            f"{file.name} {file.stat().st_size // 1024} KiB" for file in (wheel, sdist)
        )
    return tell(f"ready to release: {sizes}")


if __name__ == "__main__":
    raise SystemExit(main())
