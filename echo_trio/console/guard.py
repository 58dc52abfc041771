"""Decide which requests are answered, before any of them reaches the app.

Pure decisions first, then the middleware that carries them out.
"""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from echo_trio.console.security_headers import SECURITY_HEADERS
from echo_trio.wire.addresses import DEFAULT_PORTS, split_authority

FAILED: Final = "the console failed at this; the server's log says how"

#: Paths that need the token. The page and health don't: they tell no more than a scan of ports.
_GUARDED: Final = ("/api/", "/metrics")


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """The rules by which requests are let in.

    :ivar hosts: the names that a request's Host header may have, in lower case.
    :ivar any_address: true if it may also be any IP address: DNS rebinding works with names only.
    :ivar token: the bearer token that the Authorization header must have; None if none is needed.
    """

    hosts: frozenset[str]
    any_address: bool = False
    token: str | None = field(default=None, repr=False)

    def knows_host(self, authority: str) -> bool:
        """Tell whether this Host header names the console. Its port doesn't matter."""
        host = split_authority(authority)[0]
        if host in self.hosts:
            return True
        with suppress(ValueError):
            return self.any_address and bool(ipaddress.ip_address(host))
        return False

    def accepts(self, authorization: str) -> bool:
        """Tell whether this Authorization header has the token, in a time that reveals nothing."""
        if self.token is None:
            return True
        # compare_digest takes the same time wherever two values differ. It is given bytes, because
        # it refuses text beyond ASCII; Starlette has decoded the header as Latin-1.
        scheme, _, given = authorization.partition(" ")
        wanted = self.token.encode()
        return hmac.compare_digest(given.strip().encode("latin-1"), wanted) and (
            scheme.lower() == "bearer"
        )


def why_not_from_here(headers: Headers) -> str | None:
    """Say why a page of another origin may not ask this; None if the request may be answered.

    A browser says in Sec-Fetch-Site where a request comes from. Requests of our own page, of
    programs that are no browser, and of people who follow a link to us are answered.
    """
    # A header that only browsers send, and pages can't set (W3C, Fetch Metadata). "none" is what
    # somebody typed. A link is a navigation of the whole window: the page that has the link does
    # not see the answer.
    site = headers.get("sec-fetch-site", "none")
    followed_link = (headers.get("sec-fetch-mode"), headers.get("sec-fetch-dest")) == (
        "navigate",
        "document",
    )
    if site in ("same-origin", "none") or followed_link:
        return None
    return "this can be asked by the console's own page only"


def why_no_change(headers: Headers) -> str | None:
    """Say why this request may not change anything; None if it may.

    Any page on the web can make a browser send a form here. It can't make it send JSON, nor hide
    that it comes from elsewhere.
    """
    # Three independent signs, since old browsers lack one or the other: a page elsewhere can't send
    # this type without asking us first (a CORS preflight, which fails here); Sec-Fetch-Site; and
    # Origin, which browsers send with a POST or DELETE.
    media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        return "send it with Content-Type: application/json"
    if headers.get("sec-fetch-site", "same-origin") != "same-origin":
        return "this can be asked by the console's own page only"
    origin = headers.get("origin")
    if origin is not None and not _same_origin(origin, headers.get("host", "")):
        return "the Origin is not this console"
    return None


def require_change(request: Request) -> None:
    """Let a request change something.

    :raises HTTPException: 403 if it may not.
    """
    if reason := why_no_change(request.headers):
        raise HTTPException(403, reason)


def _same_origin(origin: str, authority: str) -> bool:
    """Tell whether the origin has our host and port; its scheme may be that of a proxy."""
    scheme, _, rest = origin.partition("://")
    if scheme.lower() not in ("http", "https"):
        return False
    default = DEFAULT_PORTS[scheme.lower()]
    host, port = split_authority(rest)
    own_host, own_port = split_authority(authority)
    return bool(host) and (host, port or default) == (own_host, own_port or default)


class Guard:
    """A middleware that refuses requests, counts failures, and adds headers to every answer."""

    def __init__(
        self, app: ASGIApp, access: Access, on_failure: Callable[[str, Exception], None]
    ) -> None:
        self._app = app
        self._access = access
        self._on_failure = on_failure

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        answer = _Answer(send)
        app = self._refuse(Headers(scope=scope), scope["path"]) or self._app
        try:
            await app(scope, receive, answer.send)
        except Exception as exc:  # noqa: BLE001 - a bug in one request is that request's alone
            # An answer that has begun can't become another: it ends early, without its end.
            self._on_failure("request", exc)
            if not answer.begun:
                await error(500, FAILED)(scope, receive, answer.send)

    def _refuse(self, headers: Headers, path: str) -> Response | None:
        # The Host first: with a foreign name (DNS rebinding) a browser takes a foreign page and us
        # for one origin, and all that it says below would be in that page's favour.
        if not self._access.knows_host(headers.get("host", "")):
            return error(403, "this host isn't served here: ask for the console by its own name")
        if headers.get("upgrade", "").lower() == "websocket":
            return error(403, "the console speaks no WebSocket: that is the other port")
        if not path.startswith(_GUARDED):
            return None
        if reason := why_not_from_here(headers):
            return error(403, reason)
        if not self._access.accepts(headers.get("authorization", "")):
            response = error(401, "this needs the console's token: Authorization: Bearer …")
            response.headers["www-authenticate"] = "Bearer"
            return response
        return None


def error(status: int, message: str, **more: Any) -> Response:
    """Make the response of a refusal: JSON with the reason in `error`."""
    return JSONResponse({"error": message, **more}, status)


class _Answer:
    """The answer on its way, to which our headers are added.

    :ivar begun: true once its first part has been sent.
    """

    def __init__(self, send: Send) -> None:
        self.begun = False
        self._send = send

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.begun = True
            headers = MutableHeaders(raw=message.setdefault("headers", []))
            for name, value in SECURITY_HEADERS.items():
                headers.setdefault(name, value)
        await self._send(message)
