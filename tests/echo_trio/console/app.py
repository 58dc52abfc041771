"""The console's app, with everything behind it played by the test."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import trio

from echo_trio.console.endpoints import ConsoleSources, make_app
from echo_trio.console.faults import FaultControl
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
