"""Frames one by one, however their bytes arrive, beside those that `websockets` has written."""

from __future__ import annotations

import zlib
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame as TheirFrame
from websockets.frames import Opcode

from echo_trio.dialling.ends import Cause
from echo_trio.dialling.frame_reader import Frame, FrameReader, describe_sent
from echo_trio.wire.deflate import Parameters

MAX = 1_000_000


@st.composite
def streams(draw):
    """Frames of messages, in fragments or not, compressed or not, with control frames between."""
    frames, messages = [], []
    for _ in range(draw(st.integers(0, 4))):
        text = draw(st.booleans())
        payload = draw(st.text(max_size=300).map(str.encode) if text else st.binary(max_size=300))
        cuts = sorted(draw(st.lists(st.integers(0, len(payload)), max_size=3)))
        parts = [payload[a:b] for a, b in zip([0, *cuts], [*cuts, len(payload)], strict=True)]
        for number, part in enumerate(parts):
            opcode = (Opcode.TEXT if text else Opcode.BINARY) if not number else Opcode.CONT
            frames.append(TheirFrame(opcode, part, fin=number == len(parts) - 1))
            if draw(st.booleans()):
                frames.append(TheirFrame(Opcode.PING, draw(st.binary(max_size=125))))
        messages.append(payload.decode() if text else payload)
    return frames, messages


@given(streams(), st.booleans(), st.randoms(use_true_random=False))
def test_every_frame_and_message_is_seen_as_it_was_written(stream, compressed, random):
    written, messages = stream
    parameters = Parameters(True, True) if compressed else None
    extension = PerMessageDeflate(True, True, 15, 15)
    extensions = [extension] if compressed else []
    encoded = [frame.serialize(mask=False, extensions=extensions) for frame in written]
    data, begins = b"".join(encoded), [0, *accumulate(map(len, encoded))]
    reader = FrameReader(parameters, MAX)
    seen: list[Frame | str | bytes] = []
    at = 0
    while at < len(data):
        size = random.choice([1, 2, 3, 7, 100, len(data)])
        seen += reader.feed(data[at : at + size])
        at = min(at + size, len(data))
        assert reader.held_bytes >= at - max(begin for begin in begins if begin <= at)
    assert reader.held_bytes == 0
    assert [one for one in seen if not isinstance(one, Frame)] == messages
    frames = [one for one in seen if isinstance(one, Frame)]
    assert [(one.opcode, one.fin) for one in frames] == [(one.opcode, one.fin) for one in written]
    control = [(one.payload, one.wire_bytes) for one in frames if one.opcode >= 8]
    assert control == [(one.data, len(one.data)) for one in written if one.opcode >= 8]
    starts = [one for one in frames if one.opcode in (1, 2)]
    assert all(one.rsv1 == compressed for one in starts)
    if not compressed:
        assert frames == [
            Frame(
                one.opcode, one.fin, False, False, len(one.data), len(one.data),
                one.data if one.opcode >= 8 else b"",
            )
            for one in written
        ]  # fmt: skip
    # Compressed, some of a fragment may come out with the next one: together they are the message.
    total = sum(one.plain_bytes for one in frames if one.opcode < 8)
    assert total == sum(len(m.encode() if isinstance(m, str) else m) for m in messages)


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536])
@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("opcode", [Opcode.TEXT, Opcode.CONT, Opcode.PING])
def test_a_frame_that_is_sent_is_described_as_it_is_on_the_wire(
    size: int, masked: bool, opcode: Opcode
) -> None:
    fin = opcode is not Opcode.TEXT
    if opcode is Opcode.PING and size > 125:
        return
    encoded = TheirFrame(opcode, bytes(size), fin=fin).serialize(mask=masked)
    expected = Frame(opcode, fin, False, masked, size, 7 * size)
    assert describe_sent(encoded, 7 * size) == expected
    with_bits = bytes([encoded[0] ^ 0xC0]) + encoded[1:]
    expected = Frame(opcode, not fin, True, masked, size, 9, b"payload")
    assert describe_sent(with_bits, 9, b"payload") == expected


@pytest.mark.parametrize(
    ("data", "cause", "says", "held"),
    [
        (b"", Cause.EOF, "without a close frame", False),
        (b"\x81\x01x", Cause.EOF, "without a close frame", False),
        (b"\x82", Cause.EOF_IN_FRAME, "of which 1 bytes", True),
        (b"\x82\x7e\x01", Cause.EOF_IN_FRAME, "of which 3 bytes", True),
        (b"\x89\x04abc", Cause.EOF_IN_FRAME, "of which 5 bytes", True),
        (b"\x82\x0a", Cause.EOF_IN_FRAME, "0 of 10 bytes", True),
        (b"\x82\x0aabc", Cause.EOF_IN_FRAME, "3 of 10 bytes", True),
        (b"\x02\x02ab\x80\x0aabc", Cause.EOF_IN_FRAME, "3 of 10 bytes", True),
        (b"\x02\x02ab", Cause.EOF_IN_MESSAGE, "between two frames", True),
        (b"\x02\x02ab\x89\x00", Cause.EOF_IN_MESSAGE, "between two frames", True),
        (b"\x02\x02ab\x80", Cause.EOF_IN_FRAME, "of which 1 bytes", True),
    ],
)
def test_the_end_of_the_stream_is_told_by_what_of_a_frame_had_come(
    data: bytes, cause: Cause, says: str, held: bool
) -> None:
    reader = FrameReader(None, MAX)
    list(reader.feed(data))
    assert (reader.end().cause, says in reader.end().why) == (cause, True)
    assert (reader.held_bytes > 0) is held


def test_of_a_compressed_message_each_frame_tells_what_has_come_out_with_it() -> None:
    """Each is flushed, so that all of it comes out."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    parts = [bytes(1000), b"ab" * 300, b"c"]
    encoded = [compressor.compress(part) + compressor.flush(zlib.Z_SYNC_FLUSH) for part in parts]
    encoded[-1] = encoded[-1][:-4]
    opcodes = [Opcode.BINARY, Opcode.CONT, Opcode.CONT]
    written = [
        TheirFrame(opcode, data, fin=number == 2).serialize(mask=False)
        for number, (opcode, data) in enumerate(zip(opcodes, encoded, strict=True))
    ]
    stream = bytes([written[0][0] | 0x40]) + b"".join(written)[1:]
    *frames, message = FrameReader(Parameters(True, True), MAX).feed(stream)
    assert message == b"".join(parts)
    assert frames == [
        Frame(2 if not number else 0, number == 2, not number, False, len(data), len(part))
        for number, (data, part) in enumerate(zip(encoded, parts, strict=True))
    ]
