"""The page of what popular clients do: made of what was tried, under every path that there is."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from echo_trio.behaviours import paths

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts/clients"))
import page  # noqa: E402 - beside the programs that it is about

sys.path.pop(0)

RESULTS = json.loads((ROOT / "docs/clients.json").read_text())
#: Eight of them, websockets by two of its interfaces; and the library that our own wire stands on.
CLIENTS = {
    "websockets, sync", "websockets, asyncio", "aiohttp", "websocket-client", "httpx-ws", "picows",
    "Node ws", "Go coder/websocket", "Rust tokio-tungstenite", "trio-websocket",
}  # fmt: skip


def test_every_behaviour_was_tried_with_every_client():
    tried = {each["path"] for each in RESULTS["behaviours"]}
    assert all(paths.find(path) is not None for path in tried)
    known = {re.match("/[a-z]*", pattern)[0] for pattern in paths.BEHAVIOURS}
    assert {re.match("/[a-z]*", path)[0] for path in tried} == known
    for each in RESULTS["behaviours"]:
        assert {page.bare(one["client"]) for one in each["seen"]} == CLIENTS


def test_the_page_is_made_of_these_results():
    assert (ROOT / "docs/clients.md").read_text() == page.render(RESULTS)


def test_a_sentence_that_stands_on_another_result_is_not_written():
    changed = json.loads(json.dumps(RESULTS))
    (silent,) = (each for each in changed["behaviours"] if each["path"] == "/silent")
    silent["seen"][0]["server"] = "clean 1000"
    with pytest.raises(LookupError, match=r"closes with 1011.*websockets, sync under /silent is"):
        page.render(changed)
