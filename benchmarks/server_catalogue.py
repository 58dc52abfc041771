"""The servers that are measured: ours and the peers of the design's table."""

import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from machine import REPOSITORY
from provision import HERE, Missing, go_peer, kernel_floor, node_peers, python_peers, rust_peer

MAX_MESSAGE_SIZE = "8MiB"
OURS = "echo_trio"


@dataclass(frozen=True)
class Contestant:
    """One server: its short name for `--peers`, its title for tables, how it is started."""

    name: str
    title: str
    command: Callable[[], Sequence[str]]
    """Installs what it needs and returns the command; raises `Missing` with the reason."""
    is_server: bool = True
    """False for the floor, which checks nothing."""
    compresses: bool = False
    """True if it offers permessage-deflate with `--compression`."""


def our_python() -> str:
    """The interpreter that has the product: the checkout's own, else the one running this."""
    ours = REPOSITORY / ".venv" / "bin" / "python"
    return str(ours) if ours.exists() else sys.executable


def _ours() -> Sequence[str]:
    command = [our_python(), "-m", "echo_trio"]
    helped = subprocess.run([*command, "--help"], capture_output=True, text=True, cwd=REPOSITORY)
    if helped.returncode != 0:
        lines = helped.stderr.strip().splitlines() or ["no message"]
        raise Missing(f"echo_trio --help failed: {lines[-1]}")
    command += ["--port", "0", "--max-message-size", MAX_MESSAGE_SIZE]
    if "--no-console" in helped.stdout:
        command.append("--no-console")
    return command


def _python(script: str, *flags: str) -> Callable[[], Sequence[str]]:
    return lambda: [str(python_peers()), str(HERE / "peers" / script), *flags]


def _node(script: str) -> Callable[[], Sequence[str]]:
    return lambda: [node_peers(), str(HERE / "peers" / "node" / script)]


def _go(name: str) -> Callable[[], Sequence[str]]:
    return lambda: [str(go_peer(name))]


def _rust(name: str, *flags: str) -> Callable[[], Sequence[str]]:
    return lambda: [str(rust_peer(name)), *flags]


def _floor() -> Sequence[str]:
    return [*_python("kernel_floor.py")(), str(kernel_floor())]


CONTESTANTS = (
    Contestant(OURS, "echo-trio (ours)", _ours, compresses=True),
    Contestant("trio-websocket", "stock trio-websocket", _python("trio_websocket_echo.py")),
    Contestant(
        "trio-websocket-no-gc",
        "trio-websocket, cyclic GC off",
        _python("trio_websocket_echo.py", "--no-gc"),
    ),
    Contestant("websockets-trio", "websockets, Trio", _python("websockets_trio_echo.py")),
    Contestant(
        "websockets-asyncio",
        "websockets, asyncio",
        _python("websockets_asyncio_echo.py"),
        compresses=True,
    ),
    Contestant(
        "websockets-uvloop",
        "websockets, uvloop",
        _python("websockets_asyncio_echo.py", "--uvloop"),
    ),
    Contestant("aiohttp", "aiohttp", _python("aiohttp_echo.py")),
    Contestant("uvicorn", "uvicorn + uvloop + websockets", _python("uvicorn_echo.py")),
    Contestant(
        "uvicorn-sansio",
        "uvicorn + uvloop + websockets (sans-I/O)",
        _python("uvicorn_echo.py", "--sansio"),
    ),
    Contestant("node-ws", "Node ws", _node("ws_echo.mjs"), compresses=True),
    Contestant("picows", "picows + uvloop (Cython)", _python("picows_echo.py")),
    Contestant("socketify", "uWebSockets (C++), by socketify", _python("socketify_echo.py")),
    Contestant("gorilla", "gorilla/websocket (Go)", _go("gorilla"), compresses=True),
    Contestant("coder", "coder/websocket (Go)", _go("coder"), compresses=True),
    Contestant("nbio", "nbio (Go)", _go("nbio"), compresses=True),
    Contestant("tungstenite", "tokio-tungstenite (Rust)", _rust("tokio_tungstenite")),
    Contestant(
        "tungstenite-4KiB",
        "tokio-tungstenite (Rust), reads of 4 KiB",
        _rust("tokio_tungstenite", "--read-buffer", "4096"),
    ),
    Contestant("fastwebsockets", "fastwebsockets (Rust)", _rust("fastwebsockets")),
    Contestant("kernel-floor", "no server: epoll, recv, send in C", _floor, is_server=False),
)
