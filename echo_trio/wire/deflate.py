"""permessage-deflate (RFC 7692), sans-I/O: its negotiation, its compressing, its inflating.

What we send never refers to earlier messages, whatever was negotiated: RFC 7692 lets a sender
forgo that, and then no connection holds a compressor between two messages. A server also asks its
client for the same, so an idle connection holds no decompressor either. A client takes what its
server chooses: if that takes its context over, each socket keeps one window, up to 40 KB.

wsproto stays the authority on compressed frames. `Inflater` is the extension that it is given,
because its own inflates a whole segment before anybody counts. A message that came in one frame,
and all at once, is inflated without wsproto's help.
"""

from __future__ import annotations

import functools
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from wsproto.extensions import Extension as WsprotoExtension
from wsproto.frame_protocol import (
    CloseReason,
    FrameDecoder,
    FrameProtocol,
    Opcode,
    ParseFailed,
    RsvBits,
)

from echo_trio.wire import frames

NAME: Final = "permessage-deflate"
#: What a client offers: the same as browsers do.
OFFER: Final = f"{NAME}; client_max_window_bits"

#: An element of Sec-WebSocket-Extensions: its name, and its parameters in order.
Extension = tuple[str, list[tuple[str, str | None]]]
Encode = Callable[[str | bytes, bool], bytes]

#: Without earlier messages to refer to, shorter ones hardly ever get shorter.
MIN_DEFLATED_BYTES: Final = 64
#: A peer that ends the DEFLATE stream (RFC 7692, section 7.2.3.4) does so once a message.
MAX_STREAM_ENDS: Final = 16

_MAX_WINDOW_BITS: Final = 15
_WINDOW_BITS: Final = {str(bits): bits for bits in range(8, _MAX_WINDOW_BITS + 1)}
#: zlib can't write raw DEFLATE with a window of 256 bytes. Then we send uncompressed, as we may.
_UNWRITABLE_WINDOW_BITS: Final = 8
#: Half the time of zlib's default and less, for a tenth more bytes (docs/decisions/0005).
_LEVEL: Final = 1
_NO_CONTEXT_TAKEOVER: Final = ("server_no_context_takeover", "client_no_context_takeover")
_MAX_WINDOW: Final = ("server_max_window_bits", "client_max_window_bits")
#: What the sender of each message leaves off its end (section 7.2.1).
_TAIL: Final = b"\x00\x00\xff\xff"


# -- Negotiation ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Parameters:
    """What the two ends agreed on (RFC 7692, section 7.1).

    :ivar server_max_window_bits: ``None`` if the server may use any window.
    :ivar client_max_window_bits: likewise of the client.
    """

    server_no_context_takeover: bool = False
    client_no_context_takeover: bool = False
    server_max_window_bits: int | None = None
    client_max_window_bits: int | None = None

    def __str__(self) -> str:
        """As the server's answer has it."""
        parts = [NAME]
        parts += [name for name in _NO_CONTEXT_TAKEOVER if getattr(self, name)]
        parts += [f"{name}={bits}" for name in _MAX_WINDOW if (bits := getattr(self, name))]
        return "; ".join(parts)


def accept(offered: Iterable[Extension]) -> Parameters | None:
    """The server's choice: the first offer that it understands, ``None`` if there is none."""
    for name, parameters in offered:
        offer = _read(parameters) if name == NAME else None
        if offer is not None:
            return Parameters(
                server_no_context_takeover=True,
                client_no_context_takeover=True,
                server_max_window_bits=offer.get("server_max_window_bits"),
            )
    return None


def agree(offered: Iterable[Extension], chosen: list[Extension]) -> Parameters | None:
    """What the server's answer means to the client that made these offers.

    :returns: ``None`` if the server chose nothing.
    :raises ValueError: if it chose what was not offered.
    """
    if not chosen:
        return None
    offers = [_read(parameters) for name, parameters in offered if name == NAME]
    if not offers or [name for name, _ in chosen] != [NAME]:
        raise ValueError("the server chose an extension that was not offered")
    answer = _read(chosen[0][1])
    if answer is None or answer.get("client_max_window_bits", 1) is None:
        raise ValueError(f"the server's parameters of {NAME} are malformed")
    if not any(offer is not None and _fits(answer, offer) for offer in offers):
        raise ValueError(f"the server chose parameters of {NAME} that were not offered")
    return Parameters(
        server_no_context_takeover="server_no_context_takeover" in answer,
        client_no_context_takeover="client_no_context_takeover" in answer,
        server_max_window_bits=answer.get("server_max_window_bits"),
        client_max_window_bits=answer.get("client_max_window_bits"),
    )


def _read(parameters: list[tuple[str, str | None]]) -> dict[str, int | None] | None:
    """The parameters by name, if each is one that RFC 7692 knows, once, with a value it allows."""
    read: dict[str, int | None] = {}
    for name, value in parameters:
        needs_no_value = name in _NO_CONTEXT_TAKEOVER or name == "client_max_window_bits"
        if name in read:
            return None
        if value is None and needs_no_value:
            read[name] = None
        elif value in _WINDOW_BITS and name in _MAX_WINDOW:
            read[name] = _WINDOW_BITS[value]
        else:
            return None
    return read


def _fits(answer: dict[str, int | None], offer: dict[str, int | None]) -> bool:
    """May a server answer this offer so? It may promise more than it was asked for, not less."""
    if "server_no_context_takeover" in offer and "server_no_context_takeover" not in answer:
        return False
    asked = offer.get("server_max_window_bits")
    if asked is not None and (answer.get("server_max_window_bits") or _MAX_WINDOW_BITS + 1) > asked:
        return False
    return "client_max_window_bits" in offer or "client_max_window_bits" not in answer


# -- Sending ----------------------------------------------------------------------------------


def encoder(parameters: Parameters, *, client: bool) -> Encode:
    """`frames.encode`, with what gets shorter by it compressed. It holds no state."""
    bits = parameters.client_max_window_bits if client else parameters.server_max_window_bits
    return _encoder(bits or _MAX_WINDOW_BITS)


@functools.cache
def _encoder(window_bits: int) -> Encode:
    if window_bits == _UNWRITABLE_WINDOW_BITS:
        return frames.encode

    def encode(message: str | bytes, masked: bool) -> bytes:
        payload = message.encode() if isinstance(message, str) else message
        if len(payload) >= MIN_DEFLATED_BYTES:
            compressor = zlib.compressobj(_LEVEL, zlib.DEFLATED, -window_bits)
            deflated = compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH)
            deflated = deflated[: -len(_TAIL)]
            if len(deflated) < len(payload):
                opcode = frames.TEXT if isinstance(message, str) else frames.BINARY
                return frames.encode_frame(frames.RSV1 | opcode, deflated, masked)
        return frames.encode(message, masked)

    return encode


# -- Receiving --------------------------------------------------------------------------------


class Inflater(WsprotoExtension):
    """Inflates the compressed messages that wsproto reads, and stops where one gets too big.

    One for each connection; it outlives the parsers that it is lent to. Raises wsproto's
    `ParseFailed`, which becomes wsproto's verdict.

    :ivar inflating: whether the message under way is a compressed one.
    """

    name = NAME

    def __init__(self, parameters: Parameters, *, client: bool, max_message_bytes: int) -> None:
        if client:
            bits = parameters.server_max_window_bits
            self._keeps_context = not parameters.server_no_context_takeover
        else:
            bits = parameters.client_max_window_bits
            self._keeps_context = not parameters.client_no_context_takeover
        self._window_bits = bits or _MAX_WINDOW_BITS
        self._max_message_bytes = max_message_bytes
        # As much as a peer needs that compresses badly, and no more.
        self._max_deflated_bytes = 2 * max_message_bytes + 1024
        self._stream: zlib._Decompress | None = None
        self._in_message = self._in_control_frame = False
        self.inflating = False
        self._begin_message()

    def _begin_message(self) -> None:
        self._inflated_bytes = self._deflated_bytes = self._stream_ends = 0

    def enabled(self) -> bool:
        """The handshake is over, and we were made because of it."""
        return True

    def offer(self) -> bool | str:
        """Negotiated above, not by wsproto."""
        return False

    def frame_inbound_header(
        self,
        proto: FrameDecoder | FrameProtocol,
        opcode: Opcode,
        rsv: RsvBits,
        payload_length: int,
    ) -> CloseReason | RsvBits:
        """Judge a header. wsproto asks again when not all of it had arrived."""
        self._in_control_frame = opcode.iscontrol()
        begins = not self._in_control_frame and opcode is not Opcode.CONTINUATION
        if rsv.rsv1 and not begins:
            raise ParseFailed("only a message's first frame says that it is compressed")
        if begins:
            if self._in_message:
                raise ParseFailed("a message began before the last one had ended")
            self.inflating = rsv.rsv1
        if (
            self.inflating
            and not self._in_control_frame
            and self._deflated_bytes + payload_length > self._max_deflated_bytes
        ):
            raise _too_big()
        return RsvBits(rsv.rsv1, False, False)

    def frame_inbound_payload_data(
        self,
        proto: FrameDecoder | FrameProtocol,
        data: bytes,
    ) -> bytes | CloseReason:
        """Inflate what has arrived."""
        if self._in_control_frame or not self.inflating:
            return data
        self._deflated_bytes += len(data)
        return self._inflate(data)

    def frame_inbound_complete(
        self,
        proto: FrameDecoder | FrameProtocol,
        fin: bool,
    ) -> bytes | CloseReason | None:
        """At the end of a message, inflate what its sender left off."""
        if self._in_control_frame:
            return None
        self._in_message = not fin
        return self._end_message() if fin and self.inflating else None

    def inflate_message(self, deflated: bytes) -> bytes:
        """Inflate a message that came in one frame, and all at once: wsproto need not see it."""
        if len(deflated) > self._max_deflated_bytes:
            raise _too_big()
        return self._inflate(deflated) + self._end_message()

    def _end_message(self) -> bytes:
        # A stream that has ended, with nothing behind it, leaves nothing off.
        rest = self._inflate(_TAIL) if self._stream is not None else b""
        self.inflating = False
        self._begin_message()
        if not self._keeps_context:
            self._stream = None
        return rest

    def _inflate(self, data: bytes) -> bytes:
        inflated = b""
        while True:
            if self._stream is None:
                self._stream = zlib.decompressobj(-self._window_bits)
            room = self._max_message_bytes - self._inflated_bytes
            try:
                part = self._stream.decompress(data, room + 1)
            except zlib.error as exc:
                raise ParseFailed(str(exc), CloseReason.INVALID_FRAME_PAYLOAD_DATA) from None
            if len(part) > room:
                raise _too_big()
            self._inflated_bytes += len(part)
            inflated += part
            if not self._stream.eof:
                return inflated
            # What follows is a stream of its own: who ends one has begun anew.
            data = self._stream.unused_data
            self._stream = None
            if not data:
                return inflated
            self._stream_ends += 1
            if self._stream_ends > MAX_STREAM_ENDS:
                raise ParseFailed("too many DEFLATE streams", CloseReason.POLICY_VIOLATION)


def _too_big() -> ParseFailed:
    return ParseFailed("the message is too big", CloseReason.MESSAGE_TOO_BIG)
