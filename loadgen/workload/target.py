"""A WebSocket URL, taken apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from echo_trio.wire.addresses import DEFAULT_PORTS

SCHEMES: Final = ("ws", "wss")
DEFAULT_PORT: Final = 8765
DEFAULT_URL: Final = f"ws://127.0.0.1:{DEFAULT_PORT}/"

#: Stands in a URL for the number of the socket's room.
ROOM: Final = "{room}"


@dataclass(frozen=True, slots=True)
class Target:
    """A WebSocket URL, taken apart.

    :ivar authority: the Host header: with the port, unless it is the scheme's own.
    :ivar resource: path and query.
    """

    host: str
    port: int
    authority: str
    resource: str
    tls: bool

    @classmethod
    def parse(cls, url: str) -> Target:
        """Take a URL apart.

        :raises ValueError: if it is not a ws:// or wss:// URL; says what to write.
        """
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as exc:
            raise ValueError(f"{url!r} is not a URL: {exc}") from None
        if port == 0:
            raise ValueError(f"{url!r} has port 0, to which nothing can connect")
        if parts.scheme not in SCHEMES or not parts.hostname:
            raise ValueError(f"{url!r} is not a WebSocket URL: write it like {DEFAULT_URL}")
        if parts.fragment:
            raise ValueError(f"{url!r} has a fragment, which no WebSocket URL has (RFC 6455, 3)")
        if parts.username is not None or parts.password is not None:
            raise ValueError(f"{url!r} has a user name, which no WebSocket URL has")
        if any(not "!" <= ch <= "~" for ch in url):
            raise ValueError(f"{url!r} has a character that has to be %-encoded")
        resource = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        default = DEFAULT_PORTS[parts.scheme]
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        authority = host if port in (None, default) else f"{host}:{port}"
        return cls(parts.hostname, port or default, authority, resource, parts.scheme == "wss")
