"""Serve the figures of a run as a Prometheus page while it goes: `--metrics [HOST:]PORT`.

A few lines around h11: the page is one, and a framework would be a dependency of every run.
"""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import Final, NoReturn, Self

import h11
import trio

from echo_trio.wire import sockets
from echo_trio.wire.addresses import split_authority
from loadgen.engine.running import Running
from loadgen.report import prometheus

DEFAULT_HOST: Final = "127.0.0.1"
PATHS: Final = (b"/metrics", b"/")
#: Connections at a time; a scraper needs one, and each may hold a page of some kilobytes.
MAX_CONNECTIONS: Final = 16
#: A connection that has asked for nothing for this long is closed: four scrapes at the usual 15 s.
IDLE_S: Final = 60.0
_READ_BYTES: Final = 4096


class BadAddress(ValueError):
    """An address that can't be listened on; the message says why."""


class MetricsPage:
    """The page, and the port on which it is served.

    The port is taken when this is made, before the run dials anything.

    :param address: `PORT` or `HOST:PORT`; the port 0 takes a free one.
    :param name: of the run, for `loadgen_run_info`.
    :raises BadAddress: if that is no address, or the port can't be had.
    """

    def __init__(self, address: str, name: str | None = None) -> None:
        host, port = _parse(address)
        self._name = name
        self._limiter = trio.CapacityLimiter(MAX_CONNECTIONS)
        try:
            # The first address of a name will do: one page is enough.
            family, kind, protocol, _, where = socket.getaddrinfo(
                host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
            self._socket = socket.socket(family, kind, protocol)
            try:
                sockets.claim_port(self._socket)
                self._socket.bind(where)
                self._socket.listen(MAX_CONNECTIONS)
            except OSError:
                self._socket.close()
                raise
        except OSError as exc:
            raise BadAddress(f"can't listen on {address}: {exc.strerror}") from None
        bound = self._socket.getsockname()
        shown = f"[{bound[0]}]" if ":" in bound[0] else bound[0]
        self.url: str = f"http://{shown}:{bound[1]}/metrics"

    async def serve(self, run: Running) -> NoReturn:
        """Serve the page of this run until cancelled; another run may have it afterwards."""
        # A duplicate, so that the port stays ours between the runs of a search for capacity.
        with trio.socket.from_stdlib_socket(self._socket.dup()) as listening:
            async with trio.open_nursery() as nursery:
                while True:
                    async with self._limiter:
                        pass  # What is beyond the limit waits in the kernel's queue.
                    try:
                        connection, _ = await listening.accept()
                    except OSError:  # It went away, or descriptors have run out: the run's matter.
                        await trio.sleep(0.1)
                        continue
                    nursery.start_soon(self._answer, trio.SocketStream(connection), run)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Give the port back."""
        self._socket.close()

    async def _answer(self, stream: trio.SocketStream, run: Running) -> None:
        """Answer the requests of one connection, until it ends or asks for nothing."""
        broken = (trio.BrokenResourceError, trio.ClosedResourceError, h11.ProtocolError)
        async with self._limiter, stream:
            with suppress(*broken):
                http = h11.Connection(h11.SERVER)
                while True:
                    with trio.move_on_after(IDLE_S) as waiting:
                        request = await _read_request(http, stream)
                        if request is None:
                            return
                        await self._respond(http, stream, request, run)
                    if waiting.cancelled_caught or http.our_state is not h11.DONE:
                        return
                    if http.their_state is not h11.DONE:
                        return
                    http.start_next_cycle()

    async def _respond(
        self, http: h11.Connection, stream: trio.SocketStream, request: h11.Request, run: Running
    ) -> None:
        if request.method not in {b"GET", b"HEAD"}:
            status, kind, body = 405, "text/plain", b"GET /metrics\n"
        elif request.target.partition(b"?")[0] not in PATHS:
            status, kind, body = 404, "text/plain", b"the page is /metrics\n"
        else:
            status, kind = 200, prometheus.CONTENT_TYPE
            body = prometheus.exposition(run, self._name)
        headers = [("Content-Type", kind), ("Content-Length", str(len(body)))]
        head = http.send(h11.Response(status_code=status, headers=headers))
        data = b"" if request.method == b"HEAD" else http.send(h11.Data(data=body))
        end = http.send(h11.EndOfMessage())
        await stream.send_all((head or b"") + (data or b"") + (end or b""))


async def _read_request(http: h11.Connection, stream: trio.SocketStream) -> h11.Request | None:
    """Read a whole request; None at the end of the connection."""
    request: h11.Request | None = None
    while True:
        event = http.next_event()
        if event is h11.NEED_DATA:
            http.receive_data(await stream.receive_some(_READ_BYTES))
        elif isinstance(event, h11.Request):
            request = event
        elif isinstance(event, h11.EndOfMessage):
            return request
        elif event is h11.PAUSED or isinstance(event, h11.ConnectionClosed):
            return None
        # All else is a body, which nobody needs.


def _parse(address: str) -> tuple[str, int]:
    if address.isascii() and address.isdecimal():
        address = f"{DEFAULT_HOST}:{address}"
    host, port = split_authority(address)
    if not host or port is None:
        raise BadAddress(f"{address!r} is no address: write it like 9100 or 127.0.0.1:9100")
    return host, port
