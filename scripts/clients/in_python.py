"""Try what popular clients do under each behaviour, and write the table of docs/clients.md.

    python scripts/clients/table.py

It needs Node with `ws` (make page), Go and Cargo beside what `make install` and the development
requirements bring. The times in it are patience only, but on a machine that is busy a client may
time out where it would have got its reply: read the difference before it is committed.

Each client connects to a path, sends `hello`, and receives until something ends that, or for
`PATIENCE_S`; then it closes as its documentation says. The server tells what it saw. What a path
asks for beyond that stands in its query, which the server passes over: `send=3` sends three times,
`take=1` closes behind the first message.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import aiohttp
import httpx_ws
import picows
import trio
import trio_websocket
import websocket
from websockets.asyncio.client import connect as connect_asyncio
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect as connect_sync

from echo_trio import serving_in_thread
from echo_trio.testing.running_server import RunningServer

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PAGE = ROOT / "docs/clients.md"
#: How long a client waits for a message that never comes.
PATIENCE_S = 0.5
#: The paths, and what each asks of a client.
BEHAVIOURS = {
    "/plain?take=1": "an exact echo, then the client closes",
    "/?take=1": "an echo with a number behind it",
    "/info?take=1": "a message that comes before any was sent",
    "/fragment/1": "a reply in frames of one byte",
    "/delay/200ms?take=1": "a reply that is late, but not too late",
    "/stall/1/200ms?take=1": "a connection that freezes, and goes on",
    "/silent": "no reply: is there a timeout?",
    "/swallow/1": "a reply that is lost",
    "/duplicate/1?take=2": "a reply that comes twice",
    "/corrupt/1?take=1": "a reply that is altered",
    "/reorder/1": "a reply that is held back until the connection closes: who still reads it?",
    "/burst/3?take=3": "three replies to one message",
    "/rpc?take=1": "a JSON-RPC error, for hello is no call",
    "/room/lobby?take=1": "a room, where one's own message comes back",
    "/ticker/100ms?take=3": "pushes that nobody has asked for",
    "/login/secret": "a greeting, and 4401 for who does not log in",
    "/quota/1?send=3": "4429 for who sends more than one message a second",
    "/close/1000": "a close frame with 1000",
    "/close/4001/try%20again": "a close frame with a code and a reason of its own",
    "/close/1005": "a close frame without a code",
    "/close/1006": "the end of TCP without a close frame",
    "/drop/1": "one reply, then a TCP reset",
    "/status/503": "a handshake refused with 503",
}


class Said(list[str]):
    """The events that a client shows its user, in order.

    :ivar sends: how often the client is to send hello.
    :ivar takes: the number of messages behind which it is to close.
    """

    def __init__(self, path: str) -> None:
        super().__init__()
        asked = parse_qs(urlsplit(path).query)
        self.sends = int(asked.get("send", ["1"])[0])
        self.takes = int(asked.get("take", ["1000"])[0])

    @property
    def is_enough(self) -> bool:
        """True once the client is to close; as long as messages are all that there was."""
        return len(self) >= self.takes

    def ended(self, exc: BaseException, code: object = None, reason: object = "") -> None:
        """Note an exception, and the code and reason that it carries, if any."""
        told = type(exc).__name__
        if code is not None:
            told += f" {code}"
        self.append(f"{told} “{reason}”" if reason else told)


# -- The clients ------------------------------------------------------------------------------


def try_websockets_sync(url: str, said: Said) -> None:
    try:
        with connect_sync(url, proxy=None) as client:
            for _ in range(said.sends):
                client.send("hello")
            while not said.is_enough:
                said.append(str(client.recv(timeout=PATIENCE_S)))
    except ConnectionClosed as exc:
        received = exc.rcvd
        said.ended(exc, received and int(received.code), received and received.reason)
    except InvalidStatus as exc:
        said.ended(exc, exc.response.status_code)
    except TimeoutError as exc:
        said.ended(exc)


async def try_websockets_asyncio(url: str, said: Said) -> None:
    try:
        async with connect_asyncio(url, proxy=None) as client:
            for _ in range(said.sends):
                await client.send("hello")
            while not said.is_enough:
                said.append(str(await asyncio.wait_for(client.recv(), PATIENCE_S)))
    except ConnectionClosed as exc:
        received = exc.rcvd
        said.ended(exc, received and int(received.code), received and received.reason)
    except InvalidStatus as exc:
        said.ended(exc, exc.response.status_code)
    except TimeoutError as exc:
        said.ended(exc)


async def try_aiohttp(url: str, said: Said) -> None:
    async with aiohttp.ClientSession() as session:
        try:
            async with session.ws_connect(url) as client:
                for _ in range(said.sends):
                    await client.send_str("hello")
                while not said.is_enough:
                    message = await client.receive(timeout=PATIENCE_S)
                    if message.type is aiohttp.WSMsgType.TEXT:
                        said.append(message.data)
                        continue
                    told = f"{message.type.name}, close_code {client.close_code}"
                    said.append(told + (f" “{message.extra}”" if message.extra else ""))
                    return
        except aiohttp.WSServerHandshakeError as exc:
            said.ended(exc, exc.status)
        except (OSError, aiohttp.ClientError, TimeoutError) as exc:
            said.ended(exc)


def try_websocket_client(url: str, said: Said) -> None:
    try:
        client = websocket.create_connection(url, timeout=PATIENCE_S)
    except websocket.WebSocketBadStatusException as exc:
        said.ended(exc, exc.status_code)
        return
    try:
        for _ in range(said.sends):
            client.send("hello")
        while not said.is_enough:
            opcode, data = client.recv_data(control_frame=True)
            if opcode == websocket.ABNF.OPCODE_CLOSE:
                said.append(f"OPCODE_CLOSE {data!r}")
                return
            said.append(data.decode())
    except (OSError, websocket.WebSocketException) as exc:
        said.ended(exc)
    finally:
        client.close(timeout=1)


def try_httpx_ws(url: str, said: Said) -> None:
    try:
        with httpx_ws.connect_ws(url) as client:
            for _ in range(said.sends):
                client.send_text("hello")
            while not said.is_enough:
                said.append(client.receive_text(timeout=PATIENCE_S))
    except httpx_ws.WebSocketDisconnect as exc:
        said.ended(exc, exc.code, exc.reason)
    except httpx_ws.WebSocketUpgradeError as exc:
        said.ended(exc, exc.response.status_code)
    except BaseException as exc:  # noqa: BLE001 - which one is what the table is about
        said.ended(exc)


async def try_picows(url: str, said: Said) -> None:
    class Listener(picows.WSListener):
        def on_ws_connected(self, transport: picows.WSTransport) -> None:
            for _ in range(said.sends):
                transport.send(picows.WSMsgType.TEXT, b"hello")

        def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
            if frame.msg_type == picows.WSMsgType.CLOSE:
                reason = frame.get_close_message()
                told = f"CLOSE {int(frame.get_close_code())}"
                said.append(f"{told} “{reason}”" if reason else told)
                transport.send_close(frame.get_close_code(), reason)
                transport.disconnect()
                return
            frames.append(frame.get_payload_as_ascii_text())
            if frame.fin:
                said.append("".join(frames) if len(frames) == 1 else f"{len(frames)} frames")
                frames.clear()
                if said.is_enough:
                    transport.send_close(picows.WSCloseCode.OK)
                    transport.disconnect()

    frames: list[str] = []
    try:
        transport, _ = await picows.ws_connect(Listener, url)
    except picows.WSHandshakeError as exc:
        said.ended(exc)
        return
    try:
        await asyncio.wait_for(asyncio.shield(transport.wait_disconnected()), PATIENCE_S)
    except TimeoutError:
        said.append("(no end)")
    else:
        if not said or not said[-1].startswith("CLOSE"):
            said.append("disconnected")
    transport.disconnect(graceful=False)


async def try_trio_websocket(url: str, said: Said) -> None:
    try:
        async with trio_websocket.open_websocket_url(url) as client:
            for _ in range(said.sends):
                await client.send_message("hello")
            while not said.is_enough:
                with trio.fail_after(PATIENCE_S):
                    said.append(str(await client.get_message()))
    except trio_websocket.ConnectionClosed as exc:
        reason = exc.reason
        said.ended(exc, reason and reason.code, reason and reason.reason)
    except trio_websocket.ConnectionRejected as exc:
        said.ended(exc, exc.status_code)
    except trio.TooSlowError as exc:
        said.ended(exc)


NODE_CLIENT = """
const WebSocket = require("ws");
const said = [];
const asked = new URL(process.argv[1]).searchParams;
const takes = Number(asked.get("take") ?? 1000);
const client = new WebSocket(process.argv[1]);
const done = () => { console.log(JSON.stringify(said)); process.exit(0); };
client.on("open", () => {
  for (let n = Number(asked.get("send") ?? 1); n > 0; n--) client.send("hello");
  const late = () => { said.push("(no event)"); client.close(); setTimeout(done, 200); };
  setTimeout(late, 500).unref();
});
client.on("message", (data) => {
  said.push(data.toString());
  if (said.length === takes) client.close();
});
client.on("error", (error) => said.push(`error: ${error.message}`));
client.on("close", (code, reason) => {
  said.push(`close ${code}` + (reason.length ? ` “${reason}”` : ""));
  setTimeout(done, 50);
});
"""


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
    modules = ROOT / "react-client/node_modules"
    versions = {
        "ws": json.loads((modules / "ws/package.json").read_text())["version"],
        "go": found(r"coder/websocket v(\S+)", HERE / "go/go.mod"),
        "rust": found(r'"tokio-tungstenite"\nversion = "(.*)"', HERE / "rust/Cargo.lock"),
    }
    return {
        f"Node ws {versions['ws']}": program("node", "-e", NODE_CLIENT, NODE_PATH=str(modules)),
        f"Go coder/websocket {versions['go']}": program(folder / "go"),
        f"Rust tokio-tungstenite {versions['rust']}": program(
            folder / "rust/release/echo-trio-clients"
        ),
    }


def found(pattern: str, file: Path) -> str:
    """Find a version in a file."""
    match = re.search(pattern, file.read_text())
    assert match
    return match[1]


def in_asyncio(client: Callable[[str, Said], Awaitable[None]]) -> Callable[[str, Said], None]:
    return lambda url, said: asyncio.run(client(url, said))  # type: ignore[arg-type]


CLIENTS: dict[str, Callable[[str, Said], None]] = {
    f"websockets {version('websockets')}, sync": try_websockets_sync,
    f"websockets {version('websockets')}, asyncio": in_asyncio(try_websockets_asyncio),
    f"aiohttp {version('aiohttp')}": in_asyncio(try_aiohttp),
    f"websocket-client {version('websocket-client')}": try_websocket_client,
    f"httpx-ws {version('httpx-ws')}": try_httpx_ws,
    f"picows {version('picows')}": in_asyncio(try_picows),
    f"trio-websocket {version('trio-websocket')}": lambda url, said: trio.run(
        try_trio_websocket, url, said
    ),
}


# -- The table --------------------------------------------------------------------------------


def saw(server: RunningServer) -> str:
    """Write what the server saw of the one connection."""
    server.wait_closed(1, 10.0)
    (connection,) = server.connections
    code = f" {connection.close_code}" if connection.close_code is not None else ""
    return f"{connection.outcome}{code}"


def rows_of(path: str) -> list[str]:
    """Let every client try a path; make a row of the table for each."""
    rows = []
    for name, client in CLIENTS.items():
        said = Said(path)
        with serving_in_thread() as server:
            client(server.path(path), said)
            cells = " · ".join(f"`{shown(text)}`" for text in said) or "–"
            rows.append(f"| {name} | {cells} | {saw(server)} |".replace("\n", " "))
    return rows


#: What differs from run to run, or would fill the page, and what is shown instead.
SHOWN = (
    (re.compile(r"^(\W?h?ello) \d+$"), r"\1 7"),
    (re.compile(r'^(\{"seq": ?\d+, ?"t": ?)\d+'), r"\1…"),
    (re.compile(r'^\{.*"headers".*\}$', re.DOTALL), '{"headers": …}'),
)


def shown(text: str) -> str:
    """Make a message the same in each run."""
    for pattern, instead in SHOWN:
        text = pattern.sub(instead, text)
    return text


def make_tables() -> str:
    """Make the tables of all behaviours."""
    parts = []
    for path, what in BEHAVIOURS.items():
        parts += [
            f"### `{path.partition('?')[0]}`: {what}",
            "| client | its user gets | the server saw |",
        ]
        parts += ["| --- | --- | --- |", *rows_of(path), ""]
        print(f"{path} done", file=sys.stderr)
    return "\n".join(parts)


def main() -> None:
    """Build the clients that need it, and write the tables."""
    with tempfile.TemporaryDirectory(prefix="clients-") as name:
        CLIENTS.update(build(Path(name)))
        head, begin, _ = PAGE.read_text().partition("<!-- tables: scripts/clients/table.py -->\n")
        PAGE.write_text(f"{head}{begin}\n{make_tables()}")


if __name__ == "__main__":
    main()
