"""Sans-I/O codec of plain frames: a whole text or binary message in one uncompressed frame.

Nearly everything that travels on a WebSocket is one of these: FIN set, no RSV bit, opcode 1
or 2, minimally encoded length (RFC 6455, section 5.2). They are decoded and encoded here, with
the masking done in C. Whatever else arrives – fragments, control frames, compressed or malformed
ones – this module declines to read (`None`), and wsproto, which stays the authority, reads it.
`tests/property/test_frames.py` holds the two together.
"""

from __future__ import annotations

import codecs
import os
import struct
from collections.abc import Iterator
from typing import Final

try:
    from websockets.speedups import apply_mask
except ImportError:  # pragma: no cover - a platform without a compiled wheel
    from websockets.utils import apply_mask

from echo_trio.wire.close_codes import NO_STATUS, may_be_sent

CONTINUATION: Final = 0x0
TEXT: Final = 0x1
BINARY: Final = 0x2
CLOSE: Final = 0x8
PING: Final = 0x9
PONG: Final = 0xA

FIN: Final = 0x80
RSV1: Final = 0x40  # compressed
MASKED: Final = 0x80
_WHOLE_TEXT: Final = FIN | TEXT
_WHOLE_BINARY: Final = FIN | BINARY
_UINT16: Final = struct.Struct("!H")
_UINT64: Final = struct.Struct("!Q")
#: Headers of unmasked text frames of 0 to 125 bytes: all that most replies need.
_SHORT_TEXT_HEADERS: Final = tuple(bytes((_WHOLE_TEXT, size)) for size in range(126))

#: RFC 6455, section 5.5: the payload of a control frame.
MAX_CONTROL_BYTES: Final = 125
#: The whole of it: two bytes of header, a mask, the payload.
MAX_CONTROL_FRAME_BYTES: Final = 2 + 4 + MAX_CONTROL_BYTES
_MAX_HEADER_BYTES: Final = 2 + 8 + 4
#: A partial message that has arrived in this many parts is joined, lest a peer that sends byte
#: after byte cost us an object for each.
_MAX_PARTS: Final = 1024
#: Fragments are encoded in blocks of about this size: about a millisecond of work at the most.
_FRAGMENT_BLOCK_BYTES: Final = 16 * 1024


class PartialMessage:
    """A plain frame whose header has arrived and whose payload has not, or not all of it.

    Text is validated as it arrives, so that a peer sending garbage is told at its first wrong
    byte and not after the last.

    :ivar size: bytes of payload that the header promises.
    :ivar missing: bytes of payload still to come.
    """

    __slots__ = ("_decoder", "_mask", "_parts", "missing", "size")

    def __init__(self, opcode: int, size: int, mask: bytes) -> None:
        self.size = self.missing = size
        self._mask = mask
        self._parts: list[str | bytes] = []
        self._decoder = codecs.getincrementaldecoder("utf-8")() if opcode == TEXT else None

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of the payload, at most `missing` of them.

        :raises UnicodeDecodeError: if a text message is not UTF-8 so far.
        """
        self.missing -= len(chunk)
        if mask := self._mask:
            payload: bytes = apply_mask(chunk, mask)
            turn = len(chunk) & 3
            self._mask = mask[turn:] + mask[:turn]
        else:
            payload = chunk
        if self._decoder is None:
            self._parts.append(payload)
        else:
            self._parts.append(self._decoder.decode(payload, final=not self.missing))
        if len(self._parts) == _MAX_PARTS:
            self._parts = [self.message()]

    def message(self) -> str | bytes:
        """The message, or as much of it as has arrived."""
        if self._decoder is None:
            return b"".join(self._parts)  # type: ignore[arg-type]
        return "".join(self._parts)  # type: ignore[arg-type]


def decode(data: bytes, at: int, masked: bool) -> tuple[str | bytes, int, int] | None:
    """Decode the plain frame that starts at `at`, if all of it is there.

    :param masked: whether the peer has to mask: true when it is a client.
    :returns: the message, the size of its payload in bytes, and where the next frame starts; or
        ``None`` if this is not a plain frame, or not the whole of one, or its text is not UTF-8.
    """
    if len(data) < at + 2:
        return None
    first, second = data[at], data[at + 1]
    if first != _WHOLE_TEXT and first != _WHOLE_BINARY:
        return None
    size = second & 0x7F
    start = at + 2
    if size > 125:
        header = _read_header(data, at, masked)
        if header is None or isinstance(header, int):
            return None
        _, size, start, mask = header
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


def decode_control(data: bytes, at: int, masked: bool) -> tuple[int, bytes, int] | None:
    """Decode the ping or pong that starts at `at`, if all of it is there.

    With pings on, each of ten thousand connections sends one now and then; wsproto takes sixty
    times as long as this for it.

    :returns: opcode, payload, and where the next frame starts; ``None`` if it is anything else.
    """
    start = at + 2
    if len(data) < start or data[at] not in (FIN | PING, FIN | PONG):
        return None
    size = data[at + 1] & 0x7F
    if size > MAX_CONTROL_BYTES or masked != (data[at + 1] >= MASKED):
        return None
    if masked:
        mask = data[start : start + 4]
        start += 4
    stop = start + size
    if stop > len(data):
        return None
    payload = data[start:stop]
    return data[at] & 0x0F, apply_mask(payload, mask) if masked else payload, stop


def decode_deflated(data: bytes, at: int, masked: bool) -> tuple[int, bytes, int] | None:
    """Like `decode`, of a compressed message in one frame: opcode, compressed payload, next frame.

    Only where compression was agreed on may the RSV1 bit be set at all.
    """
    if at == len(data) or data[at] not in (_WHOLE_TEXT | RSV1, _WHOLE_BINARY | RSV1):
        return None
    plain = bytes((data[at] ^ RSV1,)) + data[at + 1 : at + _MAX_HEADER_BYTES]
    header = _read_header(plain, 0, masked)
    if header is None or isinstance(header, int):
        return None
    opcode, size, start, mask = header
    start += at
    stop = start + size
    if stop > len(data):
        return None
    payload = data[start:stop]
    return opcode, apply_mask(payload, mask) if masked else payload, stop


def begin(data: bytes, at: int, masked: bool) -> tuple[PartialMessage, int] | int | None:
    """Begin a plain frame that `decode` declined, because it has not all arrived.

    :returns: the partial message, not yet fed, and where its payload starts; the number of bytes
        that the header still lacks; or ``None`` if this frame is not plain.
    """
    header = _read_header(data, at, masked)
    if header is None or isinstance(header, int):
        return header
    opcode, size, start, mask = header
    if start + size <= len(data):
        return None  # It is all there, and still decode() declined: not UTF-8.
    return PartialMessage(opcode, size, mask), start


def _read_header(data: bytes, at: int, masked: bool) -> tuple[int, int, int, bytes] | int | None:
    """Opcode, payload size, start of payload, mask; or bytes missing; or None: not plain."""
    there = len(data) - at
    if there and data[at] != _WHOLE_TEXT and data[at] != _WHOLE_BINARY:
        return None
    if there < 2:
        return 2 - there
    second = data[at + 1]
    if masked != (second >= MASKED):
        return None
    size = second & 0x7F
    length_bytes = 0 if size < 126 else 2 if size == 126 else 8
    header_bytes = 2 + length_bytes + (4 if masked else 0)
    if there < header_bytes:
        return header_bytes - there
    start = at + header_bytes
    if length_bytes == 2:
        (size,) = _UINT16.unpack_from(data, at + 2)
        if size < 126:
            return None
    elif length_bytes == 8:
        (size,) = _UINT64.unpack_from(data, at + 2)
        if size < 65536 or size >> 63:
            return None
    return data[at] & 0x0F, size, start, data[start - 4 : start] if masked else b""


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
    """Encode one message as frames of so many bytes of payload, the last with what is left.

    Text is split between bytes, so also amid a character (RFC 6455, section 5.6, allows it). An
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


def encode_control(opcode: int, payload: bytes, masked: bool) -> bytes:
    """Encode a ping, pong or close frame.

    :raises ValueError: if the payload is longer than 125 bytes.
    """
    if len(payload) > MAX_CONTROL_BYTES:
        raise ValueError(f"a control frame holds {MAX_CONTROL_BYTES} bytes, not {len(payload)}")
    return encode_frame(opcode, payload, masked)


def encode_close(code: int, reason: str | None, masked: bool) -> bytes:
    """Encode a close frame; `NO_STATUS` makes an empty one (RFC 6455, section 5.5.1).

    A reason that is too long is cut at a character, as wsproto does.

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
    """Encode a frame that is whole; RSV1 may come with the opcode."""
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


class _MaskSource:
    """Masking keys from the system's entropy, fetched a page at a time.

    RFC 6455, section 10.3, wants them unpredictable; a system call for each message costs as
    much as encoding the message does.
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
os.register_at_fork(after_in_child=_fresh_mask.discard)
