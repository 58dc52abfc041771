"""Fetch the target's own metrics once a second, on the clock of the run: `--console URL`."""

from __future__ import annotations

import os
import ssl
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, NoReturn
from urllib.parse import urlsplit

import h11
import trio

from echo_trio.masks import mask_url
from echo_trio.printable import printable
from echo_trio.wire.addresses import DEFAULT_PORTS
from loadgen.engine.running import Phase, Running
from loadgen.report.model import TargetReport
from loadgen.target_metrics.parse import Meaningless, Reading, read
from loadgen.target_metrics.summary import TargetBooks

#: The answer for one second has to come before the next.
TIMEOUT_S: Final = 0.9
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

    def __post_init__(self) -> None:
        try:
            parts = urlsplit(self.url)
            port = parts.port
        except ValueError as exc:
            raise ValueError(f"{self.url!r} is not a URL: {exc}") from None
        if parts.scheme not in {"http", "https"} or not parts.hostname or not self.url.isascii():
            raise ValueError(f"{self.url!r} is not an HTTP URL: write it like http://host:8766/")
        path = parts.path if parts.path not in {"", "/"} else _CONSOLE_PATH
        for name, value in {
            "scheme": parts.scheme,
            "host": parts.hostname,
            "port": port or DEFAULT_PORTS[parts.scheme],
            "path": path + (f"?{parts.query}" if parts.query else ""),
        }.items():
            object.__setattr__(self, name, value)

    @property
    def shown_path(self) -> str:
        """Path and query, as others may read them."""
        return mask_url(self.path)

    @property
    def headers(self) -> list[tuple[str, str]]:
        """The headers of a request."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        headers = [
            ("Host", host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"),
            ("Accept", "application/json, text/plain;version=0.0.4"),
            ("User-Agent", "loadgen"),
        ]
        if token := os.environ.get(TOKEN_VARIABLE):
            headers.append(("Authorization", f"Bearer {token}"))
        return headers


class TargetSeries:
    """The metrics of a target while a run goes."""

    def __init__(self, url: str) -> None:
        """Take the URL.

        :raises ValueError: if it is none.
        """
        self._source = Source(url)
        self._books = TargetBooks()
        self._connection: HttpConnection | None = None

    async def keep(self, engine: Running) -> NoReturn:
        """Ask the target as each second of the run ends, until cancelled.

        A failure is counted, and the target asked again.
        """
        try:
            if (reading := await self._look()) is not None:
                self._books.begin(reading, trio.current_time())
            while True:
                await engine.wait_for_second()
                t_s, phase = engine.series[-1].t_s, engine.phase
                if (reading := await self._look()) is not None:
                    under_load = phase is Phase.LOAD
                    self._books.book(reading, trio.current_time(), t_s, under_load=under_load)
        finally:
            await self._hang_up()

    async def _look(self) -> Reading | None:
        """Ask once; keep the connection for the next time, if it can be used again."""
        reading = None
        try:
            with trio.fail_after(TIMEOUT_S):
                if self._connection is None:
                    self._connection = await HttpConnection.open(self._source)
                answer = await self._connection.get()
                # Beside the loop, which has messages to send; a slow answer is not awaited.
                reading = await trio.to_thread.run_sync(read, *answer, abandon_on_cancel=True)
        except trio.TooSlowError:
            self._books.book_error("no answer within a second")
        except FetchFailed as exc:
            self._books.book_error(str(exc))
        except Meaningless as exc:
            self._books.book_error(f"{self._source.shown_path}: {exc}")
        if reading is None or not (self._connection and self._connection.is_reusable):
            await self._hang_up()
        return reading

    async def _hang_up(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            await connection.close()

    def report(self) -> TargetReport:
        """Report the metrics and the failures."""
        return self._books.report(mask_url(self._source.url))


class HttpConnection:
    """One HTTP/1.1 connection, used again for each GET.

    A dozen lines around h11: an HTTP client would be a dependency of its own, with a pool,
    redirects and cookies, for one GET a second.
    """

    def __init__(self, source: Source, stream: trio.abc.Stream) -> None:
        self._source = source
        self._stream = stream
        self._http = h11.Connection(h11.CLIENT)
        self.is_reusable = True

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
        status, content_type, body = 0, "", bytearray()
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
                status = event.status_code
                content_type = dict(event.headers).get(b"content-type", b"").decode("latin-1")
            elif isinstance(event, h11.Data):
                body += event.data
                if len(body) > MAX_BODY_BYTES:
                    raise FetchFailed("its answer is too large")
            elif isinstance(event, h11.EndOfMessage):
                break
            elif isinstance(event, h11.ConnectionClosed):
                raise FetchFailed("it closed the connection")
        if status != 200:
            raise FetchFailed(f"{source.shown_path} was answered with HTTP {status}")
        # One that keeps no connections open, HTTP/1.0 say, is asked on a new one.
        self.is_reusable = http.our_state is h11.DONE and http.their_state is h11.DONE
        if self.is_reusable:
            http.start_next_cycle()
        return content_type, bytes(body)

    async def close(self) -> None:
        """Close it, without a goodbye."""
        with suppress(OSError, trio.BrokenResourceError), trio.CancelScope(shield=True):
            await trio.aclose_forcefully(self._stream)


def _why(exc: BaseException) -> str:
    """Explain an error in a few words; of several attempts, the last one's."""
    cause = exc.__cause__
    if isinstance(cause, BaseExceptionGroup):
        exc = cause.exceptions[-1]
    elif isinstance(cause, OSError):
        exc = cause
    if isinstance(exc, OSError) and exc.errno:
        return os.strerror(exc.errno)
    return str(exc) or type(exc).__name__
