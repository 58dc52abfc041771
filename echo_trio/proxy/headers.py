"""Pass headers on as a proxy has to (RFC 9110, 7.6): some go, most stay, some come. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

Headers = list[tuple[str, str]]

#: Headers of one hop (RFC 9110, section 7.6.1), Connection's own and what old clients send for it.
_HOP_BY_HOP: Final = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
#: Headers that each side's handshake makes anew.
_OF_THE_HANDSHAKE: Final = frozenset(
    {
        "content-length",  # a request's is 0, an answer's is said anew
        "host",
        "sec-websocket-accept",
        "sec-websocket-extensions",
        "sec-websocket-key",
        "sec-websocket-protocol",
        "sec-websocket-version",
    }
)


def end_to_end(headers: Headers) -> Headers:
    """Return the headers that are for the other end, in order.

    Those that Connection names are for this hop (RFC 9110, section 7.6.1).
    """
    named = {
        option.strip(" \t").lower()
        for name, value in headers
        if name == "connection"
        for option in value.split(",")
    }
    left_out = _HOP_BY_HOP | _OF_THE_HANDSHAKE | named
    return [(name, value) for name, value in headers if name not in left_out]


def forwarded(headers: Headers, *, client: str, tls: bool) -> Headers:
    """Return a client's headers as the upstream is to get them.

    :param client: the address of whoever connects to us, without port.
    :param tls: true if it came by TLS.
    """
    hosts = [value for name, value in headers if name == "host"]
    passed = end_to_end(headers)
    passed = [(name, value) for name, value in passed if name != "x-forwarded-host"]
    passed = _append(passed, "x-forwarded-for", client)
    passed = _append(passed, "x-forwarded-proto", "https" if tls else "http")
    return [*passed, *(("x-forwarded-host", host) for host in hosts)]


def _append(headers: Headers, name: str, value: str) -> Headers:
    """Add a value to a header that is a list."""
    values = [said for key, said in headers if key == name and said]
    others = [(key, said) for key, said in headers if key != name]
    return [*others, (name, ", ".join([*values, value]))]


def show(headers: Iterable[tuple[str, str]]) -> str:
    """Write headers as lines, each with its end."""
    return "".join(f"{name}: {value}\r\n" for name, value in headers)
