"""permessage-deflate against a peer that nobody here wrote: `websockets`' protocol and extension.

Whatever was agreed on, whichever end we are, however messages are fragmented and segments cut: the
same messages come out here, and their echoes over there.
"""

from __future__ import annotations

import itertools

import pytest
from hypothesis import event, given
from hypothesis import strategies as st
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Opcode
from websockets.protocol import Protocol, Side

from echo_trio.wire import deflate, handshake
from echo_trio.wire.connection import Connection, Limits
from echo_trio.wire.deflate import Parameters

LIMIT = 100_000
KEY = "dGhlIHNhbXBsZSBub25jZQ=="

window_bits = st.none() | st.integers(9, 15)
agreements = st.builds(Parameters, st.booleans(), st.booleans(), window_bits, window_bits)
# What compresses, what doesn't, and what refers far back.
payloads = st.one_of(
    st.binary(max_size=50),
    st.text(max_size=50),
    st.tuples(st.binary(max_size=9) | st.text(max_size=9), st.integers(1, 2000)).map(
        lambda pair: pair[0] * pair[1]
    ),
    st.randoms(use_true_random=False).map(lambda rng: rng.randbytes(3000)),
)


@st.composite
def sendings(draw) -> list[tuple[str | bytes, list[int], bool]]:
    """Messages, each with where it is cut into fragments, and whether it is compressed."""
    some = draw(st.lists(payloads, min_size=1, max_size=4))
    chosen = draw(st.lists(st.sampled_from(some), min_size=1, max_size=6))
    cuts = st.lists(st.integers(0, 2**17), max_size=4)
    return [(message, draw(cuts), draw(st.booleans() | st.just(True))) for message in chosen]


class Recorder:
    """In place of the kernel: what is sent is kept."""

    def __init__(self) -> None:
        self.sent = bytearray()

    def send(self, data: bytes) -> int:
        self.sent += data
        return len(data)


def ours(client: bool, agreed: Parameters, on_message) -> tuple[Connection, Recorder]:
    recorder = Recorder()
    connection = Connection.__new__(Connection)
    connection._sock = recorder
    connection._client = client
    connection._limits = Limits(max_message_bytes=LIMIT)
    connection._on_message = on_message
    connection._compression = agreed
    connection._encode = deflate.encoder(agreed, client=client)
    return connection, recorder


def theirs(server: bool, agreed: Parameters) -> tuple[Protocol, PerMessageDeflate]:
    ends = [
        (agreed.server_no_context_takeover, agreed.server_max_window_bits or 15),
        (agreed.client_no_context_takeover, agreed.client_max_window_bits or 15),
    ]
    (local_fresh, local_bits), (remote_fresh, remote_bits) = ends if server else ends[::-1]
    extension = PerMessageDeflate(remote_fresh, local_fresh, remote_bits, local_bits)
    peer = Protocol(Side.SERVER if server else Side.CLIENT, max_size=LIMIT)
    peer.extensions = [extension]
    return peer, extension


def send(peer: Protocol, message: str | bytes, cuts: list[int]) -> None:
    data = message.encode() if isinstance(message, str) else message
    edges = [0, *sorted(at % (len(data) + 1) for at in cuts), len(data)]
    parts = [data[a:b] for a, b in itertools.pairwise(edges)]
    first = peer.send_text if isinstance(message, str) else peer.send_binary
    for at, part in enumerate(parts):
        fin = at == len(parts) - 1
        (peer.send_continuation if at else first)(part, fin)
        peer.send_ping(b"between")


def heard_by(peer: Protocol, data: bytes) -> list[str | bytes]:
    peer.receive_data(data)
    frames = [frame for frame in peer.events_received() if frame.opcode is not Opcode.PONG]
    assert all(frame.fin for frame in frames)
    return [
        bytes(frame.data).decode() if frame.opcode is Opcode.TEXT else bytes(frame.data)
        for frame in frames
    ]


@pytest.mark.parametrize("client", [False, True], ids=["server", "client"])
@given(agreed=agreements, sent=sendings(), cuts=st.lists(st.integers(0, 2**17), max_size=8))
def test_compressed_messages_go_there_and_back(client, agreed, sent, cuts):
    received = []

    def on_message(message):
        received.append(message)
        return message

    connection, recorder = ours(client, agreed, on_message)
    peer, extension = theirs(client, agreed)
    for message, fragments, compressed in sent:
        peer.extensions = [extension] if compressed else []
        send(peer, message, fragments)
    stream = b"".join(peer.data_to_send())
    edges = [0, *sorted(at % (len(stream) + 1) for at in cuts), len(stream)]
    for a, b in itertools.pairwise(edges):
        if a < b:
            connection._receive(stream[a:b])
    expected = [message for message, _, _ in sent]
    assert connection.failure is None
    assert received == expected
    peer.extensions = [extension]
    assert heard_by(peer, bytes(recorder.sent)) == expected
    event(f"our replies were {'shorter' if len(recorder.sent) < len(stream) else 'longer'}")


@pytest.mark.parametrize("client", [False, True], ids=["server", "client"])
@given(agreed=agreements, data=st.binary(max_size=200), size=st.integers(0, 200))
def test_any_payload_inflates_within_the_limit_or_ends_the_connection(client, agreed, data, size):
    received = []
    connection, _ = ours(client, agreed, received.append)
    connection._limits = Limits(max_message_bytes=size)
    head = bytes((0xC2, len(data) if client else 0x80 | len(data)))
    if len(data) > 125:
        head = head[:1] + bytes((0x7E if client else 0xFE,)) + len(data).to_bytes(2)
    connection._receive(head + data if client else head + bytes(4) + data)
    assert connection.close_sent == connection.failure
    event(f"ends with {connection.failure}")
    if connection.failure is None:
        (message,) = received
        assert len(message) <= size
    else:
        assert received == []
        assert connection.failure in {1007, 1008, 1009}


names = st.sampled_from([
    "server_no_context_takeover", "client_no_context_takeover",
    "server_max_window_bits", "client_max_window_bits", "other",
])  # fmt: skip
values = st.none() | st.integers(6, 17).map(str) | st.sampled_from(["", "08", '"9"', "x"])
parameters = st.lists(st.tuples(names, values), max_size=4).map(
    lambda pairs: "".join(f"; {k}" + ("" if v is None else f"={v}") for k, v in pairs)
)


@given(st.lists(st.sampled_from(["permessage-deflate", "other"]).flatmap(
    lambda name: parameters.map(lambda rest: name + rest)
), min_size=1, max_size=3))  # fmt: skip
def test_what_our_server_answers_our_client_agrees_to(offers):
    try:
        head = handshake.request_bytes("/", "here", KEY, extensions=offers)[:-4]
    except ValueError:
        return
    request = handshake.parse_request(head)
    accepted = deflate.accept(request.extensions)
    event(f"accepted: {accepted is not None}")
    answer = handshake.accept_response(request, compression=accepted)[:-4]
    agreed = handshake.parse_response(answer, KEY, extensions=offers).compression
    assert agreed == accepted
