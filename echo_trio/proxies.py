"""Say who may speak for a client, and for which: trusted proxies and X-Forwarded-For. Pure."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Iterable
from typing import Final

#: A hop as proxies write it in X-Forwarded-For; some add the port.
_HOP: Final = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::([0-9]{1,5}))?|([0-9.]+):([0-9]{1,5})|([^\s%]+)")

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


def parse_network(text: str) -> Network | None:
    """Read a network, or an address as a network of one; ``None`` if the text is neither."""
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        return None


def is_trusted(peer: str, proxies: Collection[Network]) -> bool:
    """Tell whether this peer (an address, with or without port) is one of our proxies."""
    hop = _parse_hop(peer)
    return hop is not None and any(hop[0] in network for network in proxies)


def client_of(peer: str, forwarded_for: Iterable[str], proxies: Collection[Network]) -> str:
    """Find the client's address: that of the nearest hop that is none of our proxies.

    Entries further left in X-Forwarded-For were there when the request reached our outermost proxy:
    anybody can have written them.

    :param peer: the TCP peer, or the source that a PROXY header named.
    :param forwarded_for: the values of X-Forwarded-For, in order.
    :returns: an address with its port where it is known.
    """
    hops = [hop for value in forwarded_for for hop in value.split(",")]
    while hops and is_trusted(peer, proxies):
        hop = _parse_hop(hops.pop().strip(" \t"))
        if hop is None:
            break  # Such as "unknown": the client can't be told.
        peer = show_peer(*hop)
    return peer


def show_peer(address: IPAddress, port: int | None) -> str:
    """Write address and port as a URL has them; the address alone if the port isn't known."""
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
