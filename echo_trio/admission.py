"""Who may come in, and how many at once. Pure decisions."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple, Self

from echo_trio.behaviours import paths
from echo_trio.behaviours.scripts import Behaviour
from echo_trio.wire.handshake import HandshakeRefused, NotAnUpgrade, Reason, UpgradeRequest

#: When a client that was turned away should try again, in seconds.
RETRY_AFTER_S = 5


#: Descriptors that connections leave alone: the process's own, the console's, and those of
#: clients that are being told that the server is full.
SPARE_DESCRIPTORS: Final = 64
#: As many of these clients at once have a descriptor; more, where the file limit leaves room.
MIN_REFUSALS: Final = 24
MAX_REFUSALS: Final = 1024

_ORIGIN: Final = re.compile(
    r"([a-z][a-z0-9+.-]*)://([a-z0-9._-]+|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?"
)
_DEFAULT_PORTS: Final = {"http": "80", "https": "443", "ws": "80", "wss": "443"}


#: A hop as proxies write it in X-Forwarded-For; some add the port.
_HOP: Final = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::([0-9]{1,5}))?|([0-9.]+):([0-9]{1,5})|([^\s%]+)")

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


class Origin(NamedTuple):
    """Where a web page comes from (RFC 6454), in the one form in which two can be compared."""

    scheme: str
    host: str
    port: str | None


@dataclass(frozen=True, slots=True)
class PlaceCapacity:
    """How many may be there at once.

    :ivar connections: handshakes and closing connections too.
    :ivar refusals: beside those, as many are told that there is no room, and awaited until they
        have read it; whoever comes beyond is told, and cut.
    """

    connections: int
    refusals: int

    @classmethod
    def of(cls, max_connections: int, file_limit: int) -> Self:
        """What fits.

        :param max_connections: what was asked for; 0: as many as the file limit allows.
        """
        allowed = max(1, file_limit - SPARE_DESCRIPTORS)
        connections = min(max_connections or allowed, allowed)
        refusals = min(MIN_REFUSALS + allowed - connections, MAX_REFUSALS)
        return cls(connections, refusals)


def last_descriptor(file_limit: int) -> int:
    """The first descriptor that no connection may have, whatever else the process has open.

    Half of what is spare is left: health is to answer even then.
    """
    return max(file_limit - SPARE_DESCRIPTORS // 2, file_limit // 2)


def parse_origin(text: str) -> Origin | None:
    """An origin as a browser's header or a user writes it; ``None`` if it isn't one, as null."""
    match = _ORIGIN.fullmatch(text.lower())
    if match is None:
        return None
    scheme, host, port = match.groups()
    return Origin(scheme, host, port.lstrip("0") if port else _DEFAULT_PORTS.get(scheme))


def admit(request: UpgradeRequest, origins: Collection[Origin | None] = ()) -> Behaviour:
    """The behaviour that the client asked for.

    :param origins: whose pages may connect; none stands for all. A client that names no origin is
        no browser, and may in any case.
    :raises HandshakeRefused: if it may not have one, with the status that says why.
    """
    if origins:
        for name, value in request.headers:
            if name == "origin" and (
                (origin := parse_origin(value)) is None or origin not in origins
            ):
                raise HandshakeRefused(403, "Pages of this origin may not connect.", Reason.ORIGIN)
    found = _find(request.path)
    if isinstance(found, paths.Refusal):
        raise HandshakeRefused(found.status, "As you asked.", Reason.ASKED_FOR, **found.headers)
    return found


def not_an_upgrade(exc: NotAnUpgrade) -> HandshakeRefused:
    """What a client is told that does not ask for a WebSocket: first, whether one is there."""
    try:
        _find(exc.path)
    except HandshakeRefused as refused:
        return refused
    return exc


def _find(path: str) -> Behaviour | paths.Refusal:
    try:
        found = paths.find(path)
    except paths.BadParameter as exc:
        raise HandshakeRefused(400, str(exc), Reason.PARAMETER) from None
    if found is None:
        raise HandshakeRefused(404, paths.listing(), Reason.PATH)
    return found


def parse_network(text: str) -> Network | None:
    """A network, or an address as the network of that alone; ``None`` if it is neither."""
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        return None


def is_trusted(peer: str, proxies: Collection[Network]) -> bool:
    """Is this peer (address, with its port or without) one of our proxies?"""
    hop = _parse_hop(peer)
    return hop is not None and any(hop[0] in network for network in proxies)


def client_of(peer: str, forwarded_for: Iterable[str], proxies: Collection[Network]) -> str:
    """Who the client is: the nearest hop that is none of our proxies.

    What stands further left in X-Forwarded-For was there when the request reached our outermost
    proxy: anybody can have written it.

    :param peer: who speaks to us.
    :param forwarded_for: the values of X-Forwarded-For, in order.
    """
    hops = [hop for value in forwarded_for for hop in value.split(",")]
    while hops and is_trusted(peer, proxies):
        hop = _parse_hop(hops.pop().strip(" \t"))
        if hop is None:
            break  # "unknown", say: nobody can tell what is behind it.
        peer = show_peer(*hop)
    return peer


def show_peer(address: IPAddress, port: int | None) -> str:
    """Address and port as a URL has them; the address alone if the port isn't known."""
    if port is None:
        return str(address)
    return f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}"


def _parse_hop(text: str) -> tuple[IPAddress, int | None] | None:
    match = _HOP.fullmatch(text)
    if match is None:
        return None
    in_brackets, its_port, with_port, port, alone = match.groups()
    try:
        address = ipaddress.ip_address(in_brackets or with_port or alone)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    digits = its_port or port
    if digits is None:
        return address, None
    return (address, int(digits)) if int(digits) <= 0xFFFF else None


def no_proxy_header() -> HandshakeRefused:
    """What a trusted proxy is told that didn't say whom it speaks for, as it should."""
    why = "A connection from a trusted proxy begins with a header of the PROXY protocol."
    return HandshakeRefused(400, why, Reason.PROXY_HEADER)


def too_slow() -> HandshakeRefused:
    """What a client is told whose handshake took longer than the open timeout."""
    return HandshakeRefused(408, "The handshake took too long.", Reason.TIMEOUT)


def draining() -> HandshakeRefused:
    """What a client is told that comes while the server stops."""
    return _unavailable("The server is stopping.", Reason.DRAINING)


def full() -> HandshakeRefused:
    """What a client is told for whom there is no room."""
    return _unavailable("The server is full.", Reason.CAPACITY)


def displaced() -> HandshakeRefused:
    """What a client is told that sent nothing of its handshake, when its place is needed."""
    why = "The server is full, and this connection has said nothing."
    return _unavailable(why, Reason.DISPLACED)


def out_of_descriptors() -> HandshakeRefused:
    """What a client is told for whom the machine has no descriptor left."""
    return _unavailable("The server has too many files open.", Reason.DESCRIPTORS)


def _unavailable(why: str, reason: Reason) -> HandshakeRefused:
    return HandshakeRefused(503, why, reason, Retry_After=str(RETRY_AFTER_S))
