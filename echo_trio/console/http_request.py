"""Read an HTTP/1.1 request within bounds: sans-I/O, on h11.

h11 looks for bounds only while a head is incomplete: one that arrives whole may have as many
headers as fit into a segment. So heads are bounded here, before h11 sees them.
"""

from __future__ import annotations

import re
from typing import Any, Final
from urllib.parse import unquote

import h11

#: Bounds as for the WebSocket's handshake.
MAX_HEAD_BYTES: Final = 16 * 2**10
MAX_HEADERS: Final = 128
MAX_BODY_BYTES: Final = 2**16
#: Each chunk costs h11 some 10 µs: more of them than this are a way to keep us busy.
MAX_CHUNKS: Final = 1024
#: A body with all that frames it: sizes and extensions of chunks, trailers.
MAX_FRAMED_BODY_BYTES: Final = 2 * MAX_BODY_BYTES
#: The bytes that h11 is given at a time. A chunk's head, or all trailers, may be as long as this.
PIECE_BYTES: Final = 1024

#: Ends a head. A bare line feed will do, as it does for h11.
_BLANK_LINE: Final = re.compile(rb"\n\r?\n")
_REASONS: Final = {
    400: "this is no HTTP/1.1 request",
    408: "the request took too long to arrive",
    413: f"a body has at most {MAX_BODY_BYTES} bytes, in at most {MAX_CHUNKS} chunks",
    431: f"a head has at most {MAX_HEAD_BYTES} bytes and {MAX_HEADERS} headers",
    500: "the console failed at this; the server's log says how",
    501: "the transfer encoding has to be chunked, if there is any",
    503: "too many ask at once: try again in a second",
    505: "HTTP/1.1 is spoken here, and HTTP/1.0",
}


class RequestRefused(Exception):
    """The reason why a request does not get to the app; without any text of the client's.

    :ivar status: the HTTP status.
    """

    def __init__(self, status: int) -> None:
        super().__init__(_REASONS[status])
        self.status = status


class HeadBuffer:
    """The bytes that have arrived and belong to no request that was read already."""

    def __init__(self) -> None:
        self.data: bytearray = bytearray()
        self._searched = 0

    def take_head(self) -> bytes | None:
        """Take the bytes of a whole head, or return None if there is none yet.

        However it arrives, each byte is searched about once.

        :raises RequestRefused: if it is too long, or can't become a head.
        """
        data = self.data
        if data and data[0] <= 0x20:  # TLS, or a blank line.
            raise RequestRefused(400)
        match = _BLANK_LINE.search(data, self._searched)
        size = len(data) if match is None else match.end()
        if size > MAX_HEAD_BYTES or data.count(b"\n", 0, size) > MAX_HEADERS + 2:
            raise RequestRefused(431)
        if match is None:
            self._searched = max(0, len(data) - 2)
            return None
        return self.take(size)

    def take(self, size_bytes: int) -> bytes:
        """Take at most this number of bytes from the front."""
        taken = bytes(self.data[:size_bytes])
        del self.data[:size_bytes]
        self._searched = 0
        return taken

    def put_back(self, data: bytes) -> None:
        """Put bytes back in front that were taken and not needed."""
        self.data[:0] = data
        self._searched = 0


class RequestReader:
    """One request: its head, which has arrived, and its body, as it is fed.

    :ivar request: the head.
    :ivar body: the body as far as it has been read.
    :ivar connection: h11's state of the connection, for the answer.
    :raises RequestRefused: if the head is malformed, or announces a body that won't be read.
    """

    def __init__(self, head: bytes) -> None:
        self.connection: h11.Connection = h11.Connection(
            h11.SERVER, max_incomplete_event_size=PIECE_BYTES
        )
        self.body: bytearray = bytearray()
        self._chunks = 0
        self._framed_bytes = 0
        self.connection.receive_data(head)
        event = self._next_event()
        if not isinstance(event, h11.Request):
            raise RequestRefused(400)
        self.request = event
        if event.http_version not in (b"1.1", b"1.0"):
            raise RequestRefused(505)
        if int(dict(event.headers).get(b"content-length", 0)) > MAX_BODY_BYTES:
            raise RequestRefused(413)

    @property
    def waits_for_continue(self) -> bool:
        """True if the client waits for our permission to send the body."""
        return self.connection.they_are_waiting_for_100_continue

    def read_body(self) -> bool:
        """Take what h11 has of the body; true once that was all.

        :raises RequestRefused: if it is malformed or too long.
        """
        while True:
            event = self._next_event()
            if isinstance(event, h11.Data):
                self.body += event.data
                self._chunks += event.chunk_start
                if len(self.body) > MAX_BODY_BYTES or self._chunks > MAX_CHUNKS:
                    raise RequestRefused(413)
            elif isinstance(event, h11.EndOfMessage):
                return True
            elif event is h11.NEED_DATA:
                return False
            else:
                raise RequestRefused(400)

    def feed(self, data: bytes) -> None:
        """Give h11 some bytes of the body; an empty argument is the end of the connection.

        :raises RequestRefused: if there were too many bytes already.
        """
        self._framed_bytes += len(data)
        if self._framed_bytes > MAX_FRAMED_BODY_BYTES:
            raise RequestRefused(413)
        self.connection.receive_data(data)

    def _next_event(self) -> Any:
        try:
            return self.connection.next_event()
        except h11.RemoteProtocolError as exc:
            too_long = 413 if self._framed_bytes else 431
            raise RequestRefused(
                too_long if exc.error_status_hint == 431 else exc.error_status_hint
            ) from None

    def scope(self, client: Any, server: Any, state: dict[str, Any]) -> dict[str, Any]:
        """Make the ASGI scope of the request."""
        raw_path, _, query = self.request.target.partition(b"?")
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": self.request.http_version.decode("ascii"),
            "method": self.request.method.decode("ascii").upper(),
            "scheme": "http",
            "path": unquote(raw_path.decode("latin-1")),
            "raw_path": raw_path,
            "query_string": query,
            "root_path": "",
            "headers": list(self.request.headers),
            "client": client,
            "server": server,
            "state": state,
        }
