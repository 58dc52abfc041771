"""GET one page again and again: the part of HTTP/1.1 that asking a target for its metrics takes.

What RFC 9110 and 9112 ask of a client stands, clause by clause, in docs/conformance.md.
"""

from __future__ import annotations

import base64
import os
import re
import ssl
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote_to_bytes, urlsplit

import h11
import trio

from echo_trio.masks import mask_url
from echo_trio.printable import printable
from echo_trio.wire import sockets
from echo_trio.wire.addresses import DEFAULT_PORTS

MAX_BODY_BYTES: Final = 8 * 2**20
#: Chunks, interim answers and other wrapping of an answer: twice what 8 MiB in 4 KiB are.
MAX_EVENTS: Final = 4096
#: Between two looks at Trio's other tasks: less than a millisecond of work.
_BATCH: Final = 16
#: The server takes its console's token from this variable, too: one setting does for both.
TOKEN_VARIABLE: Final = "ECHO_TRIO_CONSOLE_TOKEN"  # noqa: S105 - its name only
#: The path of the snapshot at echo-trio's console.
_CONSOLE_PATH: Final = "/api/server"
#: Characters that are kept of an error that may contain the target's own words.
MAX_SAID: Final = 200
_READ_BYTES: Final = 65536
#: The characters of a path and a query (RFC 3986, 3.3 and 3.4); others have to be %-encoded.
_TARGET: Final = re.compile(r"[!$&-;=?-Z_a-z~%\[\]@]*")


class FetchFailed(Exception):
    """There is no answer, or none that can be used; the message says why in a few words."""


@dataclass(frozen=True, slots=True)
class Source:
    """A URL to GET.

    :raises ValueError: if it is none; the message says what to write.
    """

    url: str
    scheme: str = field(init=False)
    host: str = field(init=False)
    port: int = field(init=False)
    path: str = field(init=False)
    credentials: str = field(init=False, repr=False)

    def __post_init__(self) -> None:
        try:
            parts = urlsplit(self.url)
            port = parts.port
        except ValueError as exc:
            raise ValueError(f"{self.url!r} is not a URL: {exc}") from None
        if parts.scheme not in {"http", "https"} or not parts.hostname or not self.url.isascii():
            raise ValueError(f"{self.url!r} is not an HTTP URL: write it like http://host:8766/")
        path = parts.path if parts.path not in {"", "/"} else _CONSOLE_PATH
        if not _TARGET.fullmatch(path + parts.query):
            raise ValueError(f"{self.url!r} has a character that has to be %-encoded")
        for name, value in {
            "scheme": parts.scheme,
            "host": parts.hostname,
            "port": port or DEFAULT_PORTS[parts.scheme],
            "path": path + (f"?{parts.query}" if parts.query else ""),
            "credentials": parts.netloc.rpartition("@")[0],
        }.items():
            object.__setattr__(self, name, value)

    @property
    def shown_path(self) -> str:
        """Path and query, as others may read them."""
        return mask_url(self.path)

    @property
    def headers(self) -> list[tuple[str, str]]:
        """The headers of a request."""
        # A zone means something on this machine alone (RFC 6874, 3).
        host = self.host.partition("%")[0]
        host = f"[{host}]" if ":" in host else host
        headers = [
            ("Host", host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"),
            ("Accept", "application/json, text/plain;version=0.0.4"),
            # Without this line any coding would be acceptable (RFC 9110, 12.5.3).
            ("Accept-Encoding", "identity"),
            ("User-Agent", "loadgen"),
        ]
        if self.credentials:
            user = base64.b64encode(unquote_to_bytes(self.credentials)).decode()
            headers.append(("Authorization", f"Basic {user}"))
        elif token := os.environ.get(TOKEN_VARIABLE):
            headers.append(("Authorization", f"Bearer {token}"))
        return headers


class HttpConnection:
    """One HTTP/1.1 connection, used again for each GET.

    A dozen lines around h11: an HTTP client would be a dependency of its own, with a pool,
    redirects and cookies, for one GET a second.
    """

    def __init__(self, source: Source, stream: trio.abc.Stream) -> None:
        self._source = source
        self._stream = stream
        self._http = h11.Connection(h11.CLIENT)
        self.is_reusable: bool = True

    @classmethod
    async def open(cls, source: Source) -> HttpConnection:
        """Connect.

        :raises FetchFailed: if that can't be done.
        """
        try:
            stream: trio.abc.Stream = await trio.open_tcp_stream(source.host, source.port)
        except OSError as exc:
            raise FetchFailed(_why(exc)) from None
        if source.scheme == "https":
            context = ssl.create_default_context()
            stream = trio.SSLStream(
                stream, context, server_hostname=source.host, https_compatible=True
            )
        return cls(source, stream)

    async def get(self) -> tuple[str, bytes]:
        """GET the source; return the content's type and the content.

        :raises FetchFailed: if there is none.
        """
        if not self.is_reusable:
            raise FetchFailed("its connection can't be used again")
        try:
            return await self._get()
        except (trio.BrokenResourceError, trio.ClosedResourceError, ssl.SSLError, OSError) as exc:
            cause = exc.__cause__ if isinstance(exc.__cause__, Exception) else exc
            raise FetchFailed(_why(cause)) from None
        except h11.RemoteProtocolError as exc:
            said = printable(str(exc), at_most=MAX_SAID)
            raise FetchFailed(f"it does not speak HTTP: {said}") from None

    async def _get(self) -> tuple[str, bytes]:
        http, source = self._http, self._source
        request = h11.Request(method="GET", target=source.path, headers=source.headers)
        head, end = http.send(request), http.send(h11.EndOfMessage())
        await self._stream.send_all((head or b"") + (end or b""))
        response, body = None, bytearray()
        events = 0
        while True:
            event = http.next_event()
            events += event is not h11.NEED_DATA
            if events > MAX_EVENTS:
                raise FetchFailed("its answer comes in too many pieces")
            if events % _BATCH == 0:
                await trio.lowlevel.checkpoint()
            if event is h11.NEED_DATA:
                http.receive_data(bytes(await self._stream.receive_some(_READ_BYTES)))
            elif isinstance(event, h11.Response):
                response = event
            elif isinstance(event, h11.Data):
                body += event.data
                if len(body) > MAX_BODY_BYTES:
                    raise FetchFailed("its answer is too large")
            elif isinstance(event, h11.EndOfMessage):
                break
            elif isinstance(event, h11.ConnectionClosed):
                raise FetchFailed("it closed the connection")
        assert response is not None
        # One that keeps no connections open, HTTP/1.0 say, is asked on a new one. What follows the
        # answer is none to a request of ours, and must not become the next (RFC 9112, 9.2).
        is_done = http.our_state is h11.DONE and http.their_state is h11.DONE
        self.is_reusable = is_done and not any(http.trailing_data)
        self._check(response)
        if self.is_reusable:
            http.start_next_cycle()
        return _value_of(response, b"content-type"), bytes(body)

    def _check(self, response: h11.Response) -> None:
        """Check that an answer has the content that was asked for.

        :raises FetchFailed: if not; the connection is done with then.
        """
        status, coding = response.status_code, _value_of(response, b"content-encoding")
        if not response.http_version.startswith(b"1."):
            problem = f"it does not speak HTTP/1.1, but HTTP/{response.http_version.decode()}"
        elif status != 200:
            problem = f"{self._source.shown_path} was answered with HTTP {status}{_hint(status)}"
        elif coding not in {"", "identity"}:
            problem = f"its answer is in the coding {coding!r}, which nobody asked for"
        else:
            return
        self.is_reusable = False
        raise FetchFailed(printable(problem, at_most=MAX_SAID))

    @property
    def is_stale(self) -> bool:
        """True if something has come while nothing was asked: an end, or an answer to nothing.

        Servers end connections that are idle for a while, some with a 408 before; a client notices
        before it asks again (RFC 9112, 9.3 and 9.5).
        """
        stream = self._stream
        below = stream.transport_stream if isinstance(stream, trio.SSLStream) else stream
        assert isinstance(below, trio.SocketStream)
        return below.socket.is_readable()

    async def close(self) -> None:
        """Close it, without a goodbye."""
        with suppress(OSError, trio.BrokenResourceError), trio.CancelScope(shield=True):
            await trio.aclose_forcefully(self._stream)


def _value_of(response: h11.Response, name: bytes) -> str:
    """Return a header's value in lower case; empty if it is not there."""
    return dict(response.headers).get(name, b"").decode("latin-1").strip().lower()


def _hint(status: int) -> str:
    """Say what to do about a status, if anything comes to mind."""
    if status in {401, 403}:
        return f" ({TOKEN_VARIABLE} is sent as its token)"
    return " (redirections are not followed)" if 300 <= status < 400 else ""


def _why(exc: BaseException) -> str:
    """Explain an error in a few words; of several attempts, the last one's."""
    cause = exc.__cause__
    if isinstance(cause, BaseExceptionGroup):
        exc = cause.exceptions[-1]
    elif isinstance(cause, OSError):
        exc = cause
    if isinstance(exc, OSError) and exc.errno:
        return sockets.describe_error(exc.errno)
    return str(exc) or type(exc).__name__
