"""Build and run the clients in other languages: they write in JSON what their user gets."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

from said import Said

HERE = Path(__file__).parent
MODULES = HERE.parents[1] / "react-client/node_modules"


def program(*command: str | Path, **env: str) -> Callable[[str, Said], None]:
    """Make a client of a program that writes in JSON what its user gets."""

    def try_program(url: str, said: Said) -> None:
        done = subprocess.run(
            [*command, url],
            env=os.environ | env,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        said.extend(json.loads(done.stdout))

    return try_program


def build(folder: Path) -> dict[str, Callable[[str, Said], None]]:
    """Build the clients in Go and Rust; return them with Node's."""
    subprocess.run(["go", "build", "-o", folder / "go", "."], cwd=HERE / "go", check=True)
    subprocess.run(
        ["cargo", "build", "--release", "--locked", "--quiet", "--target-dir", folder / "rust"],
        cwd=HERE / "rust",
        check=True,
    )
    versions = {
        "ws": json.loads((MODULES / "ws/package.json").read_text())["version"],
        "go": found(r"coder/websocket v(\S+)", (HERE / "go/go.mod").read_text()),
        "rust": found(
            r'"tokio-tungstenite"\nversion = "(.*)"', (HERE / "rust/Cargo.lock").read_text()
        ),
    }
    return {
        f"Node ws {versions['ws']}": program(
            "node", HERE / "node/client.cjs", NODE_PATH=str(MODULES)
        ),
        f"Go coder/websocket {versions['go']}": program(folder / "go"),
        f"Rust tokio-tungstenite {versions['rust']}": program(
            folder / "rust/release/echo-trio-clients"
        ),
    }


def runtimes() -> list[str]:
    """Name the languages and their versions."""

    def said_by(*command: str) -> str:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    go, rust = said_by("go", "version"), said_by("rustc", "--version")
    return [
        f"Node {said_by('node', '--version').strip().removeprefix('v')}",
        f"Go {found('go([0-9.]+)', go)}",
        f"Rust {found('rustc ([0-9.]+)', rust)}",
    ]


def found(pattern: str, text: str) -> str:
    """Find a version in a text."""
    match = re.search(pattern, text)
    assert match
    return match[1]
