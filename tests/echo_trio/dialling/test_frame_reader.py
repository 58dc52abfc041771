"""Frames one by one, however their bytes arrive, beside those that `websockets` has written."""

from __future__ import annotations

from itertools import accumulate

from hypothesis import given
from hypothesis import strategies as st
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame as TheirFrame
from websockets.frames import Opcode

from echo_trio.dialling.frame_reader import Frame, FrameReader
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
        plain = [one.plain_bytes for one in frames]
        assert plain == [one.wire_bytes for one in frames] == [len(one.data) for one in written]
    # Compressed, some of a fragment may come out with the next one: together they are the message.
    total = sum(one.plain_bytes for one in frames if one.opcode < 8)
    assert total == sum(len(m.encode() if isinstance(m, str) else m) for m in messages)
