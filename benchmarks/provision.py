"""Installs what the benchmarks need beside the product: by package name, into ignored folders.

Nothing here is needed to use the product. `Missing` is raised where a registry, a runtime or
a build is not to be had; its message ends up in the results beside the peer's name.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
VENV_PYTHON = HERE / ".venv" / "bin" / "python"
NODE_PEERS = HERE / "peers" / "node"
GO_PEERS = HERE / "peers" / "go"
RUST_PEERS = HERE / "peers" / "rust"
TOOLS = HERE / ".tools"

# The newest that runs on Node 20 and needs no browser.
ARTILLERY = "artillery@2.0.21"
MASSCONNECT = "autobahntestsuite==25.10.1"


class Missing(Exception):
    """A peer is not to be had here; the message says why, in one line."""


def python_peers() -> Path:
    """The interpreter of `benchmarks/.venv`, made from the locked requirements."""
    requirements = HERE / "requirements.txt"

    def install() -> None:
        _run([sys.executable, "-m", "venv", "--clear", str(HERE / ".venv")])
        pip = [str(VENV_PYTHON), "-m", "pip", "install", "--quiet"]
        _run([*pip, "--require-hashes", "--requirement", str(requirements)])

    fingerprint = f"{sys.version}\n{requirements.read_text()}"
    _once(HERE / ".venv" / "installed", fingerprint, "Python peers and driver", install)
    return VENV_PYTHON


def node_peers() -> str:
    """The `node` to run `peers/node` with."""
    node = _executable("node", "Node is not installed")
    _executable("npm", "npm is not installed")
    lock = NODE_PEERS / "package-lock.json"
    _once(
        NODE_PEERS / "node_modules" / ".installed",
        lock.read_text(),
        "Node peers",
        lambda: _run(["npm", "ci", "--silent"], directory=NODE_PEERS),
    )
    return node


def artillery() -> Path:
    _executable("npm", "npm is not installed")
    folder = TOOLS / "artillery"
    _once(
        folder / "installed",
        ARTILLERY,
        "Artillery",
        # Its install scripts only fetch a browser that a WebSocket load does not need.
        lambda: _run(
            ["npm", "install", "--silent", "--ignore-scripts", "--prefix", str(folder), ARTILLERY]
        ),
    )
    return folder / "node_modules" / ".bin" / "artillery"


def k6() -> Path:
    # Not "go install", which asks the module proxy for the newest version of all and has no hashes.
    source, binary = HERE / "peers" / "k6", TOOLS / "k6" / "k6"
    fingerprint = (source / "go.sum").read_text()
    return _built_by_go(source, ".", binary, fingerprint, "k6 (a build of minutes)")


def go_peer(name: str) -> Path:
    """One of the servers in `peers/go`, as a program; the folder has its name."""
    binary = TOOLS / "go" / name / name
    sources = [GO_PEERS / "go.sum", *GO_PEERS.glob("contract/*.go"), *GO_PEERS.glob(f"{name}/*.go")]
    return _built_by_go(GO_PEERS, f"./{name}", binary, _texts(sources), f"{name} (Go)")


def _built_by_go(source: Path, package: str, binary: Path, fingerprint: str, what: str) -> Path:
    go = _toolchain("go", "Go is not installed", Path("/usr/local/go/bin"))
    _once(
        binary.with_name("installed"),
        fingerprint,
        what,
        lambda: _run(
            [go, "build", "-C", str(source), "-buildvcs=false", "-o", str(binary), package],
            # A Go that is too old says so, and does not fetch another one.
            environment={"GOFLAGS": "", "GOTOOLCHAIN": "local"},
        ),
    )
    return binary


def rust_peer(name: str) -> Path:
    """One of the servers in `peers/rust`, as a program; the file in `src/bin` has its name."""
    cargo = _toolchain("cargo", "Rust is not installed", Path.home() / ".cargo" / "bin")
    target = TOOLS / "rust"
    sources = [RUST_PEERS / "Cargo.toml", RUST_PEERS / "Cargo.lock", RUST_PEERS / "src" / "lib.rs"]
    command = [cargo, "build", "--quiet", "--release", "--locked", "--bin", name]
    command += ["--manifest-path", str(RUST_PEERS / "Cargo.toml"), "--target-dir", str(target)]
    _once(
        target / f"{name}-installed",
        _texts([*sources, RUST_PEERS / "src" / "bin" / f"{name}.rs"]),
        f"{name} (Rust)",
        lambda: _run(command),
    )
    return target / "release" / name


def _texts(paths: Sequence[Path]) -> str:
    return "".join(path.read_text() for path in sorted(paths))


def massconnect() -> tuple[str, dict[str, str]]:
    """A Python 2.7 and the environment in which it finds Autobahn's test suite."""
    python2 = _python2()
    environment = {"PYTHONUSERBASE": str(TOOLS / "massconnect")}
    _once(
        TOOLS / "massconnect" / "installed",
        f"{python2} {MASSCONNECT}",
        "Autobahn's massconnect",
        lambda: _run(
            [python2, "-m", "pip", "install", "--quiet", "--no-cache-dir", "--user", MASSCONNECT],
            environment=environment,
        ),
    )
    return python2, environment


def kernel_floor() -> Path:
    """The library that `peers/kernel_floor.py` echoes with."""
    compiler = _executable("cc", "no C compiler is installed")
    source = HERE / "peers" / "kernel_floor.c"
    library = TOOLS / "kernel_floor" / "kernel_floor.so"
    _once(
        library.with_name("installed"),
        source.read_text(),
        "the kernel's floor",
        lambda: _run([compiler, "-O3", "-shared", "-fPIC", str(source), "-o", str(library)]),
    )
    return library


def tsung() -> str:
    return _executable("tsung", "not installed (Debian package: tsung)")


def _python2() -> str:
    """A Python 2.7 with pip: the test suite was never ported to 3."""
    for candidate in ("python2.7", "python2", *map(str, _pyenv_pythons("2.7"))):
        path = shutil.which(candidate)
        # pyenv's shims exist for versions that are not selected, and then fail.
        if path and subprocess.run([path, "-m", "pip", "-V"], capture_output=True).returncode == 0:
            return path
    raise Missing("needs Python 2.7 with pip, and none is installed")


def _pyenv_pythons(version: str) -> list[Path]:
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    return sorted(root.glob(f"versions/{version}*/bin/python"))


def _executable(name: str, reason: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise Missing(reason)
    return path


def _toolchain(name: str, reason: str, place: Path) -> str:
    """A compiler that is on the path, or where its own installer puts it."""
    path = shutil.which(name) or shutil.which(name, path=str(place))
    if path is None:
        raise Missing(reason)
    return path


def _once(stamp: Path, fingerprint: str, what: str, install: Callable[[], None]) -> None:
    """Install unless the stamp says that exactly this is already there."""
    digest = hashlib.sha256(fingerprint.encode()).hexdigest()
    if stamp.exists() and stamp.read_text() == digest:
        return
    print(f"installing {what} …", file=sys.stderr, flush=True)
    stamp.parent.mkdir(parents=True, exist_ok=True)
    install()
    stamp.parent.mkdir(parents=True, exist_ok=True)
    stamp.write_text(digest)


def _run(
    command: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    directory: Path | None = None,
) -> None:
    try:
        finished = subprocess.run(
            command,
            env={**os.environ, **(environment or {})},
            cwd=directory,
            capture_output=True,
            text=True,
            timeout=900,
        )
    except subprocess.TimeoutExpired:
        raise Missing(f"not installed within 15 minutes: {' '.join(command[:4])}") from None
    if finished.returncode != 0:
        lines = (finished.stderr or finished.stdout).strip().splitlines() or ["no message"]
        # Where packages come from is this machine's own affair, and results are published.
        reason = re.sub(r"\w+://\S+", "(a registry)", lines[-1].strip())
        raise Missing(f"{Path(command[0]).name} failed: {reason}")
