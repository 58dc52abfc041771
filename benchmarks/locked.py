"""Read out of their lock files which versions of the peers take part."""

import json
import re
import tomllib
from pathlib import Path

from provision import ARTILLERY, GO_PEERS, HERE, NODE_PEERS, RUST_PEERS

#: Those of `peers/rust` that are servers, or what these stand on; its other crates are their needs.
CRATES = ("tokio-tungstenite", "fastwebsockets", "tokio")
_REQUIRED = re.compile(r"^\s*(?:require )?(\S+) v(\S+)(?: // indirect)?$", re.MULTILINE)


def versions() -> dict[str, dict[str, str]]:
    """Read the version of each peer, by what locks it."""
    k6 = _required(HERE / "peers" / "k6" / "go.mod")["go.k6.io/k6/v2"]
    lock = json.loads((NODE_PEERS / "package-lock.json").read_text())
    crates = tomllib.loads((RUST_PEERS / "Cargo.lock").read_text())["package"]
    return {
        "go_modules": _directly_required(GO_PEERS / "go.mod"),
        "crates": {each["name"]: each["version"] for each in crates if each["name"] in CRATES},
        "node_modules": {"ws": lock["packages"]["node_modules/ws"]["version"]},
        "generators": {"k6": k6, "artillery": ARTILLERY.partition("@")[2]},
    }


def _required(path: Path) -> dict[str, str]:
    return dict(_REQUIRED.findall(path.read_text()))


def _directly_required(path: Path) -> dict[str, str]:
    """Read the modules that are there for their own sake, by the names of their repositories."""
    lines = [line for line in path.read_text().splitlines() if "// indirect" not in line]
    found = _REQUIRED.findall("\n".join(lines))
    return {module.removeprefix("github.com/"): version for module, version in found}
