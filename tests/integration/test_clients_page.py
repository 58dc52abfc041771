"""The page of what popular clients do: a row for each client, under paths that the server has."""

from __future__ import annotations

import re
from pathlib import Path

from echo_trio.behaviours import paths

PAGE = (Path(__file__).parents[2] / "docs/clients.md").read_text()
#: Eight of them, websockets by two of its interfaces; and the library that our own wire stands on.
CLIENTS = {
    "websockets, sync", "websockets, asyncio", "aiohttp", "websocket-client", "httpx-ws", "picows",
    "Node ws", "Go coder/websocket", "Rust tokio-tungstenite", "trio-websocket",
}  # fmt: skip


def test_every_section_is_a_path_of_the_server_and_has_every_client():
    _, *sections = re.split(r"^### ", PAGE, flags=re.MULTILINE)
    assert len(sections) >= 9
    for section in sections:
        path = section.split("`")[1]
        assert paths.find(path) is not None, path
        rows = re.findall(r"^\| (.*?) \| (.+) \| (\S.*) \|$", section, re.MULTILINE)
        named = {re.sub(r" [\d.]+", "", client) for client, *_ in rows[2:]}
        assert named == CLIENTS, path
