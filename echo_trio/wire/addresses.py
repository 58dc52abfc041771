"""Read host and port as a Host header, an Origin or a setting names them."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

#: The names by which a browser on this machine may call it.
LOOPBACK_NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1"})
#: A server may listen on these; clients can't connect to them.
ANY_ADDRESS: Final = frozenset({"0.0.0.0", "::"})
DEFAULT_PORTS: Final = {"http": 80, "https": 443, "ws": 80, "wss": 443}
#: Any text without the characters that end a host in a URL.
_NAME: Final = re.compile(r"[^\s:/?#@\[\]]+")


def split_authority(authority: str) -> tuple[str, int | None]:
    """Split `host:port` into the host, in lower case and without brackets, and the port.

    :returns: the port is ``None`` where there is none; ("", None) if the text is something else.
    """
    try:
        parts = urlsplit(f"//{authority}")
        host, port = parts.hostname, parts.port
    except ValueError:
        return "", None
    if host is None or parts.netloc != authority or "@" in authority:
        return "", None
    return host, port


def is_host(text: str) -> bool:
    """Tell whether a text is a host by itself: a name or an address, with no port and no path."""
    try:
        return bool(ip_address(text[1:-1] if text[:1] + text[-1:] == "[]" else text))
    except ValueError:
        return split_authority(text) == (text.lower(), None) and bool(_NAME.fullmatch(text))


def parse_target(text: str) -> tuple[str, int]:
    """Read host and port from `host:port`, or from a WebSocket URL, whose path is ignored.

    :returns: host and port; for a URL without a port, the default port of its scheme.
    :raises ValueError: if the text is neither; the message says how to write one.
    """
    scheme, separator, rest = text.rpartition("://")
    host, port = split_authority(rest.partition("/")[0])
    port = port or DEFAULT_PORTS.get(scheme)
    if not host or not port or (separator and scheme not in ("ws", "wss")):
        raise ValueError(f"{text!r} is no target: write it like example.org:8765 or ws://[::1]:80/")
    return host, port
