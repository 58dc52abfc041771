"""Negotiate permessage-deflate (RFC 7692), compress and inflate. Sans-I/O.

What we send never refers to earlier messages, whatever was negotiated: RFC 7692 lets a sender do
without, and then no connection holds a compressor between two messages. A server also asks its
client for the same, so an idle connection holds no decompressor either. A client takes what its
server chooses: if the server keeps its context, each socket keeps one window, up to 40 KB.

An `Inflater` inflates in steps: its caller counts what has come out before it asks for more, and
may leave the rest for later.
"""

from __future__ import annotations

import functools
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from echo_trio.wire import frames
from echo_trio.wire.close_codes import INVALID_PAYLOAD, POLICY_VIOLATION

NAME: Final = "permessage-deflate"
#: The offer of a client: the same as a browser's.
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
#: The smallest window that it can write.
_MIN_BITS: Final = 9
#: zlib's MIN_LOOKAHEAD: it doesn't search in that much of its window.
_LOOKAHEAD_BYTES: Final = 262
#: zlib's memory level `n` has blocks of 2 ** (n + 6) symbols; one is enough for a small message.
_SYMBOL_BITS: Final = 6
_MEMORY_LEVEL: Final = zlib.DEF_MEM_LEVEL
#: The end that the sender of each message leaves off (section 7.2.1).
_TAIL: Final = b"\x00\x00\xff\xff"


# -- Negotiation ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Parameters:
    """The parameters that the two ends agreed on (RFC 7692, section 7.1).

    :ivar server_no_context_takeover: true if the server's messages never refer to earlier ones.
    :ivar client_no_context_takeover: true if the client's messages never refer to earlier ones.
    :ivar server_max_window_bits: 8 to 15; ``None`` if the server may use any window.
    :ivar client_max_window_bits: 8 to 15; ``None`` if the client may use any window.
    """

    server_no_context_takeover: bool = False
    client_no_context_takeover: bool = False
    server_max_window_bits: int | None = None
    client_max_window_bits: int | None = None

    def __str__(self) -> str:
        """Write the parameters as the server's answer has them."""
        parts = [NAME]
        parts += [name for name in _NO_CONTEXT_TAKEOVER if getattr(self, name)]
        parts += [f"{name}={bits}" for name in _MAX_WINDOW if (bits := getattr(self, name))]
        return "; ".join(parts)


def accept(offered: Iterable[Extension]) -> Parameters | None:
    """Choose as a server: the first offer that it understands, ``None`` if there is none."""
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
    """Read what the server's answer means to the client that made these offers.

    :returns: ``None`` if the server chose no extension.
    :raises ValueError: if it chose an extension that was not offered, or malformed parameters.
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
    """Read parameters by name; ``None`` unless RFC 7692 allows each, with its value, once."""
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
    """Tell whether a server may answer an offer so: it may promise more than asked, not less."""
    if "server_no_context_takeover" in offer and "server_no_context_takeover" not in answer:
        return False
    asked = offer.get("server_max_window_bits")
    if asked is not None and (answer.get("server_max_window_bits") or _MAX_WINDOW_BITS + 1) > asked:
        return False
    return "client_max_window_bits" in offer or "client_max_window_bits" not in answer


# -- Sending ----------------------------------------------------------------------------------


def encoder(parameters: Parameters, *, client: bool) -> Encode:
    """Make a `frames.encode` that compresses messages which get shorter. It holds no state."""
    bits = parameters.client_max_window_bits if client else parameters.server_max_window_bits
    return _encoder(bits or _MAX_WINDOW_BITS)


@functools.cache
def _encoder(window_bits: int) -> Encode:
    if window_bits == _UNWRITABLE_WINDOW_BITS:
        return frames.encode

    def encode(message: str | bytes, masked: bool) -> bytes:
        payload = message.encode() if isinstance(message, str) else message
        size = len(payload)
        if size >= MIN_DEFLATED_BYTES:
            # What zlib allocates and clears for a large message takes longer than compressing a
            # small one. It refers back by no more than its window less 262 bytes, so this one does.
            bits = min(max((size + _LOOKAHEAD_BYTES).bit_length(), _MIN_BITS), window_bits)
            memory = min(max(size.bit_length() - _SYMBOL_BITS, 1), _MEMORY_LEVEL)
            compressor = zlib.compressobj(_LEVEL, zlib.DEFLATED, -bits, memory)
            deflated = compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH)
            deflated = deflated[: -len(_TAIL)]
            if len(deflated) < size:
                opcode = frames.TEXT if isinstance(message, str) else frames.BINARY
                return frames.encode_frame(frames.RSV1 | opcode, deflated, masked)
        return frames.encode(message, masked)

    return encode


# -- Receiving --------------------------------------------------------------------------------


class Inflater:
    """A decompressor of messages, one after the other, each in steps of bounded size.

    :ivar keeps_context: true if a message may refer to earlier ones. If not, zlib keeps nothing
        between two messages, and a new inflater does as well.
    :ivar pending: true while there is more output to come from the input it has.
    """

    __slots__ = (
        "_ended",
        "_input",
        "_stream",
        "_stream_ends",
        "_window_bits",
        "keeps_context",
        "pending",
    )

    def __init__(self, parameters: Parameters, *, client: bool) -> None:
        if client:
            bits = parameters.server_max_window_bits
            self.keeps_context: bool = not parameters.server_no_context_takeover
        else:
            bits = parameters.client_max_window_bits
            self.keeps_context = not parameters.client_no_context_takeover
        self._window_bits = bits or _MAX_WINDOW_BITS
        self._stream: zlib._Decompress | None = None
        self._begin_message()

    def _begin_message(self) -> None:
        self._input = b""
        self._ended = False
        self.pending: bool = False
        self._stream_ends = 0

    @property
    def waiting_bytes(self) -> int:
        """The number of input bytes that are still to be inflated."""
        return len(self._input)

    def inflate(self, data: bytes, max_bytes: int, *, last: bool) -> bytes:
        """Inflate some bytes and return the output, up to a size; the next call goes on from there.

        :param data: more of the message; ignored while `pending` is true.
        :param max_bytes: the largest output of this call; at least 1.
        :param last: true if the message has no more bytes than these. Once all output has been
            returned, the next call begins another message.
        :raises Violation: if the bytes are not DEFLATE, or consist of more than `MAX_STREAM_ENDS`
            streams.
        """
        # zlib may have more output to give though it has taken all its input.
        more = self.pending and self._stream is not None
        if self.pending:
            data = self._input
        inflated = b""
        while True:
            while data or more:
                part, data = self._step(data, max_bytes - len(inflated))
                inflated += part
                more = False
                if len(inflated) == max_bytes:
                    self._input = data
                    self.pending = True
                    return inflated
            # A stream that has ended (BFINAL) needs no tail.
            if not last or self._ended or self._stream is None:
                break
            self._ended = True
            data = _TAIL
        if last:
            self._begin_message()
            if not self.keeps_context:
                self._stream = None
        else:
            self._input = b""
            self.pending = False
        return inflated

    def _step(self, data: bytes, max_bytes: int) -> tuple[bytes, bytes]:
        """Inflate some with zlib; return the output, and the input that zlib has not taken."""
        stream = self._stream
        if stream is None:
            stream = self._stream = zlib.decompressobj(-self._window_bits)
        try:
            part = stream.decompress(data, max_bytes)
        except zlib.error as exc:
            raise frames.Violation(INVALID_PAYLOAD, str(exc)) from None
        if not stream.eof:
            return part, stream.unconsumed_tail
        # The peer has ended its stream (section 7.2.3.4): the next bytes begin another.
        self._stream = None
        if stream.unused_data:
            self._stream_ends += 1
            if self._stream_ends > MAX_STREAM_ENDS:
                raise frames.Violation(POLICY_VIOLATION, "too many DEFLATE streams")
        return part, stream.unused_data
