"""Who takes part in `payloads.py`, with what: large messages, and 1 KiB of JSON, compressed."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import deflate
from generator_catalogue import Launch
from provision import HERE, node_peers, python_peers
from server_catalogue import our_python

LARGE, SERVERS, GENERATORS = PARTS = ("large", "servers", "generators")
PLAIN, COMPRESSED = "plain", "compressed"
#: Where a large message matters: the Python that people have, the fastest of Cython and Node, those
#: of Go and Rust, and what the kernel takes.
LARGE_PEERS = (
    "echo_trio",
    "websockets-asyncio",
    "picows",
    "node-ws",
    "gorilla",
    "coder",
    "nbio",
    "tungstenite",
    "fastwebsockets",
    "kernel-floor",
)
#: Sockets and size: at most 10 MiB are in flight at once.
LARGE_CELLS = ((100, 64 * 1024), (10, 1024 * 1024))
JSON_BYTES = 1024
JSON_SOCKETS = 1_000
LOADGEN = "loadgen"


def template() -> str:
    """JSON of about the size once the numbers of socket and message are in it, usually 3 and 4
    digits.
    """
    numbers = ', "message": '
    text = deflate.json_message(0, JSON_BYTES - len(numbers) - 2 - 4).decode()
    return text.replace('"socket": 0', '"socket": {conn}' + numbers + "{seq}", 1)


@dataclass(frozen=True)
class Client:
    """A load generator, asked for the same as the others."""

    name: str
    title: str
    launch: Callable[[str, Path, bool], Launch]
    """Takes the target's URL, the file of the template and whether to compress."""


def _environment(url: str, template: Path, compressed: bool) -> dict[str, str]:
    found = {"TARGET": url, "SOCKETS": str(JSON_SOCKETS), "TEMPLATE": str(template)}
    return found | ({"COMPRESSION": "1"} if compressed else {})


def _loadgen(url: str, template: Path, compressed: bool) -> Launch:
    command = [our_python(), "-m", "loadgen", str(JSON_SOCKETS), url, "--json=-", "--quiet"]
    command += ["--message-file", str(template), "--closed-loop", "--duration", "10m"]
    command += ["--journal", "off"]
    return Launch(command + (["--compression"] if compressed else []))


def _websockets(url: str, template: Path, compressed: bool) -> Launch:
    script = HERE / "peers" / "generators" / "websockets_client.py"
    environment = _environment(url, template, compressed)
    return Launch([str(python_peers()), str(script)], environment)


def _ws(url: str, template: Path, compressed: bool) -> Launch:
    script = HERE / "peers" / "node" / "ws_client.mjs"
    return Launch([node_peers(), str(script)], _environment(url, template, compressed))


CLIENTS = (
    Client(LOADGEN, "loadgen (ours)", _loadgen),
    Client("websockets-client", "websockets, asyncio", _websockets),
    Client("ws-client", "Node ws", _ws),
)
