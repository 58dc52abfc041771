"""Each request to the console is answered with what it asks for, or with why not."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trio
import trio.testing

from echo_trio.console.endpoints import MAX_READERS, ConsoleSources, make_app
from echo_trio.console.faults import FaultControl
from echo_trio.console.runs import CannotRun
from echo_trio.console.snapshots import SnapshotCache
from echo_trio.metrics import totals


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class FakeRun:
    """A run as the endpoints see it."""

    def __init__(self, number: int = 1, *, over: bool = False) -> None:
        self.id, self.over = str(number), over
        self.name, self.note, self.error = "a name", "a note", ""
        self.html: Path | None = None
        self.accepted = SimpleNamespace(page=True)
        self.report: bytes | None = None
        self.cancelled = 0

    def summary(self) -> dict[str, Any]:
        return {"id": self.id, "over": self.over, "name": self.name, "note": self.note}

    def progress(self) -> dict[str, Any]:
        return {"progress": self.id}

    async def find_report(self) -> bytes | None:
        return self.report

    async def follow(self, emit: Any) -> None:
        await emit(b"event of the run")

    def cancel(self) -> None:
        self.cancelled += 1


class FakeRuns:
    """Runs as the endpoints see them; `refuses` is raised wherever something is asked of them."""

    def __init__(self) -> None:
        self.scenario_dir: str | None = None
        self.all = [FakeRun(1), FakeRun(2, over=True)]
        self.refuses: Exception | None = None
        self.asked: list[Any] = []

    def __iter__(self) -> Any:
        return iter(self.all)

    def _note(self, *asked: Any) -> None:
        if self.refuses is not None:
            raise self.refuses
        self.asked.append(asked)

    async def start(self, settings: Any) -> FakeRun:
        self._note("start", settings.values)
        return self.all[0]

    async def find(self, number: str) -> FakeRun | None:
        return next((run for run in self.all if run.id == number), None)

    async def read_trends(self, run: FakeRun) -> bytes:
        self._note("trends", run.id)
        return b'{"lines": []}'

    async def steer(self, run: FakeRun, load: Any) -> dict[str, Any]:
        self._note("steer", run.id, load)
        return {"load": "changed"}

    async def annotate(self, run: FakeRun, *, name: str, note: str) -> None:
        self._note("annotate", run.id, name, note)
        run.name, run.note = name, note


class FakeDialling:
    """Dialling as the endpoints see it."""

    def __init__(self) -> None:
        self.refuses: Exception | None = None
        self.dials: dict[str, Any] = {}
        self.forgotten: list[Any] = []

    def describe(self) -> Any:
        return {"targets": ["a:1"]}

    def open(self, order: Any) -> Any:
        if self.refuses is not None:
            raise self.refuses

        async def run(emit: Any) -> None:
            await emit(b"event of the dial")

        self.dials["1"] = SimpleNamespace(run=run)
        return self.dials["1"]

    def get(self, number: str) -> Any:
        return self.dials.get(number)

    def forget(self, dial: Any) -> None:
        self.forgotten.append(dial)


class Console:
    """The app, with everything behind it played by the test."""

    def __init__(self, page: Path, *, faults: FaultControl | None = None) -> None:
        self.now = totals.nothing()
        self.take: Any = lambda: self.now
        self.taken = 0
        self.live = SimpleNamespace(over=False, follow=self._follow)
        self.after_ms: list[int | None] = []
        self.runs, self.dialling = FakeRuns(), FakeDialling()
        self.tasks: Any = lambda: {"name": "root"}
        sources = ConsoleSources(
            tasks=lambda: self.tasks(),  # noqa: PLW0108 - a test replaces it
            metrics=lambda: b"own 1\n",
            faults=faults,
        )
        fakes: Any = (self.live, self.runs, self.dialling)
        self._app = make_app(sources, SnapshotCache(self._take), *fakes, page)

    def _take(self) -> Any:
        self.taken += 1
        return self.take()

    async def _follow(self, emit: Any, *, after_ms: int | None) -> None:
        self.after_ms.append(after_ms)
        await emit(b"event of the server")

    async def ask(self, method: str, path: str, body: Any = b"", **headers: str) -> Answer:
        if not isinstance(body, bytes):
            body = json.dumps(body).encode()
        sent: list[Any] = []
        said = [{"type": "http.request", "body": body, "more_body": False}]
        scope: Any = {
            "type": "http", "method": method, "path": path, "raw_path": path.encode(),
            "query_string": b"", "root_path": "", "scheme": "http", "http_version": "1.1",
            "server": ("h", 1), "client": ("c", 2), "state": {"arrived_s": trio.current_time()},
            "headers": [(name.replace("_", "-").encode(), value.encode())
                        for name, value in headers.items()],
        }  # fmt: skip

        async def receive() -> Any:
            if not said:
                await trio.sleep_forever()
            return said.pop()

        async def send(message: Any) -> None:
            sent.append(message)

        try:
            await self._app(scope, receive, send)
        finally:
            self.sent = sent
        start, *parts = sent
        return Answer(
            start["status"],
            {name.decode(): value.decode() for name, value in start["headers"]},
            b"".join(part.get("body", b"") for part in parts),
        )

    async def change(self, method: str, path: str, body: Any = b"") -> Answer:
        return await self.ask(method, path, body, content_type="application/json")


@pytest.fixture
async def console(tmp_path: Path) -> Console:
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text("the page")
    (tmp_path / "favicon.svg").write_text("<svg/>")
    (tmp_path / ".hidden").write_text("x")
    (tmp_path / "assets" / "a-1b2c.js").write_text("script")
    (tmp_path / "assets" / "a-1b2c.js.gz").write_text("packed")
    return Console(tmp_path)


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
    answer = await console.ask("GET", "/api/server")
    assert answer.json["accepted"] == 0
    assert answer.headers["content-type"] == "application/json"
    answer = await console.ask("GET", "/metrics")
    assert b"echo_trio_connections_open 0.0\n" in answer.body
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
