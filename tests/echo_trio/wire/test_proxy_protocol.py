"""The PROXY header: what a proxy writes is read, however it arrives; garbage is told at once."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address
from itertools import pairwise

import pytest
import trio
from hypothesis import example, given, settings
from hypothesis import strategies as st

from echo_trio.wire import proxy_protocol
from echo_trio.wire.proxy_protocol import (
    MAX_V1_BYTES,
    MAX_V2_BYTES,
    Cut,
    Header,
    Malformed,
    parse,
    receive,
)

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
ports = st.integers(0, 0xFFFF)


def v1(source: tuple, destination: tuple) -> bytes:
    family = f"TCP{source[0].version}"
    line = f"PROXY {family} {source[0]} {destination[0]} {source[1]} {destination[1]}\r\n"
    return line.encode()


def v2(command: int, family: int, body: bytes) -> bytes:
    return SIGNATURE + bytes((command, family)) + len(body).to_bytes(2) + body


def addition(kind: int, value: bytes) -> bytes:
    return bytes((kind,)) + len(value).to_bytes(2) + value


additions = st.lists(
    st.builds(addition, st.integers(0, 255), st.binary(max_size=40)), max_size=4
).map(b"".join)


@st.composite
def headers(draw) -> tuple[bytes, tuple | None]:
    """A header of either version, and the source that it names."""
    addresses = draw(st.sampled_from([st.ip_addresses(v=4), st.ip_addresses(v=6)]))
    source = draw(addresses), draw(ports)
    destination = draw(addresses), draw(ports)
    kind = draw(
        st.sampled_from(["v1", "v1 unknown", "v2", "v2 local", "v2 unix", "v2 unspecified"])
    )
    more = draw(additions)
    if kind == "v1":
        return v1(source, destination), source
    if kind == "v1 unknown":
        rest = draw(st.sampled_from([b"", b" ", b" ffff::1 ffff::2 1 2", b" \x00\xff"]))
        return b"PROXY UNKNOWN" + rest + b"\r\n", None
    if kind == "v2":
        body = source[0].packed + destination[0].packed
        body += source[1].to_bytes(2) + destination[1].to_bytes(2)
        return v2(0x21, 0x11 if source[0].version == 4 else 0x21, body + more), source
    if kind == "v2 local":
        # Addresses as of any other command are not the client's.
        family = draw(st.sampled_from([0x11, 0x21]) | st.integers(0, 255))
        return v2(0x20, family, draw(st.binary(min_size=36) | st.binary(max_size=50))), None
    if kind == "v2 unix":
        return v2(0x21, 0x31, bytes(216) + more), None
    return v2(0x21, 0x00, more), None


class Socket:
    """A stream in segments; what was only peeked at is still there."""

    def __init__(self, segments: list[bytes]) -> None:
        self.segments = [segment for segment in segments if segment]
        self.arrived = b""

    async def peek(self) -> bytes:
        if not self.arrived and self.segments:
            self.arrived = self.segments.pop(0)
        return self.arrived

    def take(self, size: int) -> bytes:
        taken, self.arrived = self.arrived[:size], self.arrived[size:]
        return taken

    @property
    def left(self) -> bytes:
        return self.arrived + b"".join(self.segments)


def receive_from(segments: list[bytes]) -> tuple[Header, bytes]:
    sock = Socket(segments)
    header = trio.run(receive, sock.peek, sock.take)
    return header, sock.left


def split(data: bytes, at: list[int]) -> list[bytes]:
    places = sorted({place % (len(data) + 1) for place in at} | {0, len(data)})
    return [data[a:b] for a, b in pairwise(places)]


@given(headers(), st.binary(max_size=30), st.lists(st.integers(0, 400), max_size=8))
def test_a_header_is_the_same_however_it_is_split_and_nothing_behind_it_is_taken(
    written, behind, at
):
    data, source = written
    header, left = receive_from(split(data + behind, at))
    assert header == Header(len(data), source)
    assert left == behind


# Each of them is tried at every one of its bytes.
@settings(max_examples=25)
@given(headers())
def test_every_beginning_of_a_header_needs_more_and_its_end_is_missed(written):
    data, _ = written
    for size in range(len(data)):
        assert parse(data[:size]) is None
        with pytest.raises(Cut):
            receive_from([data[:size]])


garbage = (
    st.binary(max_size=150)
    | st.binary(max_size=40).map(SIGNATURE.__add__)
    | st.binary(max_size=100).map(b"PROXY ".__add__)
)


@st.composite
def damaged(draw) -> bytes:
    data = bytearray(draw(headers())[0])
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(data) - 1))
        data[at : at + draw(st.integers(0, 2))] = draw(st.binary(max_size=2))
        data = data or bytearray(b"x")
    return bytes(data)


@given(garbage | damaged())
@example(b"PROXY UNKNOWN\n\r\n")
@example(b"")
def test_whatever_comes_is_a_header_or_malformed_or_not_yet_either_whole_or_byte_by_byte(data):
    def result(read: Callable):
        try:
            return read()
        except (Malformed, Cut) as exc:
            return type(exc)

    whole = result(lambda: receive_from([data]))
    assert result(lambda: receive_from([bytes((byte,)) for byte in data])) == whole
    if isinstance(whole, tuple):
        header, left = whole
        assert header.size_bytes + len(left) == len(data)
        assert header.size_bytes <= MAX_V2_BYTES


def test_a_source_is_read_as_the_specification_writes_it():
    assert parse(b"PROXY TCP4 255.255.255.255 1.2.3.4 65535 443\r\n").source == (
        IPv4Address("255.255.255.255"),
        65535,
    )
    # The longest version 1 header that the specification knows.
    longest = b"PROXY UNKNOWN " + b" ".join([b"f" * 4 + b":ffff" * 7] * 2) + b" 65535 65535\r\n"
    assert len(longest) == MAX_V1_BYTES
    assert parse(longest) == Header(MAX_V1_BYTES)
    body = IPv6Address("2001:db8::1").packed + bytes(16) + bytes((1, 187, 0, 0))
    assert parse(v2(0x21, 0x21, body)).source == (IPv6Address("2001:db8::1"), 443)


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n",
        b"\x16\x03\x01",
        b"proxy TCP4 1.2.3.4 1.2.3.4 1 1\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 1 1\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 1 1 \r\n",
        b"PROXY TCP4  1.2.3.4 1.2.3.4 1 1\r\n",
        b"PROXY TCP4 1.2.3.04 1.2.3.4 1 1\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 65536 1\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 01 1\r\n",
        b"PROXY TCP4 ::1 1.2.3.4 1 1\r\n",
        b"PROXY TCP6 1.2.3.4 ::1 1 1\r\n",
        b"PROXY TCP6 fe80::1%eth0 ::1 1 1\r\n",
        b"PROXY UDP4 1.2.3.4 1.2.3.4 1 1\r\n",
        b"PROXY UNKNOWNX\r\n",
        b"PROXY " + b"x" * 200,
        SIGNATURE + b"\x11",
        v2(0x22, 0x11, bytes(12)),
        v2(0x31, 0x11, bytes(12)),
        v2(0x21, 0x12, bytes(12)),
        v2(0x21, 0x41, bytes(12)),
        v2(0x21, 0x11, bytes(11)),
        v2(0x21, 0x21, bytes(35)),
        v2(0x21, 0x31, bytes(215)),
        v2(0x21, 0x11, bytes(12) + b"\x01"),
        v2(0x21, 0x11, bytes(12) + b"\x01\x00\x02x"),
        SIGNATURE + b"\x21\x11\xff\xff",
    ],
    ids=repr,
)
def test_what_is_not_as_the_specification_says_is_malformed(data):
    with pytest.raises(Malformed):
        parse(data)


def test_the_bounds_stand_before_all_has_arrived():
    assert proxy_protocol.parse(b"PROXY UNKNOWN " + b"x" * (MAX_V1_BYTES - 15)) is None
    with pytest.raises(Malformed):
        parse(b"PROXY UNKNOWN " + b"x" * (MAX_V1_BYTES - 14))
    assert parse(SIGNATURE + b"\x20\x00" + (MAX_V2_BYTES - 16).to_bytes(2)) is None
    with pytest.raises(Malformed):
        parse(SIGNATURE + b"\x20\x00" + (MAX_V2_BYTES - 15).to_bytes(2))
