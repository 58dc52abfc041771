"""A request to dial becomes a stream, and who sends over it is told how that went."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio

from echo_trio.dialling.dial import CannotSend
from echo_trio.dialling.room import CannotDial

from .test_endpoints import Console

ORDER = {"url": "ws://a:1/"}
ITEMS = {"items": [{"kind": "text", "text": "hello"}]}


@pytest.fixture
async def console(tmp_path: Path) -> Console:
    return Console(tmp_path)


async def test_a_dial_is_forgotten_when_its_stream_has_ended(console: Console) -> None:
    assert (await console.ask("GET", "/api/dial")).json == {"targets": ["a:1"]}
    answer = await console.change("POST", "/api/dial", ORDER)
    assert (answer.status, answer.body) == (200, b"event of the dial")
    assert console.dialling.forgotten == [console.dialling.dials["1"]]


async def test_one_for_which_there_is_no_stream_is_forgotten_at_once(console: Console) -> None:
    console.live.over = True
    assert (await console.change("POST", "/api/dial", ORDER)).status == 503
    assert len(console.dialling.forgotten) == 1


async def test_what_cannot_be_dialled_is_told(console: Console) -> None:
    answer = await console.change("POST", "/api/dial", {"url": 1})
    assert (answer.status, answer.json["field"]) == (422, "url")
    assert "field" not in (await console.change("POST", "/api/dial", b"{")).json
    assert (await console.ask("POST", "/api/dial", ORDER)).status == 403
    console.dialling.refuses = CannotDial("too many")
    answer = await console.change("POST", "/api/dial", ORDER)
    assert (answer.status, answer.headers["retry-after"]) == (503, "5")
    assert answer.json == {"error": "too many"}
    assert console.dialling.forgotten == []


async def test_who_sends_is_told_how_that_went(console: Console) -> None:
    sent, fails = list[Any](), list[Exception]()

    async def send(items: Any) -> None:
        await trio.lowlevel.checkpoint()
        if fails:
            raise fails[0]
        sent.extend(items)

    await console.change("POST", "/api/dial", ORDER)
    console.dialling.dials["1"].send = send
    answer = await console.change("POST", "/api/dial/1", ITEMS)
    assert (answer.status, answer.body) == (204, b"")
    assert [(item.kind, item.text) for item in sent] == [("text", "hello")]
    assert (await console.ask("POST", "/api/dial/1", ITEMS)).status == 403
    assert (await console.change("POST", "/api/dial/1", b"{")).status == 400
    long = {"items": [{"kind": "ping", "text": "x" * 126}]}
    answer = await console.change("POST", "/api/dial/1", long)
    assert (answer.status, answer.json["field"]) == (422, "text")
    fails.append(CannotSend("it is closing", status=409))
    answer = await console.change("POST", "/api/dial/1", ITEMS)
    assert (answer.status, answer.json) == (409, {"error": "it is closing"})
    answer = await console.change("POST", "/api/dial/7", ITEMS)
    assert (answer.status, answer.json) == (
        404, {"error": "there is no such connection, or it has ended"},
    )  # fmt: skip
    assert len(sent) == 1
