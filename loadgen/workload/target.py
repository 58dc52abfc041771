"""Take a WebSocket URL apart, or say in one line what to write instead."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import Final
from urllib.parse import quote, unquote

from echo_trio.wire.addresses import DEFAULT_PORTS

SCHEMES: Final = ("ws", "wss")
DEFAULT_PORT: Final = 8765
#: A host and a port as people write them, perhaps with a path.
_WITHOUT_SCHEME: Final = re.compile(
    r"[\w.-]+:[0-9]{1,5}(?:/.*)?|[\w-]+(?:\.[\w-]+)+(?:/.*)?|localhost"
)
MAX_PORT: Final = 65_535
DEFAULT_URL: Final = f"ws://127.0.0.1:{DEFAULT_PORT}/"

#: Replaced in a URL by the number of the socket's room.
ROOM: Final = "{room}"

_URL: Final = re.compile(
    r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)([^?#]*)(\?[^#]*)?(#.*)?", re.DOTALL
)
_PORT: Final = re.compile(r"[0-9]{1,5}")
#: A name in ASCII; underscores are in no host by the book, and in many in practice.
_NAME: Final = re.compile(r"[A-Za-z0-9._~-]+")
#: What stands between an address and its zone: as in RFC 6874, or as systems write it.
_ZONE: Final = re.compile(r"%25|%")


@dataclass(frozen=True, slots=True)
class Target:
    """A WebSocket URL, taken apart.

    :ivar host: a name in ASCII, letters of other scripts as IDNA writes them, or an address; a
        link-local one with its zone (``fe80::1%eth0``).
    :ivar authority: the Host header: with the port, unless it is the scheme's own. Without a zone,
        which means something on this machine alone (RFC 6874, section 3).
    :ivar resource: path and query.
    """

    host: str
    port: int
    authority: str
    resource: str
    tls: bool

    @property
    def server_name(self) -> str:
        """The name or address that a certificate has to be for."""
        return self.host.partition("%")[0]

    @classmethod
    def parse(cls, url: str) -> Target:
        """Take a URL apart; blanks around it, as a paste may have, are left off.

        :raises ValueError: if it is not a ws:// or wss:// URL; the message says what to write.
        """
        url = url.strip()
        match = _URL.fullmatch(url)
        scheme = match[1].lower() if match else ""
        if match is None or scheme not in SCHEMES:
            instead = {"http": "ws", "https": "wss"}.get(scheme)
            hint = f"begin it with {instead}://" if instead else f"write it like {DEFAULT_URL}"
            if _WITHOUT_SCHEME.fullmatch(url):
                hint = f"begin it with ws:// or wss://, ws://{url}"
            elif _PORT.fullmatch(url):
                hint = f"did you mean ws://127.0.0.1:{url}/?"
            raise ValueError(f"{url!r} is not a WebSocket URL: {hint}")
        _, authority, path, query, fragment = match.groups("")
        if fragment:
            raise ValueError(f"{url!r} has a fragment, which no WebSocket URL has (RFC 6455, 3)")
        if "@" in authority:
            raise ValueError(f"{url!r} has a user name, which no WebSocket URL has")
        if odd := next((char for char in path + query if not "!" <= char <= "~"), None):
            written = quote(odd, errors="surrogateescape")
            raise ValueError(f"{url!r} has a character to be written as {written}")
        default = DEFAULT_PORTS[scheme]
        host, port = _split_host(url, scheme, authority)
        # Host and port as RFC 9110, section 7.2, has them.
        shown = f"[{host.partition('%')[0]}]" if ":" in host else host
        return cls(
            host,
            port or default,
            shown if port in (None, default) else f"{shown}:{port}",
            (path or "/") + query,
            scheme == "wss",
        )


def _split_host(url: str, scheme: str, authority: str) -> tuple[str, int | None]:
    """Return host and port of a URL's authority."""
    if authority.startswith("["):
        literal, bracket, rest = authority[1:].partition("]")
        host = _read_address(literal) if bracket and rest[:1] in ("", ":") else None
        if host is None:
            raise ValueError(f"{url!r} has no IPv6 address in its brackets: write ws://[::1]:8765/")
        port = rest[1:]
    elif authority.count(":") > 1:
        raise ValueError(
            f"{url!r} has an IPv6 address without brackets: write {_bracketed(scheme, authority)}"
        )
    else:
        name, _, port = authority.partition(":")
        host = _read_name(url, name)
    if not port:
        return host, None
    if not _PORT.fullmatch(port) or int(port) > MAX_PORT:
        raise ValueError(f"{url!r} has a port that is no number from 1 to {MAX_PORT}")
    if not int(port):
        raise ValueError(f"{url!r} has port 0, to which nothing can connect")
    return host, int(port)


def _read_address(literal: str) -> str | None:
    """Read the text in brackets: an IPv6 address, and perhaps a zone."""
    address, *zone = _ZONE.split(literal, maxsplit=1)
    try:
        IPv6Address(address)
    except ValueError:
        return None
    if zone and not _NAME.fullmatch(zone[0]):
        return None
    return "%".join([address.lower(), *zone])


def _bracketed(scheme: str, authority: str) -> str:
    """Show how an IPv6 address is written, with a port if the last part may be one."""
    address, _, port = authority.rpartition(":")
    if _PORT.fullmatch(port) and _read_address(address):
        return f"{scheme}://[{address}]:{port}/"
    return f"{scheme}://[{authority}]/" if _read_address(authority) else "ws://[::1]:8765/"


def _read_name(url: str, name: str) -> str:
    """Read a name; letters of other scripts become what the DNS has (RFC 5891, UTS 46)."""
    if not name:
        raise ValueError(f"{url!r} is not a WebSocket URL, it has no host: like {DEFAULT_URL}")
    if _NAME.fullmatch(name):
        return name.lower()
    import idna  # noqa: PLC0415 - few names need it

    try:
        # errors="strict" refuses invalid UTF-8.
        return idna.encode(unquote(name, errors="strict"), uts46=True).decode()
    except (ValueError, UnicodeError):
        raise ValueError(f"{url!r} has a host that is no name") from None


def write_origin(origin: str) -> str:
    """Write an origin as a browser does: a host of another script as the DNS has it."""
    scheme, colon, authority = origin.partition("://")
    if not colon or origin.isascii():
        return origin
    name, colon, port = authority.partition(":")
    return f"{scheme}://{_read_name(origin, name)}{colon}{port}"
