"""frames.py with its fallback, and plain wsproto: the same bytes mean the same to both.

Whatever frames arrive, plain, fragmented, control, malformed or too big, however they are cut into
segments: our connection hands out the messages, sends the pongs and ends with the close code that
wsproto alone says, and leaves nothing plain to wsproto.
"""

from __future__ import annotations

import itertools
import struct
from dataclasses import dataclass, field

import pytest
from hypothesis import assume, event, example, given
from hypothesis import strategies as st
from wsproto.connection import Connection as Parser
from wsproto.connection import ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, TextMessage

from echo_trio.wire import connection as connection_module
from echo_trio.wire import frames
from echo_trio.wire.connection import Connection, Limits

LIMIT = 300
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
MASK = b"\x37\xfa\x21\x3d"


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

    @property
    def plain(self) -> bool:
        if (self.fin, self.rsv, self.wrong_mask, self.length_bytes) != (True, 0, False, None):
            return False
        return self.opcode in (TEXT, BINARY) and self.announced is None


@dataclass
class Outcome:
    """What came of a stream of bytes."""

    messages: list[str | bytes] = field(default_factory=list)
    pongs: list[bytes] = field(default_factory=list)
    close: int | None = None  # the code that we would send


def authority(kind: ConnectionType) -> Parser:
    """wsproto, told of the one close code that was registered after it was written: 1014."""
    parser = Parser(kind)
    parser._proto._process_close = connection_module._process_close
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


class Recorder:
    """In place of the kernel: what is sent is kept."""

    def __init__(self) -> None:
        self.sent = bytearray()

    def send(self, data: bytes) -> int:
        self.sent += data
        return len(data)


def by_us(segments: list[bytes], client: bool) -> Outcome:
    recorder, outcome = Recorder(), Outcome()
    connection = Connection.__new__(Connection)
    connection._sock = recorder
    connection._client = client
    connection._limits = Limits(max_message_bytes=LIMIT)
    connection._on_message = outcome.messages.append
    for segment in segments:
        connection._receive(segment)
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


good = st.lists(st.one_of(one(whole), one(control), fragmented()), max_size=8)
anything = st.lists(
    st.one_of(one(whole), one(whole), one(control), fragmented(), one(close), one(odd)), max_size=8
)
cuts = st.lists(st.integers(0, 2**16), max_size=12)


def flatten(groups: list[list[Frame]]) -> list[Frame]:
    return [frame for group in groups for frame in group]


def cut(stream: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(at % (len(stream) + 1) for at in cuts), len(stream)]
    return [segment for a, b in itertools.pairwise(edges) if (segment := stream[a:b])]


def check_alike(these: Outcome, those: Outcome) -> None:
    event(f"ends with {these.close}")
    assert (these.messages, these.pongs) == (those.messages, those.pongs)
    # Where the same frame is too big and wrong as well, either may be seen first.
    assert these.close == those.close or 1009 in {these.close, those.close} - {None}
    assert (these.close is None) == (those.close is None)


@pytest.mark.parametrize("client", [False, True], ids=["server", "client"])
@given(groups=anything, cuts=cuts)
@example(groups=[[Frame(TEXT, b"\xff" * 5)], [Frame(TEXT, b"after")]], cuts=[])
@example(groups=[[Frame(PING, b""), Frame(TEXT, b"x"), Frame(3, b"")]], cuts=[])
@example(groups=[[Frame(BINARY, b"", announced=LIMIT + 1)]], cuts=[])
@example(groups=[[Frame(CLOSE, b"\x03\xf6bad gateway")]], cuts=[3])
def test_any_frames_however_cut_mean_what_wsproto_says(client, groups, cuts):
    stream = b"".join(frame.encode(not client) for frame in flatten(groups))
    segments = cut(stream, cuts)
    check_alike(by_us(segments, client), by_wsproto(segments, client))


@pytest.mark.parametrize("client", [False, True], ids=["server", "client"])
@given(stream=st.binary(max_size=200), cuts=cuts)
def test_any_bytes_mean_what_wsproto_says(client, stream, cuts):
    segments = cut(stream, cuts)
    check_alike(by_us(segments, client), by_wsproto(segments, client))


@pytest.mark.parametrize("client", [False, True], ids=["server", "client"])
@given(groups=anything)
def test_one_byte_per_segment_means_the_same_as_one_segment(client, groups):
    stream = b"".join(frame.encode(not client) for frame in flatten(groups))
    assume(stream)
    glued = by_us([stream], client)
    split = by_us([stream[at : at + 1] for at in range(len(stream))], client)
    check_alike(split, glued)


def without_pings(headers: list[tuple[int, bool]]) -> list[tuple[int, bool]]:
    return [header for header in headers if header[0] not in (PING, PONG)]


@pytest.mark.parametrize("client", [False, True], ids=["server", "client"])
@given(groups=good, cuts=cuts)
def test_wsproto_reads_no_plain_frame(client, groups, cuts):
    """Once every frame fell back in silence, and only speed showed it."""
    sent = flatten(groups)
    stream = b"".join(frame.encode(not client) for frame in sent)
    read = []

    class Watched(Parser):
        def __init__(self, *args) -> None:
            super().__init__(*args)
            decoder = self._proto._frame_decoder
            parse_header = decoder.parse_header

            def watched() -> bool:
                if parsed := parse_header():
                    read.append((int(decoder.header.opcode), decoder.header.fin))
                return parsed

            decoder.parse_header = watched

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connection_module, "Parser", Watched)
        outcome = by_us(cut(stream, cuts), client)
    if outcome.close is None:
        # Pings and pongs are ours to read between messages, if they are whole.
        expected = [(frame.opcode, frame.fin) for frame in sent if not frame.plain]
        assert without_pings(read) == without_pings(expected)
    else:  # The one that ended it may have been plain, and looked at by wsproto for its code.
        assert sum((opcode in (TEXT, BINARY)) and fin for opcode, fin in read) <= 1


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


@given(message=messages, masked=st.booleans(), cuts=cuts)
def test_what_arrives_in_parts_is_the_same_message(message, masked, cuts):
    data = frames.encode(message, masked)
    begun = frames.begin(data[:-1], 0, masked)
    if isinstance(begun, int):
        return  # Nothing but a header.
    partial, start = begun
    assert partial.size == len(data) - start
    for part in cut(data[start:], cuts):
        partial.feed(part)
    assert (partial.missing, partial.message()) == (0, message)


@given(data=st.binary(max_size=20), masked=st.booleans())
def test_the_beginning_of_a_frame_is_waited_for_exactly(data, masked):
    missing = frames.begin(data, 0, masked)
    if isinstance(missing, int) and len(data):
        longer = frames.begin(data + bytes(missing), 0, masked)
        # Now the header is whole, or it says that more of it follows, or that it is not plain.
        assert longer is None or isinstance(longer, tuple) or missing <= 2


@given(opcode=st.sampled_from([CLOSE, PING, PONG]), payload=st.binary(max_size=125), masked=...)
def test_control_frames_are_read_by_wsproto(opcode, payload, masked: bool):
    assume(opcode != CLOSE or not payload)
    parser = authority(ConnectionType.SERVER if masked else ConnectionType.CLIENT)
    parser.receive_data(frames.encode_control(opcode, payload, masked))
    (read,) = parser.events()
    assert opcode == CLOSE or bytes(read.payload) == payload


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
