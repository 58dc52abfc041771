"""Frames, read and written: by hand-made examples, and beside those who read them as well.

Whatever frames arrive, plain, fragmented, control, malformed or too big, however they are cut into
segments: our connection hands out the messages, sends the pongs and ends with the close code that
wsproto says, and that websockets says.
"""

from __future__ import annotations

import gc
import itertools
import os
import random
import struct
import sys
import zlib
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import assume, event, example, given
from hypothesis import strategies as st
from websockets.exceptions import PayloadTooBig, ProtocolError
from websockets.protocol import OPEN, Protocol, Side
from wsproto.connection import Connection as Parser
from wsproto.connection import ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage
from wsproto.frame_protocol import FrameProtocol

from echo_trio.wire import frames
from echo_trio.wire.close_codes import NO_STATUS, may_be_sent
from echo_trio.wire.connection import Limits
from echo_trio.wire.deflate import Inflater, Parameters

from .conftest import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, arrive, unserved

MASKED_HELLO = bytes.fromhex("8185 37fa213d 7f9f4d5158")
HELLO = bytes.fromhex("8105 48656c6c6f")
LIMIT = 300
MASK = b"\x37\xfa\x21\x3d"


# -- Reading ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "masked", "message"),
    [
        pytest.param(HELLO, False, "Hello", id="text"),
        pytest.param(MASKED_HELLO, True, "Hello", id="masked text"),
        pytest.param(b"\x82\x00", False, b"", id="empty binary"),
        pytest.param(b"\x82\x7e\x01\x00" + bytes(256), False, bytes(256), id="256 bytes"),
        pytest.param(
            b"\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00" + bytes(65536),
            False,
            bytes(65536),
            id="65536 bytes",
        ),
    ],
)
def test_a_plain_frame_is_decoded(data, masked, message):
    size = len(message)
    assert frames.decode(data, 0, masked) == (message, size, len(data))
    assert frames.decode(b"??" + data + b"??", 2, masked) == (message, size, len(data) + 2)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(HELLO[:1], id="one byte"),
        pytest.param(HELLO[:-1], id="not all of it"),
        pytest.param(MASKED_HELLO, id="masked the wrong way"),
        pytest.param(b"\x01" + HELLO[1:], id="a fragment"),
        pytest.param(b"\xc1" + HELLO[1:], id="RSV1"),
        pytest.param(b"\x89" + HELLO[1:], id="a ping"),
        pytest.param(b"\x83" + HELLO[1:], id="an unknown opcode"),
        pytest.param(b"\x81\x01\xff", id="not UTF-8"),
    ],
)
def test_whatever_else_is_declined(data):
    assert frames.decode(data, 0, masked=False) is None


def read(data: bytes, at: int = 0, incoming=None, *, masked=False, limit=2**20):
    return frames.read(data, at, masked, incoming, limit, None)


@pytest.mark.parametrize("masked", [False, True], ids=["unmasked", "masked"])
@pytest.mark.parametrize("size", [0, 125, 126, 65535, 65536])
def test_a_header_is_waited_for_and_not_a_byte_more(size, masked):
    data = frames.encode(bytes(size), masked)
    header_bytes = len(data) - size
    for there in range(header_bytes):
        assert read(b"??" + data[:there], 2, masked=masked) == (frames.HEADER, None, 2)
    what, value, at = read(data[:header_bytes], masked=masked)
    assert at == header_bytes
    if size:
        assert (what, value.missing, value.size) == (frames.PARTIAL, size, 0)
    else:
        assert (what, value) == (BINARY, b"")


def test_a_message_may_come_byte_by_byte():
    text = "Grüße, 世界 🌍" * 100
    data = frames.encode(text, masked=True)
    what, incoming, at = read(data[:8], masked=True)
    for end in range(at + 1, len(data)):
        what, incoming, at = read(data[:end], at, incoming, masked=True)
        assert (what, at, incoming.missing) == (frames.PARTIAL, end, len(data) - end)
    assert read(data, at, incoming, masked=True) == (TEXT, text, len(data))


def test_what_is_held_of_a_message_costs_little_more_than_its_bytes_however_small_its_parts():
    size = 100_000
    data = frames.encode(bytes(size), masked=False)
    _, incoming, at = read(data[:20])
    while at < len(data) - 1:
        _, incoming, at = read(data[: at + 1], at, incoming)
    kept = [getattr(incoming, name) for name in incoming.__slots__]
    took = sys.getsizeof(incoming) + sum(sys.getsizeof(it) for it in kept if it is not None)
    assert incoming.held_bytes == pytest.approx(took, rel=0.02)
    assert took < 1.2 * size


def test_fragments_leave_no_garbage_that_only_the_collector_can_find():
    def exchange() -> None:
        message = [
            frames.encode_frame(TEXT, b"a" * 600, False, fin=0),
            frames.encode_frame(PING, b"x", False),
            frames.encode_frame(CONTINUATION, b"b" * 600, False, fin=0),
            frames.encode_frame(CONTINUATION, b"c", False),
        ]
        connection, _ = unserved(lambda message: message, client=True, limits=Limits())
        for _ in range(100):
            for part in message:
                arrive(connection, part[:3])
                arrive(connection, part[3:])
        assert connection._incoming is None
        assert connection.messages_sent == 100

    exchange()
    gc.collect()
    gc.disable()
    try:
        exchange()
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_text_is_refused_at_its_first_wrong_byte():
    _, incoming, at = read(b"\x81\x05ok")
    with pytest.raises(frames.Violation) as caught:
        read(b"\x81\x05ok\xff", at, incoming)
    assert caught.value.code == 1007


def test_text_may_not_end_within_a_character():
    _, incoming, at = read(b"\x01\x02x\xc3")
    with pytest.raises(frames.Violation, match="unexpected end"):
        read(b"\x80\x00", 0, incoming)
    assert at == 4


@pytest.mark.parametrize(
    ("data", "opcode", "payload", "end"),
    [
        pytest.param(HELLO, TEXT, b"", 7, id="text"),
        pytest.param(HELLO[:3], TEXT, b"", 7, id="the beginning of a text"),
        pytest.param(b"\x82\x7f" + bytes(5) + b"\1\0\0", BINARY, b"", 65546, id="a large header"),
        pytest.param(b"\x88\x02\x03\xe8", CLOSE, b"\x03\xe8", 4, id="close"),
    ],
)
def test_who_skips_learns_where_the_next_frame_is(data, opcode, payload, end):
    assert frames.skip(data, 0, False) == (opcode, payload, end)


@pytest.mark.parametrize("data", [b"", b"\x81", b"\x82\x7e\x01", b"\x88\x02\x03"])
def test_who_skips_waits_for_headers_and_for_control_frames(data):
    assert frames.skip(data, 0, False) is None


@pytest.mark.parametrize("data", [b"\x83\x00", b"\x8b\x00", b"\x88\x7e", b"\x81\x80"])
def test_who_skips_sees_a_malformed_header(data):
    with pytest.raises(frames.Violation) as caught:
        frames.skip(data, 0, False)
    assert caught.value.code == 1002


# -- Writing ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "encoded"),
    [
        pytest.param("Hello", HELLO, id="text"),
        pytest.param("", b"\x81\x00", id="empty text"),
        pytest.param(b"\x00\xff", b"\x82\x02\x00\xff", id="binary"),
        pytest.param("x" * 125, b"\x81\x7d" + b"x" * 125, id="125"),
        pytest.param("x" * 126, b"\x81\x7e\x00\x7e" + b"x" * 126, id="126"),
        pytest.param(bytes(65535), b"\x82\x7e\xff\xff" + bytes(65535), id="65535"),
        pytest.param(bytes(65536), b"\x82\x7f" + bytes(5) + b"\x01\0\0" + bytes(65536), id="65536"),
    ],
)
def test_a_message_is_encoded_as_the_shortest_frame(message, encoded):
    assert frames.encode(message, masked=False) == encoded


def test_every_masked_frame_has_a_key_of_its_own():
    keys = {frames.encode(b"x", masked=True)[2:6] for _ in range(5000)}
    assert len(keys) > 4990


def test_a_forked_process_does_not_repeat_its_parents_keys():
    frames.encode(b"x", masked=True)
    reader, writer = os.pipe()
    if (child := os.fork()) == 0:
        os.write(writer, frames.encode(b"x", masked=True))
        os._exit(0)
    os.waitpid(child, 0)
    ours, theirs = frames.encode(b"x", masked=True), os.read(reader, 100)
    os.close(reader)
    os.close(writer)
    assert ours[2:6] != theirs[2:6]


def test_a_control_frame_holds_125_bytes():
    assert frames.encode_control(frames.PING, b"x" * 125, masked=False)[:2] == b"\x89\x7d"
    with pytest.raises(ValueError, match="126"):
        frames.encode_control(frames.PING, b"x" * 126, masked=False)


@pytest.mark.parametrize(
    ("code", "reason", "payload"),
    [
        pytest.param(1000, None, b"\x03\xe8", id="no reason"),
        pytest.param(1001, "bye", b"\x03\xe9bye", id="a reason"),
        pytest.param(NO_STATUS, None, b"", id="no code"),
        pytest.param(4000, "x" * 200, b"\x0f\xa0" + b"x" * 123, id="cut"),
        pytest.param(4000, "é" * 62, b"\x0f\xa0" + "é".encode() * 61, id="cut at a character"),
    ],
)
def test_a_close_frame_carries_code_and_reason(code, reason, payload):
    assert frames.encode_close(code, reason, masked=False) == bytes((0x88, len(payload))) + payload


def test_a_close_frame_without_a_code_has_no_reason():
    with pytest.raises(ValueError, match="no reason"):
        frames.encode_close(NO_STATUS, "because", masked=False)


@pytest.mark.parametrize("code", [-1, 0, 999, 1004, 1006, 1015, 1016, 2999, 5000, 70_000])
def test_some_codes_are_never_sent(code):
    assert not may_be_sent(code)
    with pytest.raises(ValueError, match=str(code)):
        frames.encode_close(code, None, masked=False)


# -- Beside others ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Frame:
    opcode: int
    payload: bytes
    fin: bool = True
    rsv: int = 0
    wrong_mask: bool = False
    length_bytes: int | None = None  # None: as few as do
    announced: int | None = None  # None: as many as there are

    def encode(self, masked: bool) -> bytes:
        masked ^= self.wrong_mask
        size = len(self.payload) if self.announced is None else self.announced
        length_bytes = self.length_bytes
        if length_bytes is None:
            length_bytes = 0 if size < 126 else 2 if size < 65536 else 8
        short, extension = {
            0: (size & 0x7F, b""),
            2: (126, struct.pack("!H", size & 0xFFFF)),
            8: (127, struct.pack("!Q", size)),
        }[length_bytes]
        head = bytes((self.fin << 7 | self.rsv << 4 | self.opcode, masked << 7 | short))
        if not masked:
            return head + extension + self.payload
        payload = bytes(byte ^ MASK[at % 4] for at, byte in enumerate(self.payload))
        return head + extension + MASK + payload


@dataclass
class Outcome:
    """What came of a stream of bytes."""

    messages: list[str | bytes] = field(default_factory=list)
    pongs: list[bytes] = field(default_factory=list)
    close: int | None = None  # the code that we would send


def process_close(frame):
    """wsproto, told of the one close code that was registered after it was written: 1014."""
    payload = bytes(frame.payload)
    if payload[:2] != (1014).to_bytes(2):
        return FrameProtocol._process_close(None, frame)
    as_normal = frame._replace(payload=(1000).to_bytes(2) + payload[2:])
    read = FrameProtocol._process_close(None, as_normal).payload
    return frame._replace(payload=(1014, str(read[1])))


def authority(kind: ConnectionType) -> Parser:
    parser = Parser(kind)
    parser._proto._process_close = process_close
    return parser


def by_wsproto(segments: list[bytes], client: bool) -> Outcome:
    """As the authority reads it, with our limits."""
    parser = authority(ConnectionType.CLIENT if client else ConnectionType.SERVER)
    outcome, parts = Outcome(), []
    for segment in segments:
        parser.receive_data(segment)
        for event_ in parser.events():
            match event_:
                case TextMessage() | BytesMessage():
                    parts.append(event_.data)
                    if bytes_in(parts) > LIMIT:
                        outcome.close = 1009
                        return outcome
                    if event_.message_finished:
                        outcome.messages.append(type(event_.data)().join(parts))
                        parts = []
                case Ping():
                    outcome.pongs.append(bytes(event_.payload))
                case CloseConnection():
                    outcome.close = int(event_.code)
                    return outcome
        header = parser._proto._frame_decoder.header
        if header is not None and not header.opcode.iscontrol():
            missing = header.payload_len - parser._proto._frame_decoder.payload_consumed
            if bytes_in(parts) + missing > LIMIT:
                outcome.close = 1009
                return outcome
    return outcome


def bytes_in(parts) -> int:
    return sum(len(part.encode() if isinstance(part, str) else part) for part in parts)


def by_us(segments: list[bytes], client: bool) -> Outcome:
    outcome = Outcome()
    connection, recorder = unserved(
        outcome.messages.append, client=client, limits=Limits(max_message_bytes=LIMIT)
    )
    for segment in segments:
        arrive(connection, segment)
    outcome.close = connection.close_sent
    # wsproto reads what we have sent: that is the other role's stream.
    reader = authority(ConnectionType.SERVER if client else ConnectionType.CLIENT)
    reader.receive_data(bytes(recorder.sent))
    for event_ in reader.events():
        if isinstance(event_, CloseConnection):
            assert reader.state is ConnectionState.REMOTE_CLOSING, f"we sent nonsense: {event_}"
            assert int(event_.code) == outcome.close
        else:
            outcome.pongs.append(bytes(event_.payload))
    return outcome


def by_websockets(segments: list[bytes], client: bool) -> Outcome:
    """As websockets' protocol reads it: it leaves text to whoever asks for it."""
    protocol = Protocol(Side.CLIENT if client else Side.SERVER, state=OPEN, max_size=LIMIT)
    outcome, parts, is_text = Outcome(), [], False
    for segment in segments:
        protocol.receive_data(segment)
        for frame in protocol.events_received():
            if frame.opcode == PING:
                outcome.pongs.append(bytes(frame.data))
            elif frame.opcode == CLOSE:
                outcome.close = protocol.close_rcvd.code
            elif frame.opcode != PONG:
                is_text = frame.opcode == TEXT if frame.opcode != CONTINUATION else is_text
                parts.append(bytes(frame.data))
                if frame.fin:
                    whole = b"".join(parts)
                    outcome.messages.append(whole.decode() if is_text else whole)
                    parts = []
        if isinstance(failure := protocol.parser_exc, Exception):
            outcome.close = {ProtocolError: 1002, PayloadTooBig: 1009}.get(type(failure), 1007)
            return outcome
    return outcome


payloads = st.one_of(
    st.binary(max_size=20),
    st.text(max_size=20).map(str.encode),
    st.sampled_from([0, 124, 125, 126, 127, 200, LIMIT - 1, LIMIT, LIMIT + 1]).map(bytes),
    st.sampled_from(["ü", "世", "🌍"]).flatmap(
        lambda char: st.integers(1, 4).map(lambda size: (char * 30).encode()[:-size])
    ),
)
whole = st.builds(Frame, st.sampled_from([TEXT, BINARY]), payloads)
control = st.builds(Frame, st.sampled_from([PING, PONG]), st.binary(max_size=125))
close = st.builds(
    Frame,
    st.just(CLOSE),
    st.one_of(
        st.just(b""),
        st.binary(max_size=125),
        st.builds(
            lambda code, reason: struct.pack("!H", code) + reason,
            st.integers(0, 65535) | st.integers(999, 1020) | st.integers(2990, 5001),
            payloads.filter(lambda payload: len(payload) <= 123),
        ),
    ),
)
odd = st.builds(
    Frame,
    st.integers(0, 15),
    payloads,
    fin=st.booleans(),
    rsv=st.sampled_from([0, 0, 0, 1, 2, 4, 7]),
    wrong_mask=st.sampled_from([False, False, False, True]),
    length_bytes=st.sampled_from([None, None, 0, 2, 8]),
    announced=st.one_of(st.none(), st.none(), st.integers(0, 2**64 - 1)),
)


@st.composite
def fragmented(draw) -> list[Frame]:
    message = draw(payloads)
    cuts = sorted(draw(st.lists(st.integers(0, len(message)), min_size=1, max_size=4)))
    edges = [0, *cuts, len(message)]
    parts = [message[a:b] for a, b in itertools.pairwise(edges)]
    result = []
    for at, part in enumerate(parts):
        opcode = CONTINUATION if at else draw(st.sampled_from([TEXT, BINARY]))
        result.append(Frame(opcode, part, fin=at == len(parts) - 1))
        result += draw(st.lists(control, max_size=1))
    return result


def one(frame):
    return frame.map(lambda it: [it])


anything = st.lists(
    st.one_of(one(whole), one(whole), one(control), fragmented(), one(close), one(odd)), max_size=8
)
cuts = st.lists(st.integers(0, 2**16), max_size=12)


def flatten(groups: list[list[Frame]]) -> list[Frame]:
    return [frame for group in groups for frame in group]


def cut(stream: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(at % (len(stream) + 1) for at in cuts), len(stream)]
    return [segment for a, b in itertools.pairwise(edges) if (segment := stream[a:b])]


def check_alike(these: Outcome, those: Outcome, *, either: set[int] = frozenset()) -> None:
    """:param either: codes of which either may be said, where a frame is wrong in two ways."""
    event(f"ends with {these.close}")
    assert (these.messages, these.pongs) == (those.messages, those.pongs)
    assert (these.close is None) == (those.close is None)
    said = {these.close, those.close}
    # Where the same frame is too big and wrong as well, either may be seen first.
    assert len(said) == 1 or 1009 in said or said == either


def check_beside_wsproto(segments: list[bytes], client: bool) -> None:
    ours, theirs = by_us(segments, client), by_wsproto(segments, client)
    if ours.close in {1002, 1009} and theirs.close is None:
        # We say so at the first byte that is wrong; wsproto reads on, to the end of the header.
        event("we said so earlier")
        theirs = by_wsproto([*segments, bytes(LIMIT)], client)
        assert theirs.close is not None
    check_alike(ours, theirs)


@pytest.mark.parametrize("client", [False, True], ids=["server", "client"])
@given(groups=anything, cuts=cuts)
@example(groups=[[Frame(TEXT, b"\xff" * 5)], [Frame(TEXT, b"after")]], cuts=[])
@example(groups=[[Frame(PING, b""), Frame(TEXT, b"x"), Frame(3, b"")]], cuts=[])
@example(groups=[[Frame(BINARY, b"", announced=LIMIT + 1)]], cuts=[])
@example(groups=[[Frame(CLOSE, b"\x03\xf6bad gateway")]], cuts=[3])
def test_any_frames_however_cut_mean_what_wsproto_says(client, groups, cuts):
    stream = b"".join(frame.encode(not client) for frame in flatten(groups))
    segments = cut(stream, cuts)
    check_beside_wsproto(segments, client)


@pytest.mark.parametrize("client", [False, True], ids=["server", "client"])
@given(stream=st.binary(max_size=200), cuts=cuts)
def test_any_bytes_mean_what_wsproto_says(client, stream, cuts):
    segments = cut(stream, cuts)
    check_beside_wsproto(segments, client)


@pytest.mark.parametrize("client", [False, True], ids=["server", "client"])
@given(groups=anything)
def test_one_byte_per_segment_means_the_same_as_one_segment(client, groups):
    stream = b"".join(frame.encode(not client) for frame in flatten(groups))
    assume(stream)
    glued = by_us([stream], client)
    split = by_us([stream[at : at + 1] for at in range(len(stream))], client)
    check_alike(split, glued)


@pytest.mark.parametrize("client", [False, True], ids=["server", "client"])
@given(groups=anything, cuts=cuts)
def test_any_frames_however_cut_mean_what_websockets_says(client, groups, cuts):
    # It takes lengths that are not minimal.
    sent = [replace(frame, length_bytes=None) for frame in flatten(groups)]
    stream = b"".join(frame.encode(not client) for frame in sent)
    segments = cut(stream, cuts)
    ours = by_us(segments, client)
    assume(ours.close != 1007)  # Of text it says nothing.
    theirs = by_websockets(segments, client)
    if ours.close in {1002, 1009} and theirs.close is None:
        event("we said so earlier")
        theirs = by_websockets([*segments, bytes(LIMIT)], client)
        assert theirs.close is not None
    # Of a close frame it reads the reason before it judges the code.
    check_alike(ours, theirs, either={1002, 1007})


messages = st.one_of(
    st.text(),
    st.binary(),
    st.sampled_from([125, 126, 127, 65535, 65536, 70000]).map(bytes),
    st.sampled_from([125, 126, 65535, 65536]).map(lambda size: "x" * size),
)


@given(message=messages, masked=st.booleans(), before=st.binary(max_size=9), after=st.binary())
def test_what_is_encoded_decodes_to_itself(message, masked, before, after):
    data = frames.encode(message, masked)
    size = len(message.encode() if isinstance(message, str) else message)
    decoded = frames.decode(before + data + after, len(before), masked)
    assert decoded == (message, size, len(before) + len(data))


@given(message=messages, masked=st.booleans())
def test_wsproto_reads_what_is_encoded(message, masked):
    parser = authority(ConnectionType.SERVER if masked else ConnectionType.CLIENT)
    parser.receive_data(frames.encode(message, masked))
    parts = [event_.data for event_ in parser.events()]
    assert type(message)().join(parts) == message


@given(opcode=st.sampled_from([PING, PONG]), payload=st.binary(max_size=125), masked=...)
def test_control_frames_are_read_by_wsproto(opcode, payload, masked: bool):
    parser = authority(ConnectionType.SERVER if masked else ConnectionType.CLIENT)
    parser.receive_data(frames.encode_control(opcode, payload, masked))
    encode = {PING: frames.encode_ping, PONG: frames.encode_pong}[opcode]
    parser.receive_data(encode(payload, masked))
    reads = list(parser.events())
    assert len(reads) == 2
    for read in reads:
        assert type(read) is {PING: Ping, PONG: Pong}[opcode]
        assert bytes(read.payload) == payload


@given(
    code=st.sampled_from([None, 1000, 1001, 3000, 4999]), reason=st.text(max_size=30), masked=...
)
def test_close_frames_are_read_by_wsproto(code, reason, masked: bool):
    """As control frames: what `encode_close` makes of codes and reasons has tests of its own."""
    payload = b"" if code is None else code.to_bytes(2, "big") + reason.encode()
    parser = authority(ConnectionType.SERVER if masked else ConnectionType.CLIENT)
    parser.receive_data(frames.encode_control(CLOSE, payload, masked))
    (read,) = parser.events()
    assert type(read) is CloseConnection
    assert (int(read.code), read.reason or "") == ((1005, "") if code is None else (code, reason))


@example(code=1014, reason="bad gateway", masked=False)
@given(code=st.integers(-1, 70_000), reason=st.text(max_size=200), masked=st.booleans())
def test_a_close_code_is_sent_if_wsproto_accepts_it(code, reason, masked):
    parser = authority(ConnectionType.SERVER if masked else ConnectionType.CLIENT)
    if code == 1005:
        reason = ""
    try:
        parser.receive_data(frames.encode_close(code, reason, masked))
    except ValueError:
        if 0 <= code <= 65535:
            header = bytes((0x88, 2))
            client = authority(ConnectionType.CLIENT)
            client.receive_data(header + struct.pack("!H", code))
            (refused,) = client.events()
            assert (client.state, refused.code) == (ConnectionState.OPEN, 1002)
        return
    (read,) = parser.events()
    assert parser.state is ConnectionState.REMOTE_CLOSING
    assert int(read.code) == code
    assert reason.startswith(read.reason)
    assert len(read.reason.encode()) >= min(len(reason.encode()), 120)


# -- Limits and order, frame by frame ----------------------------------------------------------


def read_all(*encoded: bytes, max_bytes: int = 100) -> list[str | bytes]:
    """The messages of these frames, as a client reads them.

    :raises Violation: at the first that is not allowed.
    """
    data, at, incoming, messages = b"".join(encoded), 0, None, []
    while at < len(data):
        what, value, at = frames.read(data, at, False, incoming, max_bytes, None)
        assert what != frames.HEADER
        incoming = value if what == frames.PARTIAL else None
        if what in (frames.TEXT, frames.BINARY):
            messages.append(value)
    return messages


def code_for(*encoded: bytes, max_bytes: int = 100) -> int | None:
    """The code that the connection fails with for these; ``None`` if they are fine."""
    try:
        read_all(*encoded, max_bytes=max_bytes)
    except frames.Violation as violation:
        return violation.code
    return None


def part(opcode: int, payload: bytes, *, last: bool = False) -> bytes:
    return frames.encode_frame(opcode, payload, False, frames.FIN if last else 0)


@pytest.mark.parametrize("size", [99, 100, 101])
def test_a_message_may_have_as_much_as_is_allowed_in_one_frame_or_in_several(size):
    expected = None if size <= 100 else 1009
    body = b"x" * size
    assert code_for(part(BINARY, body, last=True)) == expected
    halves = (part(BINARY, body[:50]), part(CONTINUATION, body[50:], last=True))
    assert code_for(*halves) == expected
    bytewise = [part(BINARY, b"")] + [part(CONTINUATION, b"x") for _ in range(size)]
    assert code_for(*bytewise, part(CONTINUATION, b"", last=True)) == expected


@pytest.mark.parametrize("empty", [1023, 1024, 1025])
def test_a_message_may_have_a_thousand_and_twenty_four_empty_fragments(empty):
    fragments = [part(TEXT, b"")] + [part(CONTINUATION, b"")] * (empty - 1)
    expected = None if empty <= frames.MAX_EMPTY_FRAGMENTS else 1008
    # Its last frame may be empty, too, and in between are others that are not.
    assert code_for(*fragments, part(CONTINUATION, b"", last=True)) == expected
    assert code_for(*fragments, part(CONTINUATION, b"m"), part(CONTINUATION, b"", last=True)) == (
        expected
    )


def test_of_each_message_the_empty_fragments_are_counted_anew():
    one = [part(TEXT, b"")] * 1 + [part(CONTINUATION, b"")] * 1000
    whole = [*one, part(CONTINUATION, b"", last=True)]
    assert read_all(*whole, *whole) == ["", ""]
    assert read_all(*[part(TEXT, b"", last=True)] * 3000) == [""] * 3000


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        pytest.param([part(TEXT, b"a"), part(TEXT, b"b", last=True)], 1002, id="begun-twice"),
        pytest.param([part(TEXT, b"a"), part(BINARY, b"b")], 1002, id="begun-amid-another"),
        pytest.param([part(CONTINUATION, b"a", last=True)], 1002, id="continues-nothing"),
        pytest.param([part(TEXT, b"a"), part(CONTINUATION, b"b", last=True)], None, id="fine"),
        pytest.param([b"\x83\x00"], 1002, id="opcode-3"),
        pytest.param([b"\xc1\x00"], 1002, id="rsv1"),
        pytest.param([b"\xa1\x00"], 1002, id="rsv2"),
        pytest.param([b"\x91\x00"], 1002, id="rsv3"),
        pytest.param([part(TEXT, b"a"), b"\xc0\x00"], 1002, id="rsv1-of-a-continuation"),
        pytest.param([b"\x82\x7e\x00\x7d" + b"x" * 125], 1002, id="125-in-two-bytes"),
        pytest.param([b"\x82\x7f" + (65535).to_bytes(8, "big")], 1002, id="65535-in-eight"),
        pytest.param([b"\x82\x7f" + (2**63).to_bytes(8, "big")], 1002, id="highest-bit"),
        pytest.param([b"\x82\x7f" + (2**63 - 1).to_bytes(8, "big")], 1009, id="all-but-that-bit"),
        pytest.param([b"\x82\x7f" + (65536).to_bytes(8, "big")], 1009, id="65536-in-eight"),
        pytest.param([b"\x82\x80" + bytes(4)], 1002, id="masked-by-a-server"),
        pytest.param([b"\x88\x01x"], None, id="half-a-code-is-read-by-read_close"),
        pytest.param([b"\x09\x00"], 1002, id="fragmented-ping"),
        pytest.param([b"\x89\x7e\x00\x7e" + b"x" * 126], 1002, id="long-ping"),
    ],
)
def test_what_is_allowed_is_told_frame_by_frame(sent, code):
    assert code_for(*sent) == code


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65535, 65536])
def test_a_length_takes_as_few_bytes_as_it_can(size):
    header = {0: 2, 126: 4, 65536: 10}[max(each for each in (0, 126, 65536) if each <= size)]
    assert len(frames.encode(b"x" * size, False)) == header + size
    assert len(frames.encode(b"x" * size, True)) == header + 4 + size
    assert read_all(frames.encode(b"x" * size, False), max_bytes=size) == [b"x" * size]


@pytest.mark.parametrize("step", [1, 100, 20_000])
def test_fragments_come_in_blocks_of_bounded_work(step):
    blocks = list(frames.encode_fragments(bytes(50_000), step, False))
    assert read_all(*blocks, max_bytes=50_000) == [bytes(50_000)]
    assert max(map(len, blocks)) < 16 * 1024 + step + 10
    assert min(map(len, blocks[:-1])) >= 16 * 1024


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
@pytest.mark.parametrize("step", [1, 2, 3, 4, 8])
def test_a_message_in_fragments_has_as_many_as_it_needs_and_the_last_says_so(size, step):
    body = b"x" * size
    data = b"".join(frames.encode_fragments(body, step, False))
    assert read_all(data) == [body]
    count = max(1, -(-size // step))
    assert len(data) == size + 2 * count
    at = 2 * (count - 1) + step * (count - 1)
    assert data[at] & frames.FIN
    assert not count > 1 or not data[0] & frames.FIN


def inflating(payload: bytes, incoming=None, *, limit: int = 100, last: bool = False):
    """Read a fragment of a compressed message, as a client."""
    opcode = CONTINUATION if incoming else BINARY | frames.RSV1
    data = part(opcode, payload, last=last)
    inflater = Inflater(Parameters(), client=True)
    return frames.read(data, 0, False, incoming, limit, lambda: inflater)


@pytest.mark.parametrize("over", [0, 1])
def test_what_inflates_to_nothing_is_bounded_by_message_however_it_is_cut(over):
    nothing = b"\x00\x00\x00\xff\xff" * 245  # empty blocks: RFC 1951, section 3.2.4
    at_most = 2 * 100 + 1024
    what, message, _ = inflating(nothing[:1000])
    assert (what, message.size) == (frames.PARTIAL, 0)
    what, message, _ = inflating(nothing[1000:1220], message)
    assert (what, message.size) == (frames.PARTIAL, 0)
    rest = nothing[1220 : at_most + over]
    if over:
        with pytest.raises(frames.Violation) as caught:
            inflating(rest, message)
        assert caught.value.code == 1009
    else:
        assert inflating(rest, message)[:2] == (frames.PARTIAL, message)


def test_a_message_that_is_inflated_in_steps_holds_its_input_until_it_is_used():
    body = random.Random(1).randbytes(3 * frames.INFLATE_STEP_BYTES)
    compressor = zlib.compressobj(wbits=-15)
    data = compressor.compress(body) + compressor.flush(zlib.Z_SYNC_FLUSH)
    what, message, _ = inflating(data, limit=len(body))
    held = []
    for step in range(1, 4):
        assert (what, message.size) == (frames.PARTIAL, step * frames.INFLATE_STEP_BYTES)
        held.append(message.held_bytes - frames.INFLATING_BYTES)
        assert held[-1] > len(body)  # what has come out, and what is still to go in
        what, message, _ = frames.read(b"", 0, False, message, len(body), None)
    assert not message.is_inflating
    assert (message.size, max(held) < len(body) + 60_000) == (len(body), True)


def test_what_an_unfinished_message_holds_grows_with_what_it_has():
    held = []
    for size in (0, 500, 5000, 50_000):
        data = part(BINARY, b"x" * size)
        what, incoming, _ = frames.read(data, 0, False, None, 2**20, None)
        assert what == frames.PARTIAL
        held.append(incoming.held_bytes)
    assert held[0] >= 200  # the objects themselves
    assert held == sorted(held)
    assert all(bytes_ >= size for bytes_, size in zip(held, (0, 500, 5000, 50_000), strict=True))


def test_no_mask_is_used_twice():
    source = frames._MaskSource()
    masks = [source() for _ in range(3000)]
    assert len(set(masks)) > 2990
    assert all(len(mask) == 4 for mask in masks)
    page = source._page
    source.discard()
    assert (source() in {page[at : at + 4] for at in range(0, len(page), 4)}) is False


@pytest.mark.parametrize(
    ("payload", "read"),
    [
        pytest.param(b"", (1005, ""), id="empty"),
        pytest.param(b"x", 1002, id="half-a-code"),
        pytest.param(b"\x03\xe8", (1000, ""), id="code"),
        pytest.param(b"\x03\xe8bye", (1000, "bye"), id="reason"),
        pytest.param(b"\x03\xed", 1002, id="1005-may-not-be-sent"),
        pytest.param(b"\x03\xe8\xff", 1007, id="not-utf-8"),
    ],
)
def test_a_close_frame_is_read_or_what_is_wrong_with_it_is_told(payload, read):
    if isinstance(read, tuple):
        assert frames.read_close(payload) == read
    else:
        with pytest.raises(frames.Violation) as caught:
            frames.read_close(payload)
        assert caught.value.code == read


@pytest.mark.parametrize("size", [0, 1, 20, 125])
@pytest.mark.parametrize("masked", [False, True])
def test_a_frame_that_is_masked_by_the_wrong_end_is_never_taken_for_a_message(size, masked):
    for message in (b"\0" * size, "x" * size):
        assert frames.decode(frames.encode(message, not masked), 0, masked) is None
        assert frames.decode(frames.encode(message, masked), 0, masked) is not None


def test_where_compression_was_agreed_on_a_continuation_may_not_say_that_it_is_compressed():
    _, incoming, _ = frames.read(part(TEXT, b"a"), 0, False, None, 100, lambda: None)
    with pytest.raises(frames.Violation) as caught:
        frames.read(b"\xc0\x00", 0, False, incoming, 100, lambda: None)
    assert caught.value.code == 1002
