"""Read the frames of a server one by one, and the messages that they make: sans-I/O.

The frames themselves are read by `wire.frames`; this notes beside it what each one was.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from echo_trio.dialling.ends import End, end_of_stream
from echo_trio.wire import deflate, frames


class Frame(msgspec.Struct, frozen=True):
    """A frame as it is on the wire.

    :ivar opcode: 0 to 10 (RFC 6455, section 5.2).
    :ivar rsv1: true for the first frame of a compressed message (RFC 7692).
    :ivar masked: true for each of a client's.
    :ivar wire_bytes: its payload on the wire.
    :ivar plain_bytes: its payload after inflating, as far as it comes out with this frame.
    :ivar payload: of a ping, pong or close frame; else empty.
    """

    opcode: int
    fin: bool
    rsv1: bool
    masked: bool
    wire_bytes: int
    plain_bytes: int
    payload: bytes = b""


class FrameReader:
    """The stream of frames from a server.

    :param compression: the parameters that the handshake agreed on, if it did.
    """

    def __init__(self, compression: deflate.Parameters | None, max_message_bytes: int) -> None:
        self._max_message_bytes = max_message_bytes
        self._head = b""
        self._incoming: frames.Incoming | None = None
        self._frame: tuple[int, int] | None = None  # first byte and size of the one under way
        self._size_before = 0
        self._inflater = None if compression is None else deflate.Inflater(compression, client=True)

    @property
    def held_bytes(self) -> int:
        """The memory of what has arrived and is not complete."""
        return len(self._head) + (0 if self._incoming is None else self._incoming.held_bytes)

    def feed(self, data: bytes) -> Iterator[Frame | str | bytes]:
        """Yield the frames that end in these bytes, and behind its last frame each message.

        To be iterated to its end before the next call.

        :raises frames.Violation: if the server sent what it may not; what came before is yielded.
        """
        if self._head:
            data, self._head = self._head + data, b""
        at = 0
        while at < len(data) or (self._incoming is not None and self._incoming.is_inflating):
            if self._frame is None:
                self._frame = _peek(data, at)
                self._size_before = 0 if self._incoming is None else self._incoming.size
            what, value, at = frames.read(
                data,
                at,
                False,
                self._incoming,
                self._max_message_bytes,
                None if self._inflater is None else self._get_inflater,
            )
            if what == frames.HEADER:
                self._head, self._frame = data[at:], None
                return
            if what == frames.PARTIAL:
                assert isinstance(value, frames.Incoming)
                self._incoming = value
                if not value.is_amid_frame:
                    yield self._end_frame(value.size)
            elif what >= frames.CLOSE:
                assert isinstance(value, bytes)
                self._frame = None
                yield Frame(what, True, False, False, len(value), len(value), value)
            else:
                assert isinstance(value, str | bytes)
                self._incoming = None
                yield self._end_frame(len(value.encode() if isinstance(value, str) else value))
                yield value

    def end(self) -> End:
        """Say what it means that TCP ends here."""
        incoming = self._incoming
        under_way = None
        if incoming is not None and incoming.is_amid_frame and self._frame is not None:
            size = self._frame[1]
            under_way = size - incoming.missing, size
        return end_of_stream(
            head=len(self._head), frame=under_way, amid_message=incoming is not None
        )

    def _get_inflater(self) -> frames.Inflating:
        assert self._inflater is not None
        return self._inflater

    def _end_frame(self, size: int) -> Frame:
        """Make the frame that has just ended, where `size` is that of its message up to here."""
        assert self._frame is not None
        first, wire_bytes = self._frame
        self._frame = None
        return Frame(
            first & 0x0F,
            bool(first & frames.FIN),
            bool(first & frames.RSV1),
            False,
            wire_bytes,
            size - self._size_before,
        )


def _peek(data: bytes, at: int) -> tuple[int, int] | None:
    """Read the first byte of a frame and the size of its payload; None if its header is not whole.

    :raises frames.Violation: if the header is not allowed.
    """
    read = frames.skip(data, at, False)
    if read is None:
        return None
    return data[at], read[2] - at - _header_bytes(data[at + 1])


def _header_bytes(second: int) -> int:
    """Tell the length of a header by its second byte."""
    size = second & 0x7F
    extended = {126: 2, 127: 8}.get(size, 0)
    return 2 + extended + (4 if second & frames.MASKED else 0)


def describe_sent(encoded: bytes, plain_bytes: int, payload: bytes = b"") -> Frame:
    """Describe a frame of our own, whole and encoded.

    :param plain_bytes: its payload before compressing.
    :param payload: that of a ping, pong or close frame, unmasked.
    """
    first, second = encoded[0], encoded[1]
    return Frame(
        first & 0x0F,
        bool(first & frames.FIN),
        bool(first & frames.RSV1),
        bool(second & frames.MASKED),
        len(encoded) - _header_bytes(second),
        plain_bytes,
        payload,
    )
