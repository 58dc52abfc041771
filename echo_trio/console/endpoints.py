"""Answer the console's requests, from functions that return what there is to show."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import trio
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from echo_trio.behaviours.description import describe
from echo_trio.console.assets import asset_response
from echo_trio.console.dials import DialEndpoints
from echo_trio.console.event_stream import EventStream
from echo_trio.console.faults import FIELD, BadFaults, FaultControl, read_faults
from echo_trio.console.guard import FAILED, error, require_change
from echo_trio.console.live import Live
from echo_trio.console.run import Run
from echo_trio.console.run_settings import BadSettings, read_patch, read_settings
from echo_trio.console.runs import CannotRun, Runs
from echo_trio.console.scenarios import find_scenarios
from echo_trio.console.security_headers import REPORT_POLICY
from echo_trio.console.snapshots import SnapshotCache, ask
from echo_trio.dialling.room import Dialling
from echo_trio.metrics import prometheus

#: The folder into which `npm run build` puts the page.
PAGE: Final = Path(__file__).parent / "page"
PAGE_MISSING: Final = (
    "The page isn't built. In a checkout: make install (or: cd react-client && npm run build).\n"
)
#: Streams at once: each is a connection, and costs a write a second.
MAX_READERS: Final = 32

#: Names of the page's files. None begins with a dot, so that no path leads out of the folder.
_PAGE_FILE: Final = re.compile(r"(?:[A-Za-z0-9_-][A-Za-z0-9_.-]*/)*[A-Za-z0-9_-][A-Za-z0-9_.-]*")
#: Vite puts a hash of the content into these names.
_HASHED: Final = "assets/"
_FOREVER: Final = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleSources:
    """The functions whose results the console shows, beside the snapshots.

    :ivar tasks: returns the nursery tree. May be async: a supervisor asks its workers.
    :ivar metrics: returns the console's own counts, in Prometheus' text format.
    :ivar faults: of a proxy; ``None`` for a server that is none.
    """

    tasks: Callable[[], Any]
    metrics: Callable[[], bytes]
    faults: FaultControl | None = None


def make_app(
    sources: ConsoleSources,
    snapshots: SnapshotCache,
    live: Live,
    runs: Runs,
    dialling: Dialling,
    page: Path = PAGE,
) -> ASGIApp:
    """Make the console's ASGI app, with all its endpoints.

    :param page: the folder of the built web page.
    """
    endpoints = _Endpoints(sources, snapshots, live, runs, page)
    dials = DialEndpoints(dialling, endpoints.stream)
    app = Starlette(
        routes=[
            Route("/", endpoints.index),
            Route("/healthz", endpoints.healthz),
            Route("/readyz", endpoints.readyz),
            Route("/metrics", endpoints.metrics),
            Route("/api/server", endpoints.server),
            Route("/api/tasks", endpoints.tasks),
            Route("/api/live", endpoints.live),
            Route("/api/behaviours", endpoints.behaviours),
            Route("/api/faults", endpoints.show_faults, methods=["GET"]),
            Route("/api/faults", endpoints.set_faults, methods=["PUT"]),
            Route("/api/dial", dials.describe, methods=["GET"]),
            Route("/api/dial", dials.open, methods=["POST"]),
            Route("/api/dial/{id}", dials.send, methods=["POST"]),
            Route("/api/scenarios", endpoints.list_scenarios),
            Route("/api/runs", endpoints.list_runs, methods=["GET"]),
            Route("/api/runs", endpoints.start_run, methods=["POST"]),
            Route("/api/runs/{id}", endpoints.show_run, methods=["GET"]),
            Route("/api/runs/{id}", endpoints.change_run, methods=["PATCH"]),
            Route("/api/runs/{id}", endpoints.cancel_run, methods=["DELETE"]),
            Route("/api/runs/{id}/live", endpoints.watch_run),
            Route("/api/runs/{id}/trends", endpoints.show_trends),
            Route("/api/runs/{id}/report.html", endpoints.show_report),
            Route("/{path:path}", endpoints.page_file),
        ],
        exception_handlers={HTTPException: _explain, Exception: _admit},
    )
    app.router.redirect_slashes = False
    health = {"/healthz": endpoints.healthz, "/readyz": endpoints.readyz}

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        # Health is answered without the framework: an orchestrator counts the milliseconds.
        find = health.get(scope["path"]) if scope["method"] in ("GET", "HEAD") else None
        await (app if find is None else await find())(scope, receive, send)

    return answer


def _explain(_: Request, exc: Exception) -> Response:
    assert isinstance(exc, HTTPException)
    response = error(exc.status_code, exc.detail)
    response.headers.update(exc.headers or {})
    return response


def _admit(*_: Any) -> Response:
    return error(500, FAILED)


class _Endpoints:
    def __init__(
        self, sources: ConsoleSources, snapshots: SnapshotCache, live: Live, runs: Runs, page: Path
    ) -> None:
        self._sources = sources
        self._snapshots = snapshots
        self._live = live
        self._runs = runs
        self._page = page
        self._readers = 0

    # The page

    async def index(self, request: Request) -> Response:
        index = self._page / "index.html"
        if not index.is_file():
            return PlainTextResponse(PAGE_MISSING, 503)
        return asset_response(index, _encodings(request), cache_control="no-cache")

    async def page_file(self, request: Request) -> Response:
        name = request.path_params["path"]
        file = self._page / name
        if not _PAGE_FILE.fullmatch(name) or not file.is_file():
            raise HTTPException(404, "there is nothing of that name")
        lasting = _FOREVER if name.startswith(_HASHED) else "no-cache"
        return asset_response(file, _encodings(request), cache_control=lasting)

    # For an orchestrator

    async def healthz(self, _: Request | None = None) -> Response:
        return PlainTextResponse("alive\n")

    async def readyz(self, _: Request | None = None) -> Response:
        snapshot = await self._snapshots.known()
        if self._live.over or snapshot.draining:
            return PlainTextResponse("draining\n", 503)
        if not snapshot.workers:
            # A recent snapshot may have been taken before they were there.
            snapshot = await self._snapshots.now()
        if not snapshot.workers:
            return PlainTextResponse("no worker serves\n", 503)
        return PlainTextResponse("ready\n")

    async def metrics(self, request: Request) -> Response:
        snapshot = await self._snapshots.since(request.state.arrived_s)
        text = prometheus.exposition(snapshot) + self._sources.metrics()
        return Response(text, media_type=prometheus.CONTENT_TYPE)

    # The server, live

    async def server(self, request: Request) -> Response:
        return _json(await self._snapshots.since(request.state.arrived_s))

    async def tasks(self, _: Request) -> Response:
        return _json(await ask(self._sources.tasks))

    async def live(self, request: Request) -> Any:
        last = request.headers.get("last-event-id", "")
        after_ms = int(last) if re.fullmatch(r"[0-9]{1,15}", last) else None
        return self.stream(lambda emit: self._live.follow(emit, after_ms=after_ms))

    def stream(self, produce: Any, on_end: Callable[[], None] = lambda: None) -> EventStream:
        if self._live.over:
            raise HTTPException(503, "the server is stopping")
        if self._readers >= MAX_READERS:
            raise HTTPException(
                503, f"{MAX_READERS} streams are open already", {"retry-after": "5"}
            )
        self._readers += 1

        def end() -> None:
            self._readers -= 1
            on_end()

        return EventStream(produce, end)

    # What can stand in a path, and the faults of a proxy

    async def behaviours(self, _: Request) -> Response:
        return _json(describe())

    async def show_faults(self, _: Request) -> Response:
        return _json({FIELD: self._get_control().get()})

    async def set_faults(self, request: Request) -> Response:
        require_change(request)
        control = self._get_control()
        try:
            text = read_faults(await request.body())
            await ask(lambda: control.set(text))
        except BadFaults as exc:
            return error(
                exc.status, str(exc), **({} if exc.field is None else {"field": exc.field})
            )
        except ValueError as exc:
            at = getattr(exc, "at", None)
            return error(422, str(exc), field=FIELD, **({} if at is None else {"at": at}))
        return _json({FIELD: control.get()})

    def _get_control(self) -> FaultControl:
        if self._sources.faults is None:
            raise HTTPException(404, "this server is no proxy: start it with --upstream")
        return self._sources.faults

    # Load runs

    async def list_runs(self, _: Request) -> Response:
        return _json({"runs": [run.summary() for run in self._runs]})

    async def list_scenarios(self, _: Request) -> Response:
        names = await trio.to_thread.run_sync(find_scenarios, self._runs.scenario_dir)
        return _json({"scenarios": names})

    async def start_run(self, request: Request) -> Response:
        require_change(request)
        try:
            run = await self._runs.start(read_settings(await request.body()))
        except BadSettings as exc:
            return error(
                exc.status, str(exc), **({} if exc.field is None else {"field": exc.field})
            )
        except CannotRun as exc:
            raise HTTPException(exc.status, str(exc)) from None
        return _json({"id": run.id}, 202, {"location": f"/api/runs/{run.id}"})

    async def show_run(self, request: Request) -> Response:
        run = await self._find(request)
        if run.over and (report := await run.find_report()) is not None:
            return Response(report, media_type="application/json")
        return _json(run.summary() if run.over else run.progress())

    async def watch_run(self, request: Request) -> Any:
        return self.stream((await self._find(request)).follow)

    async def show_report(self, request: Request) -> Response:
        run = await self._find(request)
        if not run.over:
            raise HTTPException(409, "the run goes on: its report is there when it has ended")
        if run.html is None:
            raise HTTPException(404, "an earlier server made its page: the report alone is kept")
        if not run.html.is_file():
            if not run.accepted.page:
                raise HTTPException(503, "the report's page isn't built: make page")
            raise HTTPException(404, run.error or "the run has left no page")
        return FileResponse(run.html, headers={"content-security-policy": REPORT_POLICY})

    async def show_trends(self, request: Request) -> Response:
        run = await self._find(request)
        try:
            found = await self._runs.read_trends(run)
        except CannotRun as exc:
            raise HTTPException(exc.status, str(exc)) from None
        return Response(found, media_type="application/json")

    async def change_run(self, request: Request) -> Response:
        require_change(request)
        run = await self._find(request)
        try:
            patch = read_patch(await request.body())
            changed = await self._runs.steer(run, patch.load) if patch.load else {}
            if patch.words or not patch.load:
                words = {"name": run.name, "note": run.note} | patch.words
                await self._runs.annotate(run, **words)
        except CannotRun as exc:
            raise HTTPException(exc.status, str(exc)) from None
        except BadSettings as exc:
            return error(
                exc.status, str(exc), **({} if exc.field is None else {"field": exc.field})
            )
        except OSError as exc:
            raise HTTPException(503, f"the history can't be written: {exc}") from None
        return _json(changed | run.summary())

    async def cancel_run(self, request: Request) -> Response:
        require_change(request)
        run = await self._find(request)
        if run.over:
            raise HTTPException(409, "the run has ended already")
        run.cancel()
        return _json(run.summary(), 202)

    async def _find(self, request: Request) -> Run:
        run = await self._runs.find(request.path_params["id"])
        if run is None:
            raise HTTPException(404, "there is no such run, or it was long ago")
        return run


def _encodings(request: Request) -> str:
    return request.headers.get("accept-encoding", "")


def _json(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(msgspec.json.encode(body), status, headers, media_type="application/json")
