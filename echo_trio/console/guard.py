"""What stands before every request: who may ask what, and how long that may be.

Pure decisions first, then the middleware that carries them out.
"""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Callable, MutableMapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

import trio
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from echo_trio.wire.addresses import DEFAULT_PORTS, split_authority

MAX_BODY_BYTES: Final = 2**16
#: For a request's body to arrive.
BODY_TIMEOUT_S: Final = 10.0
#: How long we read on after refusing a body: a reset would take our answer with it.
LINGER_S: Final = 2.0

#: What needs the token. The page and health don't: they say nothing that a scan of ports wouldn't.
_GUARDED: Final = ("/api/", "/metrics")

#: The page takes scripts and styles from here only, and talks to us and to any WebSocket. Its
#: components set styles on elements, and react-aria adds a style sheet of its own.
PAGE_POLICY: Final = (
    "default-src 'none'; script-src 'self'; worker-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; font-src 'self' data:; connect-src 'self' ws: wss:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
#: A report is one file with all in it, texts of foreign servers too: it runs in a sandbox, as
#: nobody's origin, and may ask nobody for anything.
REPORT_POLICY: Final = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src data: blob:; font-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; sandbox allow-scripts allow-downloads"
)
_SECURITY_HEADERS: Final = {
    "content-security-policy": PAGE_POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Who may ask.

    :ivar hosts: the names that a request's Host header may have, in lower case.
    :ivar any_address: may it be any IP address, too? A name is what DNS rebinding needs.
    :ivar token: what has to be in the Authorization header; None: nothing.
    """

    hosts: frozenset[str]
    any_address: bool = False
    token: str | None = field(default=None, repr=False)

    def knows_host(self, authority: str) -> bool:
        """Is this Host header one of ours? Its port doesn't matter."""
        host = split_authority(authority)[0]
        if host in self.hosts:
            return True
        with suppress(ValueError):
            return self.any_address and bool(ipaddress.ip_address(host))
        return False

    def accepts(self, authorization: str) -> bool:
        """Is this Authorization header good enough? Takes as long for any wrong one."""
        if self.token is None:
            return True
        scheme, _, given = authorization.partition(" ")
        wanted = self.token.encode()
        return hmac.compare_digest(given.strip().encode("latin-1"), wanted) and (
            scheme.lower() == "bearer"
        )


def why_not_from_here(headers: Headers) -> str | None:
    """Why a page of another origin may not ask this; None if it comes from our own, or no browser.

    A browser says where a request comes from in Sec-Fetch-Site. Whoever follows a link to us may.
    """
    site = headers.get("sec-fetch-site", "none")
    followed_link = (headers.get("sec-fetch-mode"), headers.get("sec-fetch-dest")) == (
        "navigate",
        "document",
    )
    if site in ("same-origin", "none") or followed_link:
        return None
    return "this can be asked by the console's own page only"


def why_no_change(headers: Headers) -> str | None:
    """Why this request may not change anything; None if it may.

    Any page on the web can make a browser send a form here. It can't make it send JSON, nor hide
    that it comes from elsewhere.
    """
    media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        return "send it with Content-Type: application/json"
    if headers.get("sec-fetch-site", "same-origin") != "same-origin":
        return "this can be asked by the console's own page only"
    origin = headers.get("origin")
    if origin is not None and not _same_origin(origin, headers.get("host", "")):
        return "the Origin is not this console"
    return None


def _same_origin(origin: str, authority: str) -> bool:
    """Does the origin name the same host and port? Its scheme may be a proxy's, in front of us."""
    scheme, _, rest = origin.partition("://")
    if scheme.lower() not in ("http", "https"):
        return False
    default = DEFAULT_PORTS[scheme.lower()]
    host, port = split_authority(rest)
    own_host, own_port = split_authority(authority)
    return bool(host) and (host, port or default) == (own_host, own_port or default)


class Guard:
    """Refuses what may not be asked, bounds what is sent, counts what fails, adds the headers."""

    def __init__(
        self, app: ASGIApp, access: Access, on_failure: Callable[[str, Exception], None]
    ) -> None:
        self._app = app
        self._access = access
        self._on_failure = on_failure

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await send({"type": "websocket.close"})
            return
        request = _Answer(send)
        headers = Headers(scope=scope)
        body = _Body(receive, int(headers.get("content-length", 0)))
        whole = await body.read()
        response = self._refuse(headers, scope["path"]) or _refuse_body(whole)
        try:
            await (response or self._app)(scope, body.replay, request.send)
        except Exception as exc:  # noqa: BLE001 - a bug in one request is that request's alone
            # Starlette has answered 500; an answer that had begun is cut short instead.
            self._on_failure(scope["path"], exc)
            if not request.complete:
                scope["state"]["abort"]()
                return
        if whole is not True:
            await body.discard()
        await request.end()
        if not body.ended:
            scope["state"]["abort"]()

    def _refuse(self, headers: Headers, path: str) -> Response | None:
        if not self._access.knows_host(headers.get("host", "")):
            return error(403, "this host isn't served here: ask for the console by its own name")
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
    """What every refusal looks like."""
    return JSONResponse({"error": message, **more}, status)


def _refuse_body(whole: bool | None) -> Response | None:
    if whole is None:
        return error(408, f"the request's body took longer than {BODY_TIMEOUT_S:g} s")
    return None if whole else error(413, f"a body has at most {MAX_BODY_BYTES} bytes here")


class _Answer:
    """The answer on its way: with our headers, and its end held back until `end`.

    :ivar complete: is there nothing more to send but that end?
    """

    def __init__(self, send: Send) -> None:
        self.complete = False
        self._send = send

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(raw=message.setdefault("headers", []))
            for name, value in _SECURITY_HEADERS.items():
                headers.setdefault(name, value)
        elif message["type"] == "http.response.body":
            self.complete = not message.get("more_body", False)
            message = {**message, "more_body": True}
        await self._send(message)

    async def end(self) -> None:
        """Hypercorn waits for good if an answer ends while much of its request is unread."""
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})


class _Body:
    """A request's body, read whole before anybody looks at the request.

    :ivar ended: is there nothing more to come?
    """

    def __init__(self, receive: Receive, announced_bytes: int) -> None:
        self.ended = False
        self._receive = receive
        self._announced_bytes = announced_bytes
        self._content = bytearray()
        self._replayed = False

    async def read(self) -> bool | None:
        """Read it: True if that went well, False if it is too long, None if it took too long."""
        with trio.move_on_after(BODY_TIMEOUT_S):
            while not self.ended:
                if max(len(self._content), self._announced_bytes) > MAX_BODY_BYTES:
                    return False
                self._content += (await self._next()).get("body", b"")
            return len(self._content) <= MAX_BODY_BYTES
        return None

    async def replay(self) -> MutableMapping[str, Any]:
        """The body as one message; after it, whatever comes."""
        if not self._replayed:
            self._replayed = True
            return {"type": "http.request", "body": bytes(self._content), "more_body": False}
        return await self._next()

    async def discard(self) -> None:
        """Read on for a little while, for the sender to get round to reading."""
        with trio.move_on_after(LINGER_S):
            while not self.ended:
                await self._next()

    async def _next(self) -> MutableMapping[str, Any]:
        message = await self._receive()
        self.ended = message["type"] == "http.disconnect" or not message.get("more_body", False)
        return message
