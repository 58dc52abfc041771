"""Each request about runs is answered with what it asks for, or with why not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from echo_trio.console.runs import CannotRun

from .app import Answer, Console


async def test_a_run_is_started_or_told_why_not(console: Console) -> None:
    answer = await console.change("POST", "/api/runs", {"count": 10})
    assert (answer.status, answer.json, answer.headers["location"]) == (
        202, {"id": "1"}, "/api/runs/1",
    )  # fmt: skip
    assert console.runs.asked == [("start", {"count": "10"})]
    answer = await console.change("POST", "/api/runs", {})
    assert (answer.status, answer.json["field"]) == (422, "count")
    assert "field" not in (await console.change("POST", "/api/runs", b"[")).json
    console.runs.refuses = CannotRun("too many", status=429)
    answer = await console.change("POST", "/api/runs", {"count": 10})
    assert (answer.status, answer.json) == (429, {"error": "too many"})
    assert (await console.ask("POST", "/api/runs", {"count": 10})).status == 403


async def test_runs_are_listed_and_each_is_shown_as_far_as_it_is(console: Console) -> None:
    listed = (await console.ask("GET", "/api/runs")).json
    assert [run["id"] for run in listed["runs"]] == ["1", "2"]
    assert (await console.ask("GET", "/api/runs/1")).json == {"progress": "1"}
    assert (await console.ask("GET", "/api/runs/2")).json["over"] is True
    console.runs.all[1].report = b'{"schema": 1}'
    assert (await console.ask("GET", "/api/runs/2")).json == {"schema": 1}
    console.runs.all[0].report = b'{"schema": 1}'
    assert (await console.ask("GET", "/api/runs/1")).json == {"progress": "1"}
    for path in ("/api/runs/3", "/api/runs/3/live", "/api/runs/3/report.html"):
        answer = await console.ask("GET", path)
        assert (answer.status, answer.json) == (
            404, {"error": "there is no such run, or it was long ago"},
        )  # fmt: skip


async def test_the_page_of_a_run_is_there_once_it_has_ended(
    console: Console, tmp_path: Path
) -> None:
    async def report(number: int) -> Answer:
        return await console.ask("GET", f"/api/runs/{number}/report.html")

    assert (await report(1)).status == 409
    assert (await report(2)).status == 404
    run = console.runs.all[1]
    run.html = tmp_path / "report.html"
    assert (await report(2)).json == {"error": "the run has left no page"}
    run.error = "it was killed"
    assert ((await report(2)).status, (await report(2)).json) == (404, {"error": "it was killed"})
    run.accepted.page = False
    assert (await report(2)).status == 503
    run.html.write_text("the report")
    answer = await report(2)
    assert (answer.status, answer.body) == (200, b"the report")
    assert "sandbox" in answer.headers["content-security-policy"]


async def test_trends_are_told_or_why_there_are_none(console: Console) -> None:
    answer = await console.ask("GET", "/api/runs/2/trends")
    assert (answer.status, answer.json) == (200, {"lines": []})
    console.runs.refuses = CannotRun("no history", status=404)
    answer = await console.ask("GET", "/api/runs/2/trends")
    assert (answer.status, answer.json) == (404, {"error": "no history"})


@pytest.mark.parametrize(
    ("body", "asked"),
    [
        ({"name": "new"}, [("annotate", "1", "new", "a note")]),
        ({"note": "new"}, [("annotate", "1", "a name", "new")]),
        ({}, [("annotate", "1", "a name", "a note")]),
        ({"paused": True}, [("steer", "1", {"paused": True})]),
        (
            {"factor": 2, "name": "new"},
            [("steer", "1", {"factor": 2}), ("annotate", "1", "new", "a note")],
        ),
    ],
    ids=str,
)
async def test_of_a_run_what_is_named_is_changed(console: Console, body: Any, asked: Any) -> None:
    answer = await console.change("PATCH", "/api/runs/1", body)
    assert (answer.status, console.runs.asked) == (200, asked)
    assert ("load" in answer.json) is (asked[0][0] == "steer")
    assert answer.json["name"] == body.get("name", "a name")


@pytest.mark.parametrize(
    ("refuses", "body", "status", "told"),
    [
        (CannotRun("it is over", status=409), {"paused": True}, 409, {"error": "it is over"}),
        (OSError(28, "full"), {"name": "x"}, 503, None),
        (None, {"size": 1}, 422, None),
    ],
)
async def test_why_nothing_is_changed_is_told(
    console: Console, refuses: Any, body: Any, status: int, told: Any
) -> None:
    console.runs.refuses = refuses
    answer = await console.change("PATCH", "/api/runs/1", body)
    assert answer.status == status
    assert told is None or answer.json == told
    assert answer.json["error"]
    assert (await console.ask("PATCH", "/api/runs/1", body)).status == 403


async def test_a_run_is_cancelled_once(console: Console) -> None:
    answer = await console.change("DELETE", "/api/runs/1")
    assert (answer.status, console.runs.all[0].cancelled) == (202, 1)
    answer = await console.change("DELETE", "/api/runs/2")
    assert (answer.status, answer.json) == (409, {"error": "the run has ended already"})
    assert (await console.ask("DELETE", "/api/runs/1")).status == 403
    assert [run.cancelled for run in console.runs.all] == [1, 0]
