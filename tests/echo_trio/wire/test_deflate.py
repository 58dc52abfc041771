"""permessage-deflate: what is agreed on, what is sent, what is inflated and where that stops.

Also against a peer that nobody here wrote, `websockets`' protocol and extension: whatever was
agreed on, whichever end we are, however messages are fragmented and segments cut, the same messages
come out here, and their echoes over there.
"""

from __future__ import annotations

import gc
import itertools
import random
import struct
import tracemalloc
import zlib

import pytest
from hypothesis import event, given
from hypothesis import strategies as st
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Opcode
from websockets.protocol import Protocol, Side

from echo_trio.wire import client_handshake, deflate, frames, server_handshake
from echo_trio.wire.budget import Budget
from echo_trio.wire.client_handshake import HandshakeFailed
from echo_trio.wire.connection import Limits
from echo_trio.wire.deflate import Parameters
from echo_trio.wire.handshake import HandshakeRefused

from .conftest import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, arrive, frame_bytes, unserved

RSV1 = 4
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
FRESH = Parameters(server_no_context_takeover=True, client_no_context_takeover=True)
KEEPING = Parameters()


def deflated(payload: bytes, *, bits: int = 15) -> bytes:
    compressor = zlib.compressobj(wbits=-bits)
    return (compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]


def code_of(frame) -> int:
    assert frame.opcode == CLOSE
    return int.from_bytes(frame.payload[:2])


# -- Negotiation ------------------------------------------------------------------------------


def request(*extensions: str) -> server_handshake.UpgradeRequest:
    headers = [("Sec-WebSocket-Extensions", value) for value in extensions]
    return server_handshake.parse_request(
        client_handshake.request_bytes("/", "here", KEY, headers)[:-4]
    )


BOTH = "server_no_context_takeover; client_no_context_takeover"


@pytest.mark.parametrize(
    ("offer", "answer"),
    [
        pytest.param("permessage-deflate", BOTH, id="nothing asked"),
        pytest.param("permessage-deflate; client_max_window_bits", BOTH, id="as browsers ask"),
        pytest.param("permessage-deflate; client_max_window_bits=9", BOTH, id="a client's hint"),
        pytest.param("permessage-deflate;server_no_context_takeover", BOTH, id="no space"),
        pytest.param("permessage-deflate; client_no_context_takeover", BOTH, id="the other"),
        pytest.param(
            "permessage-deflate; server_max_window_bits=10",
            f"{BOTH}; server_max_window_bits=10",
            id="a window",
        ),
        pytest.param(
            'permessage-deflate; server_max_window_bits = "15"',
            f"{BOTH}; server_max_window_bits=15",
            id="a quoted value",
        ),
        pytest.param(
            "permessage-deflate; server_max_window_bits=8",
            f"{BOTH}; server_max_window_bits=8",
            id="the smallest window",
        ),
        pytest.param(
            "permessage-bzip2, permessage-deflate; x, permessage-deflate", BOTH, id="the third"
        ),
        pytest.param(
            "permessage-deflate; server_max_window_bits=7, , permessage-deflate",
            BOTH,
            id="the second, after an empty element",
        ),
    ],
)
def test_an_offer_is_accepted_without_context_takeover(offer, answer):
    accepted = deflate.accept(request(offer).extensions)
    response = server_handshake.accept_response(request(offer), compression=accepted)
    assert f"\r\nSec-WebSocket-Extensions: permessage-deflate; {answer}\r\n".encode() in response


MALFORMED = [
    pytest.param("server_no_context_takeover=1", id="a value where none is"),
    pytest.param("client_no_context_takeover=true", id="another"),
    pytest.param("server_no_context_takeover; server_no_context_takeover", id="twice"),
    pytest.param("client_max_window_bits; client_max_window_bits=9", id="twice, differently"),
    pytest.param("server_max_window_bits", id="no value where one has to be"),
    pytest.param("server_max_window_bits=7", id="too small"),
    pytest.param("server_max_window_bits=16", id="too large"),
    pytest.param("server_max_window_bits=09", id="a leading zero"),
    pytest.param("server_max_window_bits=1e1", id="no integer"),
    pytest.param("client_max_window_bits=x", id="no number"),
    pytest.param("unknown", id="unknown"),
    pytest.param("Server_no_context_takeover", id="case"),
]


@pytest.mark.parametrize("parameters", MALFORMED)
def test_an_offer_that_rfc_7692_does_not_know_is_declined(parameters):
    assert deflate.accept(request(f"permessage-deflate; {parameters}").extensions) is None


def test_an_offer_split_over_two_headers_is_one_list():
    asked = request("x-webkit-deflate-frame", "permessage-deflate; client_max_window_bits")
    assert deflate.accept(asked.extensions) == FRESH
    assert deflate.accept(request().extensions) is None


@pytest.mark.parametrize(
    "header", ["", ",", ";", "a;", "a b", "a; b=", 'a; b="', 'a; b=""', 'a; b="c d"', "a; b=c=d"]
)
def test_a_list_that_rfc_6455_does_not_know_is_refused(header):
    with pytest.raises(HandshakeRefused) as caught:
        request(header)
    assert caught.value.status == 400


def answered(*headers: str, offers=(deflate.OFFER,)) -> Parameters | None:
    accepting = server_handshake.accept_response(request())[:-4]
    lines = [accepting, *(f"Sec-WebSocket-Extensions: {value}".encode() for value in headers)]
    return client_handshake.parse_response(b"\r\n".join(lines), KEY, extensions=offers).compression


@pytest.mark.parametrize(
    ("answer", "agreed"),
    [
        pytest.param("", Parameters(), id="nothing more"),
        pytest.param(f"; {BOTH}", FRESH, id="no context takeover"),
        pytest.param("; server_max_window_bits=9", Parameters(server_max_window_bits=9), id="its"),
        pytest.param("; client_max_window_bits=9", Parameters(client_max_window_bits=9), id="ours"),
    ],
)
def test_what_the_server_chooses_is_agreed_on(answer, agreed):
    assert answered(f"permessage-deflate{answer}") == agreed


def test_a_server_may_choose_nothing():
    assert answered() is None


@pytest.mark.parametrize("parameters", [*MALFORMED, pytest.param("client_max_window_bits", id="*")])
def test_a_client_fails_on_parameters_that_rfc_7692_does_not_know(parameters):
    with pytest.raises(HandshakeFailed):
        answered(f"permessage-deflate; {parameters}")


@pytest.mark.parametrize(
    ("offers", "headers"),
    [
        pytest.param([], ["permessage-deflate"], id="nothing was offered"),
        pytest.param([deflate.OFFER], ["permessage-bzip2"], id="another extension"),
        pytest.param([deflate.OFFER], ["permessage-deflate, permessage-deflate"], id="twice"),
        pytest.param([deflate.OFFER], ["permessage-deflate"] * 2, id="in two headers"),
        pytest.param([deflate.OFFER], ["permessage-deflate;"], id="malformed"),
        pytest.param([deflate.OFFER], [""], id="empty"),
        pytest.param(
            ["permessage-deflate"],
            ["permessage-deflate; client_max_window_bits=10"],
            id="a window that was not offered",
        ),
        pytest.param(
            ["permessage-deflate; server_no_context_takeover"],
            ["permessage-deflate"],
            id="context takeover, which was asked not to be",
        ),
        pytest.param(
            ["permessage-deflate; server_max_window_bits=10"],
            ["permessage-deflate; server_max_window_bits=11"],
            id="a larger window",
        ),
        pytest.param(
            ["permessage-deflate; server_max_window_bits=10"],
            ["permessage-deflate"],
            id="the largest window",
        ),
        pytest.param(
            ["permessage-deflate; server_max_window_bits=15"],
            ["permessage-deflate"],
            id="no word of the window that was asked for",
        ),
    ],
)
def test_a_client_fails_on_what_it_did_not_offer(offers, headers):
    with pytest.raises(HandshakeFailed):
        answered(*headers, offers=offers)


@pytest.mark.parametrize("bits", [8, 9, 10])
def test_a_server_may_keep_to_the_window_that_it_was_asked_for_or_less(bits):
    offers = ["permessage-deflate; server_max_window_bits=10"]
    agreed = answered(f"permessage-deflate; server_max_window_bits={bits}", offers=offers)
    assert agreed == Parameters(server_max_window_bits=bits)


def test_one_of_several_offers_is_enough():
    offers = ["permessage-deflate; server_no_context_takeover", deflate.OFFER]
    assert answered("permessage-deflate; client_max_window_bits=12", offers=offers) == Parameters(
        client_max_window_bits=12
    )


def test_our_offer_is_in_our_request_and_our_server_accepts_it():
    data = client_handshake.request_bytes("/", "here", KEY, extensions=[deflate.OFFER])
    assert deflate.accept(server_handshake.parse_request(data[:-4]).extensions) == FRESH
    with pytest.raises(ValueError, match="Extensions"):
        client_handshake.request_bytes("/", "here", KEY, extensions=["a\r\nX: y"])


# -- Sending ----------------------------------------------------------------------------------


@pytest.mark.parametrize("client", [False, True], ids=["server", "client"])
def test_each_message_is_compressed_by_itself(client):
    encode = deflate.encoder(KEEPING, client=client)
    message = "so it goes " * 100
    first, second = encode(message, False), encode(message, False)
    assert first == second
    assert first[0] == 0xC1
    assert len(first) < 50
    inflated = zlib.decompressobj(wbits=-15).decompress(first[2:])
    assert inflated.decode() == message


@pytest.mark.parametrize(
    "message",
    [
        pytest.param("", id="empty"),
        pytest.param("x" * 63, id="short"),
        pytest.param(random.Random(1).randbytes(5000), id="random"),
    ],
)
def test_what_would_not_get_shorter_is_sent_as_it_is(message):
    assert deflate.encoder(KEEPING, client=False)(message, False) == frames.encode(message, False)


def test_what_would_be_as_long_as_it_is_comes_as_it_is():
    """Compress messages with ever less to leave out: one gets neither shorter nor longer."""
    encode = deflate.encoder(KEEPING, client=False)
    noise, lengths = random.Random(1).randbytes(100), set()
    for size in range(100):
        message = noise[:size] + bytes(100 - size)
        frame = encode(message, False)
        if frame[0] & RSV1 << 4:
            lengths.add(len(frame) - 2)
        else:
            assert frame == frames.encode(message, False)
    assert {10, 50, 99} <= lengths
    assert max(lengths) == 99


@pytest.mark.parametrize("size", [64, 200, 249, 250, 1024, 3834, 16_000, 200_000])
def test_a_message_takes_memory_of_its_size_and_gets_as_short_as_with_all(size):
    """The work is counted by its memory, which zlib clears: 268 KB for any message otherwise."""
    encode = deflate.encoder(Parameters(), client=False)
    half = random.Random(size).randbytes(size // 2)
    message = half + half  # so that it has to look back as far as it can
    tracemalloc.start()
    try:
        frame = encode(message, False)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # Python gives each call 16 KiB for its output; zlib has 6 KB beside window and tables.
    assert peak_bytes < 48_000 + 32 * size
    most = zlib.compressobj(1, zlib.DEFLATED, -15)
    shortest = most.compress(message) + most.flush(zlib.Z_SYNC_FLUSH)
    assert len(frame) <= 1.02 * min(len(shortest), size) + 10


@pytest.mark.parametrize("client", [False, True], ids=["server", "client"])
@pytest.mark.parametrize("bits", range(9, 16))
def test_we_keep_within_the_window_that_was_agreed_on(client, bits):
    name = "client" if client else "server"
    parameters = Parameters(**{f"{name}_max_window_bits": bits})
    # The same again, further behind than the window reaches.
    message = random.Random(2).randbytes(2**bits + 50) * 2 + bytes(3 * 2**bits)
    frame = deflate.encoder(parameters, client=client)(message, False)
    assert frame[0] == 0xC2
    payload = frame[10:] if frame[1] == 127 else frame[4:]
    inflater = zlib.decompressobj(wbits=-bits)
    # Byte by byte: what zlib inflates in one go may refer to all of that.
    inflated = b"".join(inflater.decompress(payload[at : at + 1]) for at in range(len(payload)))
    assert inflated == message


def test_with_a_window_that_zlib_cannot_write_nothing_is_compressed():
    parameters = Parameters(server_max_window_bits=8)
    assert deflate.encoder(parameters, client=False)("x" * 500, False)[0] == 0x81


# -- Receiving --------------------------------------------------------------------------------


@pytest.fixture(params=["poller", "stream"])
def transport(request) -> str:
    return request.param  # What is inflated does not depend on it; test_connection*.py try all.


@pytest.fixture(params=[FRESH, KEEPING], ids=["no takeover", "takeover"])
def agreed(request) -> Parameters:
    return request.param


@pytest.fixture
def wire(make_wire, agreed):
    return make_wire(compression=agreed)


async def test_a_compressed_message_is_answered_by_one(wire):
    wire.start()
    message = "so it goes " * 100
    for _ in range(2):
        await wire.peer.send(wire.peer.frame(TEXT, deflated(message.encode()), rsv=RSV1))
        answer = await wire.peer.receive()
        stream = zlib.decompressobj(wbits=-15)
        assert stream.decompress(answer.payload + b"\x00\x00\xff\xff").decode() == message


async def test_fragments_pings_and_plain_messages_come_between(wire):
    seen = []
    wire.start(seen.append)
    peer, data = wire.peer, deflated("grüße".encode() * 50)
    await peer.send(
        peer.text("plain")
        + peer.frame(TEXT, data[:1], rsv=RSV1, fin=False)
        + peer.frame(PING, b"1")
        + peer.frame(CONTINUATION, b"", fin=False)
        + peer.frame(CONTINUATION, data[1:5], fin=False)
        + peer.frame(PONG)
        + peer.frame(CONTINUATION, data[5:])
        + peer.frame(TEXT, b"not ", fin=False)
        + peer.frame(CONTINUATION, b"compressed")
        + peer.frame(BINARY, deflated(b"\xff" * 500), rsv=RSV1)
        + peer.frame(PING, b"2")
    )
    assert [frame.payload for frame in await peer.receive_many(2)] == [b"1", b"2"]
    assert seen == ["plain", "grüße" * 50, "not compressed", b"\xff" * 500]


async def test_one_byte_per_segment_makes_no_difference(wire):
    wire.start()
    peer = wire.peer
    stream = peer.frame(TEXT, deflated(b"x" * 300), rsv=RSV1) + peer.text("plain")
    for at in range(len(stream)):
        await peer.send(stream[at : at + 1])
    first, second = await peer.receive_many(2)
    assert zlib.decompressobj(wbits=-15).decompress(first.payload) == b"x" * 300
    assert second.payload == b"plain"


async def test_a_peer_may_refer_to_its_earlier_messages_if_that_was_agreed_on(make_wire):
    seen = []
    wire = make_wire(compression=KEEPING)
    wire.start(seen.append)
    compressor = zlib.compressobj(wbits=-15)
    message = random.Random(3).randbytes(500)
    for _ in range(3):
        data = (compressor.compress(message) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]
        await wire.peer.send(wire.peer.frame(BINARY, data, rsv=RSV1) + wire.peer.text("between"))
    assert len(data) < 50
    await wire.peer.send(wire.peer.frame(PING))
    await wire.peer.receive()
    assert seen == [message, "between"] * 3


async def test_a_peer_that_refers_to_earlier_messages_though_it_agreed_not_to_is_told(make_wire):
    wire = make_wire(compression=FRESH)
    wire.start(lambda message: None)
    compressor = zlib.compressobj(wbits=-15)
    message = random.Random(3).randbytes(500)
    stream = b""
    for _ in range(2):
        data = (compressor.compress(message) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]
        stream += wire.peer.frame(BINARY, data, rsv=RSV1)
    (close,) = await wire.say_and_hear_all(stream)
    assert code_of(close) == 1007


def test_what_waits_to_be_inflated_is_counted_as_held():
    whole = bytes(100_000) + random.Random(1).randbytes(20_000)
    connection, _ = unserved(lambda _: None, client=False, limits=Limits(), compression=FRESH)
    connection._budget = budget = Budget()
    connection._take_arrived(frame_bytes(BINARY, deflated(whole), fin=True, rsv=RSV1, masked=True))
    assert connection._incoming.is_inflating
    assert budget.held_bytes > frames.INFLATE_STEP_BYTES + frames.INFLATING_BYTES + 20_000
    arrive(connection, b"")
    assert (connection.messages_received, budget.held_bytes) == (1, 0)


async def test_between_messages_nothing_of_zlib_is_kept(make_wire):
    wire = make_wire(compression=FRESH)
    wire.start()
    data = deflated(b"x" * 1000)
    await wire.peer.send(wire.peer.frame(BINARY, data, rsv=RSV1))
    await wire.peer.receive()
    connection = wire.connection
    assert (connection._incoming, connection._inflater) == (None, None)
    # By its type: what is asked for its class may be a proxy of an object that is gone.
    assert not any(type(it) is deflate.Inflater for it in gc.get_objects())


async def test_a_stream_that_ends_is_followed_by_another(wire):
    """RFC 7692, section 7.2.3.4: a final block, then a byte that begins what is left off."""
    seen = []
    wire.start(seen.append)
    final = zlib.compressobj(wbits=-15)
    ended = final.compress(b"Hello") + final.flush(zlib.Z_FINISH)
    peer = wire.peer
    await peer.send(peer.frame(TEXT, ended + b"\x00", rsv=RSV1))
    await peer.send(peer.frame(TEXT, ended, rsv=RSV1))  # sloppy, but nobody is hurt
    await peer.send(peer.frame(TEXT, deflated(b"Hello"), rsv=RSV1) + peer.frame(PING))
    await peer.receive()
    assert seen == ["Hello"] * 3


async def test_compressed_messages_may_be_empty(wire):
    seen = []
    wire.start(seen.append)
    peer = wire.peer
    await peer.send(
        peer.frame(TEXT, b"\x00", rsv=RSV1) + peer.frame(BINARY, b"", rsv=RSV1) + peer.frame(PING)
    )
    await peer.receive()
    assert seen == ["", b""]


# -- Violations -------------------------------------------------------------------------------


def violations():
    def case(name, make, code):
        return pytest.param(make, code, id=name)

    good = deflated(b"so it goes " * 20)
    yield case("RSV1 on ping", lambda p: p.frame(PING, b"x", rsv=RSV1), 1002)
    yield case("RSV1 on close", lambda p: p.frame(CLOSE, b"\x03\xe8", rsv=RSV1), 1002)
    yield case(
        "RSV1 on a continuation",
        lambda p: (
            p.frame(TEXT, good[:5], fin=False, rsv=RSV1) + p.frame(CONTINUATION, good[5:], rsv=RSV1)
        ),
        1002,
    )
    yield case("RSV1 on a stray continuation", lambda p: p.frame(CONTINUATION, b"", rsv=4), 1002)
    yield case("a stray continuation", lambda p: p.frame(CONTINUATION, b"x"), 1002)
    for rsv in (1, 2, 5, 6, 7):
        yield case(f"RSV {rsv}", lambda p, rsv=rsv: p.frame(BINARY, good, rsv=rsv), 1002)
    for rsv in (0, RSV1):
        yield case(
            f"a message in a message, RSV {rsv}",
            lambda p, rsv=rsv: (
                p.frame(TEXT, good[:5], fin=False, rsv=RSV1) + p.frame(TEXT, good, rsv=rsv)
            ),
            1002,
        )
    yield case("not DEFLATE", lambda p: p.frame(BINARY, b"\xff" * 20, rsv=RSV1), 1007)
    yield case("text not UTF-8", lambda p: p.frame(TEXT, deflated(b"ok\xff"), rsv=RSV1), 1007)
    yield case(
        "text ending within a character",
        lambda p: p.frame(TEXT, deflated("ü".encode()[:1]), rsv=RSV1),
        1007,
    )
    yield case(
        "fragmented text not UTF-8",
        lambda p: (
            p.frame(TEXT, deflated(b"\xc3(" * 9)[:2], fin=False, rsv=RSV1)
            + p.frame(CONTINUATION, deflated(b"\xc3(" * 9)[2:])
        ),
        1007,
    )
    yield case("endless streams", lambda p: p.frame(BINARY, b"\x03\x00" * 1000, rsv=RSV1), 1008)
    yield case(
        "endless empty fragments",
        lambda p: p.frame(TEXT, b"", fin=False, rsv=RSV1) + p.frame(0, b"", fin=False) * 1024,
        1008,
    )


@pytest.mark.parametrize(("make", "code"), list(violations()))
async def test_a_violation_is_answered_with_its_code(wire, make, code):
    wire.start()
    (close,) = await wire.say_and_hear_all(make(wire.peer))
    await wire.end()
    assert code_of(close) == wire.connection.failure == wire.connection.close_sent == code
    assert wire.connection.messages_received == 0


# -- Bombs ------------------------------------------------------------------------------------


def bombs():
    def case(name, make):
        return pytest.param(make, id=name)

    yield case("a byte too many", lambda p: p.frame(BINARY, deflated(bytes(1001)), rsv=RSV1))
    yield case("text", lambda p: p.frame(TEXT, deflated(("€" * 334).encode()), rsv=RSV1))
    yield case("a thousandfold", lambda p: p.frame(TEXT, deflated(bytes(10**6)), rsv=RSV1))
    yield case(
        "before it has all arrived",
        lambda p: p.frame(BINARY, deflated(bytes(10**6)), rsv=RSV1)[:100],
    )
    yield case(
        "in fragments",
        lambda p: (
            p.frame(BINARY, deflated(bytes(10**6))[:9], fin=False, rsv=RSV1)
            + p.frame(CONTINUATION, deflated(bytes(10**6))[9:])
        ),
    )
    yield case("announced", lambda p: p.frame(BINARY, bytes(10**6), rsv=RSV1)[: 10 + 4 * p.masks])
    yield case(
        "in streams that end",
        lambda p: p.frame(BINARY, zlib.compress(bytes(600), wbits=-15) * 2, rsv=RSV1),
    )
    yield case(
        "that never becomes anything",
        lambda p: (
            p.frame(BINARY, b"", fin=False, rsv=RSV1)
            + p.frame(CONTINUATION, b"\x00\x00\x00\xff\xff" * 100, fin=False) * 7
        ),
    )


@pytest.mark.parametrize("make", list(bombs()))
async def test_a_bomb_is_stopped_while_it_inflates(make_wire, agreed, make):
    wire = make_wire(Limits(max_message_bytes=1000), compression=agreed)
    wire.start()
    (close,) = await wire.say_and_hear_all(make(wire.peer))
    await wire.end()
    assert code_of(close) == wire.connection.failure == 1009
    assert close.payload[2:] == b"Exceeded maximum message size: 1000 bytes"
    assert wire.connection.messages_received == 0


async def test_as_much_as_the_limit_is_allowed_though_it_grew_on_the_wire(make_wire, agreed):
    seen = []
    wire = make_wire(Limits(max_message_bytes=1000), compression=agreed)
    wire.start(seen.append)
    peer = wire.peer
    stored = struct.pack("<BHH", 0, 1000, 1000 ^ 0xFFFF) + bytes(1000) + b"\x00"
    await peer.send(peer.frame(BINARY, stored, rsv=RSV1))
    await peer.send(peer.frame(BINARY, deflated(bytes(1000)), rsv=RSV1) + peer.frame(PING))
    await peer.receive()
    assert seen == [bytes(1000)] * 2


async def test_fifty_megabytes_of_nothing_take_no_more_memory_than_one_message(make_wire):
    """Many times over what one message may take: only an inflater without a bound does that."""
    wire = make_wire(Limits(max_message_bytes=2**20), compression=FRESH)
    compressor = zlib.compressobj(9, wbits=-15)
    bomb = b"".join(compressor.compress(bytes(2**20)) for _ in range(50))
    frame = wire.peer.frame(BINARY, bomb + compressor.flush(zlib.Z_SYNC_FLUSH)[:-4], rsv=RSV1)
    tracemalloc.start()
    try:
        wire.start()
        (close,) = await wire.say_and_hear_all(frame)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert code_of(close) == 1009
    assert peak < 16 * 2**20


# -- Beside websockets ------------------------------------------------------------------------


LIMIT = 100_000

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


def ours(client: bool, agreed: Parameters, on_message, limit=LIMIT):
    limits = Limits(max_message_bytes=limit)
    return unserved(on_message, client=client, limits=limits, compression=agreed)


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
            arrive(connection, stream[a:b])
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
    connection, _ = ours(client, agreed, received.append, size)
    head = bytes((0xC2, len(data) if client else 0x80 | len(data)))
    if len(data) > 125:
        head = head[:1] + bytes((0x7E if client else 0xFE,)) + len(data).to_bytes(2)
    arrive(connection, head + data if client else head + bytes(4) + data)
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
        head = client_handshake.request_bytes("/", "here", KEY, extensions=offers)[:-4]
    except ValueError:
        return
    request = server_handshake.parse_request(head)
    accepted = deflate.accept(request.extensions)
    event(f"accepted: {accepted is not None}")
    answer = server_handshake.accept_response(request, compression=accepted)[:-4]
    agreed = client_handshake.parse_response(answer, KEY, extensions=offers).compression
    assert agreed == accepted


@pytest.mark.parametrize("size", [63, 64, 65])
def test_messages_are_compressed_from_64_bytes_on(size):
    encode = deflate.encoder(deflate.Parameters(), client=False)
    compressed = bool(encode("x" * size, False)[0] & 0x40)
    assert compressed is (size >= 64)


@pytest.mark.parametrize("size", [999, 1000, 1001, 1002])
def test_a_compressed_message_may_be_exactly_as_large_as_is_allowed(size):
    agreed = deflate.Parameters(server_no_context_takeover=True, client_no_context_takeover=True)
    encoded = deflate.encoder(agreed, client=True)("x" * size, True)
    assert encoded[0] & 0x40
    connection, _ = unserved(lambda _: None, client=False, limits=Limits(1000), compression=agreed)
    arrive(connection, encoded)
    assert connection.failure == (None if size <= 1000 else 1009)
    assert connection.messages_received == (size <= 1000)


@pytest.mark.parametrize("more", [0, 1])
@pytest.mark.parametrize("ends", [True, False], ids=["ended", "open"])
def test_a_message_may_have_as_many_streams_as_are_allowed_behind_its_first(more, ends):
    deflated = b""
    for letter in b"abcdefghijklmnopqrstuvwxyz"[: 1 + deflate.MAX_STREAM_ENDS + more]:
        last = zlib.compressobj(wbits=-15)
        deflated += last.compress(bytes((letter,))) + last.flush(zlib.Z_FINISH)
    inflater = deflate.Inflater(Parameters(), client=True)
    if more:
        with pytest.raises(frames.Violation):
            inflater.inflate(deflated, 100, last=ends)
    else:
        assert inflater.inflate(deflated, 100, last=ends) == b"abcdefghijklmnopq"


def test_each_message_may_have_as_many_streams_though_the_context_is_kept():
    inflater = deflate.Inflater(KEEPING, client=True)
    seen = []
    for number in range(2 * deflate.MAX_STREAM_ENDS):
        ended = zlib.compressobj(wbits=-15)
        data = ended.compress(bytes((number,))) + ended.flush(zlib.Z_FINISH) + b"\x00"
        seen.append(inflater.inflate(data, 100, last=True))
    assert b"".join(seen) == bytes(range(2 * deflate.MAX_STREAM_ENDS))
