"""The console's endpoints, over a snapshot function; it never sees the server itself."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from echo_trio import prometheus

#: Where `npm run build` puts the page.
PAGE: Final = Path(__file__).parent / "page"
PAGE_MISSING: Final = (
    "The page isn't built. In a checkout: make install (or: cd react-client && npm run build).\n"
)
#: The names under which a browser on this machine may ask; any other is DNS rebinding.
LOOPBACK_HOSTS: Final = ("localhost", "127.0.0.1", "[::1]")


def make_app(snapshot: Callable[[], Any], url: str, page: Path = PAGE) -> Starlette:
    """The console over a function that returns the server's counters as they stand.

    :param url: where the echo server itself listens.
    :param page: the folder of the built web page.
    """

    async def index(_: Request) -> Response:
        if not (page / "index.html").is_file():
            return PlainTextResponse(PAGE_MISSING, 503)
        return FileResponse(page / "index.html", headers={"Cache-Control": "no-cache"})

    async def healthz(_: Request) -> Response:
        return PlainTextResponse("alive\n")

    async def readyz(_: Request) -> Response:
        if snapshot().draining:
            return PlainTextResponse("draining\n", 503)
        return PlainTextResponse("ready\n")

    async def server(_: Request) -> Response:
        body = {"url": url, **dataclasses.asdict(snapshot())}
        return Response(msgspec.json.encode(body), media_type="application/json")

    async def metrics(_: Request) -> Response:
        return Response(prometheus.exposition(snapshot()), media_type=prometheus.CONTENT_TYPE)

    return Starlette(
        routes=[
            Route("/", index),
            Route("/healthz", healthz),
            Route("/readyz", readyz),
            Route("/metrics", metrics),
            Route("/api/server", server),
            Mount("/", StaticFiles(directory=page, check_dir=False)),
        ],
        middleware=[Middleware(KnownHosts)],
    )


class KnownHosts:
    """Turns away requests for a host that isn't ours (403): DNS rebinding."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "http":
            host = Headers(scope=scope).get("host", "")
            if _without_port(host).lower() not in LOOPBACK_HOSTS:
                await PlainTextResponse("This host isn't served here.\n", 403)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _without_port(host: str) -> str:
    return host if host.endswith("]") else host.rsplit(":", 1)[0]
