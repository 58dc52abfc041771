"""Read and write WebSocket frames (RFC 6455, section 5), sans-I/O.

Nearly everything that travels on a WebSocket is a whole text or binary message in one uncompressed
frame. `decode` reads that in one step and keeps nothing. `read` reads everything else: fragments,
frames of which not all has arrived, control frames, compressed messages, and what is malformed.

    decode ─► a whole plain message
       └─ None ─► read ─► a message or a control frame that is complete
                    ├───► PARTIAL: an `Incoming`, which comes along with the next call
                    ├───► HEADER: too little to tell; the same bytes come again, with more
                    └───► Violation: the close code that says what is wrong

An `Incoming` exists only while a message is incomplete. `tests/echo_trio/wire/test_frames.py` holds
all of this together with independent implementations.
"""

from __future__ import annotations

import codecs
import os
import struct
from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Final, Protocol

try:
    from websockets.speedups import apply_mask
except ImportError:  # pragma: no cover - a platform without a compiled wheel
    from websockets.utils import apply_mask

from echo_trio.wire.close_codes import (
    INVALID_PAYLOAD,
    MESSAGE_TOO_BIG,
    NO_STATUS,
    POLICY_VIOLATION,
    PROTOCOL_ERROR,
    may_be_sent,
)

CONTINUATION: Final = 0x0
TEXT: Final = 0x1
BINARY: Final = 0x2
CLOSE: Final = 0x8
PING: Final = 0x9
PONG: Final = 0xA

#: Beside the opcodes, what `read` returns.
PARTIAL: Final = -1
HEADER: Final = -2

FIN: Final = 0x80
RSV1: Final = 0x40  # compressed
MASKED: Final = 0x80
_RSV2_OR_3: Final = 0x30
_ANY_RSV: Final = RSV1 | _RSV2_OR_3
_WHOLE_TEXT: Final = FIN | TEXT
_WHOLE_BINARY: Final = FIN | BINARY
_WHOLE_PING: Final = FIN | PING
_WHOLE_PONG: Final = FIN | PONG
_ALL_BUT_FIN: Final = 0x7F
_UINT16: Final = struct.Struct("!H")
_UINT64: Final = struct.Struct("!Q")
#: The number of fragments that are decoded without remembering anything in between.
_FEW: Final = range(8)
#: Headers of unmasked text frames of 0 to 125 bytes: all that most replies need.
_SHORT_TEXT_HEADERS: Final = tuple(bytes((_WHOLE_TEXT, size)) for size in range(126))

#: The longest payload of a control frame (RFC 6455, section 5.5).
MAX_CONTROL_BYTES: Final = 125
#: Headers of unmasked pings, and of pongs, of 0 to 125 bytes.
_PING_HEADERS: Final = tuple(bytes((_WHOLE_PING, size)) for size in range(126))
_PONG_HEADERS: Final = tuple(bytes((_WHOLE_PONG, size)) for size in range(126))
#: A peer may send this many fragments without a byte in them, in one message.
MAX_EMPTY_FRAGMENTS: Final = 1024
#: The output of one step of inflating: some 0.2 ms of work.
INFLATE_STEP_BYTES: Final = 64 * 1024
#: Up to this size, the parts of a message are joined as they arrive; from there on they go into a
#: buffer that grows. Joining is faster for a few short fragments, and quadratic for many.
_JOINED_BYTES: Final = 1024
#: The objects of an `Incoming`, and what zlib keeps for one that is compressed (zlib.h: a window of
#: 32 KiB and some 7 KiB beside it; its input in line comes on top).
_INCOMING_BYTES: Final = 400
INFLATING_BYTES: Final = 40 * 1024
#: Fragments are encoded in blocks of about this size: about a millisecond of work at the most.
_FRAGMENT_BLOCK_BYTES: Final = 16 * 1024


class Violation(Exception):
    """The peer sent what it may not.

    :ivar code: the close code that the connection fails with (RFC 6455, section 7.1.7).
    :ivar reason: says what is wrong.
    """

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


class Inflating(Protocol):
    """An inflater of messages; see `deflate.Inflater`."""

    @property
    def pending(self) -> bool:
        """True while there is more output to come from the input it has."""

    @property
    def waiting_bytes(self) -> int:
        """The number of input bytes that are still to be inflated."""

    def inflate(self, data: bytes, max_bytes: int, *, last: bool) -> bytes:
        """Inflate some bytes and return the output, up to a size; `last` ends the message."""


class Incoming:
    """A message that has not arrived completely: within a frame, or between two.

    Text is checked as it arrives, so that a peer that sends garbage is told at its first wrong byte
    and not after the last.

    :ivar opcode: `TEXT` or `BINARY`.
    :ivar is_amid_frame: true while it has to take more before another frame begins.
    :ivar missing: bytes of the current frame's payload that are still to come.
    :ivar complete: true once the last byte has been taken.
    :ivar size: bytes of the message that have arrived, after inflating.
    """

    __slots__ = (
        "_buffer",
        "_deflated_bytes",
        "_empty_fragments",
        "_fin",
        "_inflater",
        "_joined",
        "_mask",
        "_max_bytes",
        "_unfinished",
        "complete",
        "is_amid_frame",
        "missing",
        "opcode",
        "size",
    )

    def __init__(self, opcode: int, max_bytes: int, inflater: Inflating | None) -> None:
        self.opcode: int = opcode
        self.missing: int = 0
        self.size: int = 0
        self.complete: bool = False
        self.is_amid_frame: bool = False
        self._max_bytes = max_bytes
        self._inflater = inflater
        self._deflated_bytes = self._empty_fragments = 0
        self._joined = b""
        self._buffer: BytesIO | None = None
        self._unfinished = b""  # the beginning of a character whose end has not arrived

    @property
    def is_inflating(self) -> bool:
        """True while there is more to inflate before anything else is read."""
        return self._inflater is not None and self._inflater.pending

    @property
    def held_bytes(self) -> int:
        """The memory that this takes, in bytes."""
        buffer, inflater = self._buffer, self._inflater
        held = _INCOMING_BYTES + (len(self._joined) if buffer is None else buffer.__sizeof__())
        if inflater is not None:
            held += INFLATING_BYTES + inflater.waiting_bytes
        return held

    def begin_frame(self, size: int, fin: int, mask: bytes) -> None:
        """Begin the first frame, or the next.

        :param size: bytes of its payload.
        :param fin: `FIN` if it is the last frame of the message, else 0.
        :param mask: four bytes, or none if it is not masked.
        :raises Violation: if its payload would make the message too big, or if it is one of too
            many that have none.
        """
        self.missing = size
        self._fin = fin
        self._mask = mask
        if self._inflater is None:
            if self.size + size > self._max_bytes:
                raise too_big(self._max_bytes)
        else:
            self._deflated_bytes += size
            # DEFLATE makes incompressible data a little longer. Twice the size is enough for the
            # worst compressor, and bounds what a peer can send that inflates to nothing.
            if self._deflated_bytes > 2 * self._max_bytes + 1024:
                raise too_big(self._max_bytes)
        if not size and not fin:
            self._empty_fragments += 1
            if self._empty_fragments > MAX_EMPTY_FRAGMENTS:
                raise Violation(POLICY_VIOLATION, "too many empty fragments")

    def take(self, data: bytes, at: int) -> int:
        """Take the current frame's payload so far, or inflate what was taken before.

        Inflates at most `INFLATE_STEP_BYTES`; `is_inflating` tells whether there is more.

        :param at: where the payload goes on in `data`.
        :returns: where to go on reading in `data`.
        :raises Violation: if the payload can't be inflated, the message gets too big, or text is
            not UTF-8.
        """
        payload = b""
        inflater = self._inflater
        if self.missing and (inflater is None or not inflater.pending):
            payload = data[at : at + self.missing]
            at += len(payload)
            self.missing -= len(payload)
            if mask := self._mask:
                turn = len(payload) & 3
                payload = apply_mask(payload, mask)
                if self.missing:
                    self._mask = mask[turn:] + mask[:turn]
        last = self._fin > 0 and not self.missing
        if inflater is not None:
            room = self._max_bytes - self.size
            step = min(room + 1, INFLATE_STEP_BYTES)
            payload = inflater.inflate(payload, step, last=last)
            if len(payload) > room:
                raise too_big(self._max_bytes)
            last = last and not inflater.pending
            self.is_amid_frame = self.missing > 0 or inflater.pending
        else:
            self.is_amid_frame = self.missing > 0
        if self.opcode == TEXT and (self._unfinished or not payload.isascii()):
            self._check_text(payload, last)
        self.size += len(payload)
        self._keep(payload)
        self.complete = last
        return at

    def message(self) -> str | bytes:
        """Return the message; only once it is `complete`."""
        whole = self._kept()
        return whole.decode() if self.opcode == TEXT else whole

    def _kept(self) -> bytes:
        return self._joined if self._buffer is None else self._buffer.getvalue()

    def _check_text(self, payload: bytes, last: bool) -> None:
        text = self._unfinished + payload
        try:
            _, checked = codecs.utf_8_decode(text, "strict", last)
        except UnicodeDecodeError as exc:
            raise Violation(INVALID_PAYLOAD, str(exc)) from None
        self._unfinished = text[checked:]

    def _keep(self, payload: bytes) -> None:
        if self._buffer is not None:
            self._buffer.write(payload)
        elif not self._joined:
            self._joined = payload
        elif self.size <= _JOINED_BYTES:
            self._joined += payload
        else:
            self._buffer = buffer = BytesIO()
            buffer.write(self._joined)
            buffer.write(payload)
            self._joined = b""


class Encoded(Incoming):
    """A message whose text, which is checked as ever, is not decoded at the end."""

    __slots__ = ()

    def message(self) -> bytes:
        """Return the payload, also of text as bytes; only once it is `complete`."""
        return self._kept()


class Passing(Incoming):
    """A message that is passed on in pieces while it arrives, and never kept as a whole.

    :ivar begun: true once a piece was taken out: the next one continues the message.
    """

    __slots__ = ("begun",)

    def __init__(self, opcode: int, max_bytes: int, inflater: Inflating | None) -> None:
        super().__init__(opcode, max_bytes, inflater)
        self.begun: bool = False

    @property
    def kept_bytes(self) -> int:
        """The bytes of payload that `take_out` would return."""
        return len(self._joined) if self._buffer is None else self._buffer.tell()

    def take_out(self) -> bytes:
        """Return the payload that has arrived since the last time, and forget it.

        Text may end within a character.
        """
        piece = self._kept()
        self._joined, self._buffer = b"", None
        self.begun = True
        return piece

    def message(self) -> bytes:
        """Return the last piece, also of text as bytes; only once it is `complete`."""
        return self._kept()


def decode(data: bytes, at: int, masked: bool) -> tuple[str | bytes, int, int] | None:
    """Decode the plain frame that starts at `at`, if all its bytes are there.

    This is the fast path of nearly every message: a whole text or binary message, not compressed.

    :param masked: true if the peer has to mask, because it is a client (RFC 6455, section 5.1).
    :returns: the message, the size of its payload in bytes, and where the next frame starts; or
        ``None`` if this is not a plain frame, or only part of one, or its text is not UTF-8.
    :raises Violation: if its length or mask is wrong.
    """
    if len(data) < at + 2:
        return None
    first, second = data[at], data[at + 1]
    if first != _WHOLE_TEXT and first != _WHOLE_BINARY:
        return None
    size = second & 0x7F
    start = at + 2
    if size > 125:
        header = _read_length(data, at, masked)
        if header is None:
            return None
        size, start, mask = header
    elif masked != (second >= MASKED):
        return None
    elif masked:
        mask = data[start : start + 4]
        start += 4
    stop = start + size
    if stop > len(data):
        return None
    payload = data[start:stop]
    if masked:
        payload = apply_mask(payload, mask)
    if first == _WHOLE_BINARY:
        return payload, size, stop
    try:
        return payload.decode(), size, stop
    except UnicodeDecodeError:
        return None


def check_plain(data: bytes, at: int, masked: bool) -> tuple[int, bytes, int] | None:
    """Read the plain frame that starts at `at`, as `decode` does, but leave its text encoded.

    Text is checked all the same. For long messages, which neither this copies nor a decoder.

    :param masked: true if the peer has to mask.
    :returns: `TEXT` or `BINARY`, the payload, and where the next frame starts; ``None`` if this is
        a short frame, or not a plain one, or only part of one, or its text is not UTF-8.
    :raises Violation: if its length or mask is wrong.
    """
    first = data[at]
    if (first != _WHOLE_TEXT and first != _WHOLE_BINARY) or data[at + 1] & 0x7F < 126:
        return None
    header = _read_length(data, at, masked)
    if header is None:
        return None
    size, start, mask = header
    stop = start + size
    if stop > len(data):
        return None
    payload = apply_mask(memoryview(data)[start:stop], mask) if masked else data[start:stop]
    if first == _WHOLE_TEXT and not payload.isascii():
        try:
            codecs.utf_8_decode(payload, "strict", True)
        except UnicodeDecodeError:
            return None
    return first & 0x0F, payload, stop


def decode_control(data: bytes, at: int, masked: bool) -> tuple[int, bytes, int] | None:
    """Decode the ping or pong that starts at `at`, if it is all there: as `read`, but faster.

    A peer may send nothing else. It should not cost more than the same bytes as messages.

    :param masked: true if the peer has to mask.
    :returns: opcode, payload, and where the next frame starts; ``None`` if it is anything else.
    """
    first = data[at]
    start = at + 2
    if (first != _WHOLE_PING and first != _WHOLE_PONG) or len(data) < start:
        return None
    second = data[at + 1]
    if not masked:
        stop = start + second
        if second > MAX_CONTROL_BYTES or stop > len(data):
            return None
        return first & 0x0F, data[start:stop], stop
    payload_at = at + 6
    stop = payload_at + second - MASKED
    if not MASKED <= second <= MASKED | MAX_CONTROL_BYTES or stop > len(data):
        return None
    if stop == payload_at:
        return first & 0x0F, b"", stop
    return first & 0x0F, apply_mask(data[payload_at:stop], data[start:payload_at]), stop


def decode_fragments(  # noqa: PLR0912 - a call would cost each fragment
    data: bytes, at: int, masked: bool, max_bytes: int
) -> tuple[str | bytes, int] | None:
    """Decode a message in a few fragments, if all its bytes are there: as `read`, but faster.

    Nothing has to be remembered for it, so there is no `Incoming` to be made and dropped.

    :param masked: true if the peer has to mask.
    :returns: the message, and where the next frame starts; ``None`` if it is anything else, and
        also if it is too big or its text is not UTF-8.
    :raises Violation: if a length or mask is wrong.
    """
    opcode = data[at]
    if opcode != TEXT and opcode != BINARY:
        return None
    mask_bit = MASKED if masked else 0
    end = len(data)
    whole = b""
    first = opcode
    for _ in _FEW:
        if end < at + 2:
            return None
        size = data[at + 1] ^ mask_bit
        if size <= 125:
            start = at + 6 if masked else at + 2
            mask = data[at + 2 : start]
        else:
            header = _read_length(data, at, masked)
            if header is None:
                return None
            size, start, mask = header
        stop = start + size
        if stop > end or not size:
            return None
        payload = data[start:stop]
        whole += apply_mask(payload, mask) if mask else payload
        at = stop
        if first >= FIN:
            break
        if at == end:
            return None
        first = data[at]
        if first & _ALL_BUT_FIN:
            return None
    else:
        return None
    if len(whole) > max_bytes:
        return None
    if opcode == BINARY:
        return whole, at
    try:
        return whole.decode(), at
    except UnicodeDecodeError:
        return None


def read(
    data: bytes,
    at: int,
    masked: bool,
    incoming: Incoming | None,
    max_bytes: int,
    inflater: Callable[[], Inflating] | None,
    kind: type[Incoming] = Incoming,
) -> tuple[int, str | bytes | Incoming | None, int]:
    """Read the frame that starts at `at`, or go on with the one that `incoming` has begun.

    :param masked: true if the peer has to mask.
    :param incoming: the message that the last call returned with `PARTIAL`; ``None`` if there is
        none.
    :param max_bytes: the largest payload of a message, after inflating.
    :param inflater: makes an inflater; ``None`` if compression was not negotiated.
    :param kind: the class of messages that begin here.
    :returns: what was read, its value, and where to go on. `TEXT` and `BINARY` come with the
        message, `CLOSE`, `PING` and `PONG` with their payload. `PARTIAL` comes with the message
        under way, and either all of `data` was taken, or this is to be called again at once
        (`Incoming.is_inflating`), or a fragment has ended. `HEADER` comes with ``None``: the bytes
        from `at` on have to come again, with more.
    :raises Violation: if the peer sent what it may not.
    """
    if incoming is not None and incoming.is_amid_frame:
        at = incoming.take(data, at)
    else:
        if len(data) < at + 2:
            return HEADER, None, at
        first = data[at]
        opcode = first & 0x0F
        if opcode >= CLOSE:
            return _read_control(data, at, masked)
        _check_place(first, opcode, incoming, inflater)
        header = _read_length(data, at, masked)
        if header is None:
            return HEADER, None, at
        size, start, mask = header
        if incoming is None:
            compressed = first & RSV1 and inflater is not None
            incoming = kind(opcode, max_bytes, inflater() if compressed else None)  # type: ignore[misc]
        incoming.begin_frame(size, first & FIN, mask)
        at = incoming.take(data, start)
    if incoming.complete:
        return incoming.opcode, incoming.message(), at
    return PARTIAL, incoming, at


def skip(data: bytes, at: int, masked: bool) -> tuple[int, bytes, int] | None:
    """Read the header of the frame that starts at `at`, and the payload only of a control frame.

    For callers that look for nothing but a close frame. A wrong order of fragments is not noticed.

    :returns: opcode, a control frame's payload, and where the next frame starts, which for others
        may be behind the end of `data`; ``None`` if the header has not all arrived.
    :raises Violation: if the header is not allowed.
    """
    if len(data) < at + 2:
        return None
    opcode = data[at] & 0x0F
    if opcode >= CLOSE:
        what, payload, stop = _read_control(data, at, masked)
        return None if what == HEADER else (what, payload, stop)
    if opcode > BINARY:
        raise _unknown_opcode(opcode)
    header = _read_length(data, at, masked)
    if header is None:
        return None
    size, start, _ = header
    return opcode, b"", start + size


def read_close(payload: bytes) -> tuple[int, str]:
    """Read the payload of a close frame: its code, or `NO_STATUS`, and its reason.

    :raises Violation: if there is half a code, one that may not be sent, or a reason that is not
        UTF-8.
    """
    if not payload:
        return NO_STATUS, ""
    if len(payload) == 1:
        raise Violation(PROTOCOL_ERROR, "a close frame has half a code")
    code = int.from_bytes(payload[:2])
    if not may_be_sent(code):
        raise Violation(PROTOCOL_ERROR, f"a close frame may not carry the code {code}")
    try:
        return code, payload[2:].decode()
    except UnicodeDecodeError as exc:
        raise Violation(INVALID_PAYLOAD, f"the close reason is not UTF-8: {exc}") from None


def too_big(max_bytes: int) -> Violation:
    """Make the violation of a message that is too big."""
    return Violation(MESSAGE_TOO_BIG, f"Exceeded maximum message size: {max_bytes} bytes")


def _check_place(
    first: int, opcode: int, incoming: Incoming | None, inflater: Callable[[], Inflating] | None
) -> None:
    if opcode > BINARY:
        raise _unknown_opcode(opcode)
    if first & _RSV2_OR_3 or (first & RSV1 and (inflater is None or opcode == CONTINUATION)):
        raise Violation(PROTOCOL_ERROR, "a reserved bit is set")
    if incoming is None:
        if opcode == CONTINUATION:
            raise Violation(PROTOCOL_ERROR, "a fragment continues no message")
    elif opcode != CONTINUATION:
        raise Violation(PROTOCOL_ERROR, "a message begins before the last one has ended")


def _read_length(data: bytes, at: int, masked: bool) -> tuple[int, int, bytes] | None:
    """Read the payload's size, where it starts, and the mask; ``None`` if not all has arrived."""
    second = data[at + 1]
    if masked != (second >= MASKED):
        raise Violation(
            PROTOCOL_ERROR, "a client has to mask" if masked else "a server may not mask"
        )
    size = second & 0x7F
    start = at + 2
    if size == 126:
        if len(data) < start + 2:
            return None
        (size,) = _UINT16.unpack_from(data, start)
        start += 2
        if size < 126:
            raise Violation(PROTOCOL_ERROR, "a length takes more bytes than it needs")
    elif size == 127:
        if len(data) < start + 8:
            return None
        (size,) = _UINT64.unpack_from(data, start)
        start += 8
        if size < 65536:
            raise Violation(PROTOCOL_ERROR, "a length takes more bytes than it needs")
        if size >> 63:
            raise Violation(PROTOCOL_ERROR, "a length has its highest bit set")
    if not masked:
        return size, start, b""
    start += 4
    return (size, start, data[start - 4 : start]) if start <= len(data) else None


def _read_control(data: bytes, at: int, masked: bool) -> tuple[int, bytes, int]:
    first, second = data[at], data[at + 1]
    opcode = first & 0x0F
    size = second & 0x7F
    if opcode > PONG:
        raise _unknown_opcode(opcode)
    if first < FIN:
        raise Violation(PROTOCOL_ERROR, "a control frame is fragmented")
    if first & _ANY_RSV:
        raise Violation(PROTOCOL_ERROR, "a reserved bit is set")
    if size > MAX_CONTROL_BYTES:
        raise Violation(PROTOCOL_ERROR, "a control frame is too long")
    header = _read_length(data, at, masked)
    if header is None:
        return HEADER, b"", at
    _, start, mask = header
    stop = start + size
    if stop > len(data):
        return HEADER, b"", at
    payload = data[start:stop]
    return opcode, apply_mask(payload, mask) if masked else payload, stop


def _unknown_opcode(opcode: int) -> Violation:
    return Violation(PROTOCOL_ERROR, f"there is no opcode {opcode:#x}")


def encode(message: str | bytes, masked: bool) -> bytes:
    """Encode one message as one frame.

    :param masked: whether to mask: true when we are the client.
    """
    if isinstance(message, str):
        payload, opcode = message.encode(), TEXT
        if not masked and len(payload) < 126:
            return _SHORT_TEXT_HEADERS[len(payload)] + payload
    else:
        payload, opcode = message, BINARY
    return encode_frame(opcode, payload, masked)


def encode_fragments(message: str | bytes, size_bytes: int, masked: bool) -> Iterator[bytes]:
    """Encode one message as frames of `size_bytes` of payload each; the last holds the rest.

    Text is split between bytes, so also within a character (RFC 6455, section 5.6, allows it). An
    empty message is one frame.

    :returns: the frames, joined to blocks of a size that is good to send.
    """
    opcode = TEXT if isinstance(message, str) else BINARY
    payload = message.encode() if isinstance(message, str) else message
    block = bytearray()
    last = max(len(payload) - 1, 0) // size_bytes * size_bytes
    for at in range(0, last + 1, size_bytes):
        fin = FIN if at == last else 0
        block += encode_frame(opcode, payload[at : at + size_bytes], masked, fin)
        opcode = CONTINUATION
        if len(block) >= _FRAGMENT_BLOCK_BYTES or fin:
            yield bytes(block)
            block.clear()


def encode_ping(payload: bytes, masked: bool) -> bytes:
    """Encode a ping, whose payload has at most 125 bytes."""
    if masked:
        return encode_frame(PING, payload, masked)
    return _PING_HEADERS[len(payload)] + payload


def encode_pong(payload: bytes, masked: bool) -> bytes:
    """Encode the answer to a ping, whose payload has at most 125 bytes."""
    if masked:
        return encode_frame(PONG, payload, masked)
    return _PONG_HEADERS[len(payload)] + payload


def encode_control(opcode: int, payload: bytes, masked: bool) -> bytes:
    """Encode a ping, pong or close frame.

    :raises ValueError: if the payload is longer than 125 bytes.
    """
    if len(payload) > MAX_CONTROL_BYTES:
        raise ValueError(f"a control frame holds {MAX_CONTROL_BYTES} bytes, not {len(payload)}")
    return encode_frame(opcode, payload, masked)


def encode_close(code: int, reason: str | None, masked: bool) -> bytes:
    """Encode a close frame; `NO_STATUS` makes an empty one (RFC 6455, section 5.5.1).

    :param reason: longer than 123 bytes of UTF-8 it is cut, between two characters.
    :raises ValueError: if the code may not be sent, or a reason comes without a code.
    """
    if code == NO_STATUS:
        if reason:
            raise ValueError("a close frame without a code has no reason")
        return encode_frame(CLOSE, b"", masked)
    if not may_be_sent(code):
        raise ValueError(f"a close frame can't carry the code {code}")
    text = (reason or "").encode()[: MAX_CONTROL_BYTES - 2].decode(errors="ignore")
    return encode_frame(CLOSE, _UINT16.pack(code) + text.encode(), masked)


def encode_frame(opcode: int, payload: bytes, masked: bool, fin: int = FIN) -> bytes:
    """Encode a whole frame; the opcode may come with RSV1, which marks a compressed message."""
    size = len(payload)
    mask_bit = MASKED if masked else 0
    if size < 126:
        header = bytes((fin | opcode, mask_bit | size))
    elif size < 65536:
        header = bytes((fin | opcode, mask_bit | 126)) + _UINT16.pack(size)
    else:
        header = bytes((fin | opcode, mask_bit | 127)) + _UINT64.pack(size)
    if not masked:
        return header + payload
    mask = _fresh_mask()
    return header + mask + apply_mask(payload, mask)


def long_header(opcode: int, size: int) -> bytes:
    """Encode the header of a whole frame without a mask.

    :param size: bytes of its payload, at least 126.
    """
    if size < 65536:
        return bytes((FIN | opcode, 126)) + _UINT16.pack(size)
    return bytes((FIN | opcode, 127)) + _UINT64.pack(size)


class _MaskSource:
    """A source of masking keys from the system's entropy, fetched a page at a time.

    RFC 6455, section 10.3, wants them unpredictable; a system call for each message costs as much
    as encoding the message does.
    """

    def __init__(self) -> None:
        self.discard()

    def discard(self) -> None:
        """Forget the page: a forked process must not repeat its parent's keys."""
        self._page = b""
        self._at = 0

    def __call__(self) -> bytes:
        at = self._at
        if at == len(self._page):
            self._page = os.urandom(4096)
            at = 0
        self._at = at + 4
        return self._page[at : at + 4]


_fresh_mask = _MaskSource()
if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_fresh_mask.discard)
