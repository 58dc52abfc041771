"""Each request to the console is answered with what it asks for, or with why not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from echo_trio.console.endpoints import MAX_READERS
from echo_trio.console.faults import FaultControl

from .app import Console


@pytest.mark.parametrize(
    ("path", "status", "body", "lasting"),
    [
        ("/", 200, b"the page", "no-cache"),
        ("/favicon.svg", 200, b"<svg/>", "no-cache"),
        ("/assets/a-1b2c.js", 200, b"packed", "public, max-age=31536000, immutable"),
        ("/.hidden", 404, None, None),
        ("/assets", 404, None, None),
        ("/assets/", 404, None, None),
        ("/assets/../index.html", 404, None, None),
        ("//etc/passwd", 404, None, None),
        ("/gone.js", 404, None, None),
    ],
)
async def test_of_the_page_its_own_files_are_sent(
    console: Console, path: str, status: int, body: bytes | None, lasting: str | None
) -> None:
    answer = await console.ask("GET", path, accept_encoding="gzip")
    assert (answer.status, answer.headers.get("cache-control")) == (status, lasting)
    assert answer.body == body or answer.json == {"error": "there is nothing of that name"}


async def test_that_the_page_is_not_built_is_told(tmp_path: Path) -> None:
    answer = await Console(tmp_path / "nowhere").ask("GET", "/")
    assert (answer.status, answer.body[:22]) == (503, b"The page isn't built. ")


@pytest.mark.parametrize(
    ("workers", "draining", "over", "status", "body", "taken"),
    [
        ([2], False, False, 200, b"ready\n", 1),
        ([0, 1], False, False, 200, b"ready\n", 2),
        ([0, 0], False, False, 503, b"no worker serves\n", 2),
        ([2], True, False, 503, b"draining\n", 1),
        ([2], False, True, 503, b"draining\n", 1),
    ],
)
async def test_it_is_ready_while_somebody_serves(
    console: Console, workers: list[int], draining: bool, over: bool, status: int, body: bytes,
    taken: int,
) -> None:  # fmt: skip
    seen = [replace(console.now, workers=each, draining=draining) for each in workers]
    console.take = lambda: seen[min(console.taken, len(seen)) - 1]
    console.live.over = over
    answer = await console.ask("GET", "/readyz")
    assert (answer.status, answer.body, console.taken) == (status, body, taken)
    assert (await console.ask("HEAD", "/readyz")).status == status
    assert (await console.ask("GET", "/healthz")).body == b"alive\n"
    assert (await console.ask("POST", "/healthz")).status == 405


async def test_figures_are_as_new_as_the_request(console: Console) -> None:
    for accepted in range(3):
        console.now = replace(console.now, accepted=accepted)
        answer = await console.ask("GET", "/api/server")
        assert answer.json["accepted"] == accepted
        assert answer.headers["content-type"] == "application/json"
        console.now = replace(console.now, open=accepted)
        answer = await console.ask("GET", "/metrics")
        assert b"echo_trio_connections_open %d.0\n" % accepted in answer.body
    assert answer.body.endswith(b"own 1\n")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")


@pytest.mark.parametrize("is_async", [False, True])
async def test_tasks_may_have_to_be_asked_for(console: Console, is_async: bool) -> None:
    async def ask() -> Any:
        await trio.lowlevel.checkpoint()
        return {"name": "asked"}

    if is_async:
        console.tasks = ask
    assert (await console.ask("GET", "/api/tasks")).json == {
        "name": "asked" if is_async else "root"
    }


async def test_a_fault_of_ours_is_no_secret_and_tells_none(console: Console) -> None:
    def fail() -> None:
        raise ZeroDivisionError("secret")

    console.tasks = fail
    with pytest.raises(ZeroDivisionError):
        await console.ask("GET", "/api/tasks")
    assert console.sent[0]["status"] == 500
    assert b"secret" not in console.sent[1]["body"]


@pytest.mark.parametrize(
    ("last", "after_ms"),
    [(None, None), ("12", 12), ("x", None), ("9" * 15, 10**15 - 1), ("9" * 16, None), ("", None)],
)
async def test_a_stream_goes_on_behind_what_was_seen(
    console: Console, last: str | None, after_ms: int | None
) -> None:
    given = {} if last is None else {"last_event_id": last}
    answer = await console.ask("GET", "/api/live", **given)
    assert (answer.status, answer.body) == (200, b"event of the server")
    assert console.after_ms == [after_ms]


async def test_there_are_so_many_streams_at_once_and_each_that_ends_makes_room(
    console: Console, nursery: trio.Nursery
) -> None:
    go_on = trio.Event()

    async def wait(emit: Any, *, after_ms: int | None) -> None:
        await go_on.wait()

    console.live.follow = wait
    async with trio.open_nursery() as streams:
        for _ in range(MAX_READERS):
            streams.start_soon(console.ask, "GET", "/api/live")
        await trio.testing.wait_all_tasks_blocked()
        full = await console.ask("GET", "/api/runs/1/live")
        assert (full.status, full.headers["retry-after"]) == (503, "5")
        assert full.json == {"error": "32 streams are open already"}
        go_on.set()
    assert (await console.ask("GET", "/api/runs/1/live")).body == b"event of the run"
    console.live.over = True
    stopping = await console.ask("GET", "/api/live")
    assert (stopping.status, stopping.json) == (503, {"error": "the server is stopping"})


async def test_what_can_stand_in_a_path_and_which_scenarios_there_are_is_told(
    console: Console, tmp_path: Path
) -> None:
    assert (await console.ask("GET", "/api/behaviours")).json["max_faults"] == 10
    assert (await console.ask("GET", "/api/scenarios")).json == {"scenarios": []}
    (tmp_path / "s.py").write_text("")
    console.runs.scenario_dir = str(tmp_path)
    assert (await console.ask("GET", "/api/scenarios")).json == {"scenarios": ["s.py"]}


async def test_the_faults_of_a_proxy_are_told_and_changed(tmp_path: Path) -> None:
    held = ["~silent"]

    class Wrong(ValueError):
        at: int | None = None

    def change(text: str) -> None:
        if text.startswith("bad"):
            wrong = Wrong("no such fault")
            if text == "bad at":
                wrong.at = 2
            raise wrong
        held[0] = text

    console = Console(tmp_path, faults=FaultControl(lambda: held[0], change))
    assert (await console.ask("GET", "/api/faults")).json == {"faults": "~silent"}
    answer = await console.change("PUT", "/api/faults", {"faults": "~drop/3"})
    assert (answer.status, answer.json) == (200, {"faults": "~drop/3"})
    for body, status, told in (
        ({"faults": "bad"}, 422, {"error": "no such fault", "field": "faults"}),
        ({"faults": "bad at"}, 422, {"error": "no such fault", "field": "faults", "at": 2}),
        (b"[", 400, None),
        ({"other": ""}, 422, {"error": "other: there is only faults", "field": "other"}),
    ):
        answer = await console.change("PUT", "/api/faults", body)
        assert answer.status == status
        assert told is None or answer.json == told
    assert (await console.ask("PUT", "/api/faults", {"faults": ""})).status == 403
    assert held == ["~drop/3"]
    plain = Console(tmp_path)
    for answer in (
        await plain.ask("GET", "/api/faults"),
        await plain.change("PUT", "/api/faults", {"faults": ""}),
    ):
        assert answer.status == 404
