"""Read the PROXY protocol, versions 1 and 2: a proxy's first bytes name its client. Sans-I/O.

The protocol is HAProxy's (doc/proxy-protocol.txt); other proxies that forward TCP use it too. The
header comes before anything else, before TLS too, and no byte after it may be taken from the
socket: OpenSSL reads those itself. So arrived bytes are looked at first (MSG_PEEK), and only the
header is taken.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Final

#: The longest header of version 1, its line break included, says the specification.
MAX_V1_BYTES: Final = 107
#: The longest header of version 2 that we take, of the 65,535 bytes it allows: addresses, and what
#: a proxy adds, such as the name in its client's certificate. nginx takes the same.
MAX_V2_BYTES: Final = 4096

_SIGNATURE: Final = b"\r\n\r\n\x00\r\nQUIT\n"
_V1: Final = b"PROXY "
_V2_FIXED_BYTES: Final = len(_SIGNATURE) + 4
_V1_LINE: Final = re.compile(
    rb"PROXY (?:UNKNOWN(?: [^\r\n]*)?|(TCP4|TCP6) (\S+) (\S+) (\d{1,5}) (\d{1,5}))"
)
_LOCAL, _PROXIED = 0x20, 0x21
#: By family and transport: bytes of both addresses and ports. Datagrams don't come over TCP.
_V2_ADDRESS_BYTES: Final = {0x00: 0, 0x11: 12, 0x21: 36, 0x31: 216}
_TLV_FIXED_BYTES: Final = 3

IPAddress = IPv4Address | IPv6Address


class Malformed(Exception):
    """The bytes are no PROXY header, or one that is longer than allowed."""


class Cut(Exception):
    """The stream ended within the header."""


@dataclass(frozen=True, slots=True)
class Header:
    """A PROXY header.

    :ivar size_bytes: the size of the header; what follows is the connection itself.
    :ivar source: the client's address and port; ``None`` if this is the proxy's own connection (a
        health check), or not one over TCP and IP: then the TCP peer is the client.
    """

    size_bytes: int
    source: tuple[IPAddress, int] | None = None


async def receive(peek: Callable[[], Awaitable[bytes]], take: Callable[[int], bytes]) -> Header:
    """Receive the header, and not a byte more.

    :param peek: waits for bytes to arrive, and returns them without taking them; an empty result is
        the end of the stream.
    :param take: takes this number of the bytes that `peek` has shown.
    :raises Malformed: at the first byte that can't belong to a header.
    :raises Cut: if the stream ends first.
    """
    taken = b""
    while True:
        arrived = await peek()
        if not arrived:
            raise Cut
        header = parse(taken + arrived)
        if header is not None:
            take(header.size_bytes - len(taken))
            return header
        taken += take(len(arrived))  # All these bytes belong to the header, which isn't whole yet.


def parse(data: bytes) -> Header | None:
    """Parse the header that `data` begins with; ``None`` if more has to arrive.

    :raises Malformed: if no further bytes can make it a header.
    """
    if data.startswith(_V1[: len(data)]):
        return _parse_v1(data)
    if data.startswith(_SIGNATURE[: len(data)]):
        return _parse_v2(data)
    raise Malformed


def _parse_v1(data: bytes) -> Header | None:
    end = data.find(b"\n", 0, MAX_V1_BYTES)
    if end < 0:
        if len(data) >= MAX_V1_BYTES:
            raise Malformed
        return None
    match = _V1_LINE.fullmatch(data, 0, end - 1)
    if data[end - 1 : end] != b"\r" or match is None:
        raise Malformed
    family, *ends = match.groups()
    if family is None:
        return Header(end + 1)
    source, destination, *ports = ends
    try:
        address, _ = (_address(family, text.decode("ascii")) for text in (source, destination))
        port, _ = map(_port, ports)
    except ValueError:
        raise Malformed from None
    return Header(end + 1, (address, port))


def _address(family: bytes, text: str) -> IPAddress:
    if family == b"TCP4":
        return IPv4Address(text)
    if "%" in text:
        raise ValueError(text)
    return IPv6Address(text)


def _port(digits: bytes) -> int:
    port = int(digits)
    if port > 0xFFFF or digits != str(port).encode():
        raise ValueError(digits)
    return port


def _parse_v2(data: bytes) -> Header | None:
    fixed = data[len(_SIGNATURE) : _V2_FIXED_BYTES]
    if fixed and fixed[0] not in (_LOCAL, _PROXIED):
        raise Malformed
    if len(fixed) < 4:
        return None
    command, family = fixed[:2]
    length = int.from_bytes(fixed[2:])
    size = _V2_FIXED_BYTES + length
    # In a header about the proxy's own connection the addresses are ignored, valid or not.
    address_bytes = 0 if command == _LOCAL else _V2_ADDRESS_BYTES.get(family)
    if size > MAX_V2_BYTES or address_bytes is None or length < address_bytes:
        raise Malformed
    if len(data) < size:
        return None
    if command == _LOCAL:
        return Header(size)
    addresses = data[_V2_FIXED_BYTES : _V2_FIXED_BYTES + address_bytes]
    _check_additions(data[_V2_FIXED_BYTES + address_bytes : size])
    if family == 0x11:
        return Header(size, (IPv4Address(addresses[:4]), int.from_bytes(addresses[8:10])))
    if family == 0x21:
        return Header(size, (IPv6Address(addresses[:16]), int.from_bytes(addresses[32:34])))
    return Header(size)


def _check_additions(data: bytes) -> None:
    """Check that what a proxy adds to the addresses is a list of (type, length, value); skip it."""
    at = 0
    while at < len(data):
        if at + _TLV_FIXED_BYTES > len(data):
            raise Malformed
        at += _TLV_FIXED_BYTES + int.from_bytes(data[at + 1 : at + _TLV_FIXED_BYTES])
    if at != len(data):
        raise Malformed
