"""Host and port as a Host header, an Origin or a setting name them."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

#: What a browser on this machine may call it.
LOOPBACK_NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1"})
#: What a server may listen on, and nobody can connect to.
ANY_ADDRESS: Final = frozenset({"0.0.0.0", "::"})
DEFAULT_PORTS: Final = {"http": 80, "https": 443, "ws": 80, "wss": 443}


def split_authority(authority: str) -> tuple[str, int | None]:
    """Host, in lower case and without brackets, and port of `host:port`.

    :returns: ("", None) if it is something else.
    """
    try:
        parts = urlsplit(f"//{authority}")
        host, port = parts.hostname, parts.port
    except ValueError:
        return "", None
    if host is None or parts.netloc != authority or "@" in authority:
        return "", None
    return host, port


def parse_target(text: str) -> tuple[str, int]:
    """Host and port of `host:port`, or of a WebSocket URL, whose path means nothing here.

    :raises ValueError: if it is neither.
    """
    scheme, separator, rest = text.rpartition("://")
    host, port = split_authority(rest.partition("/")[0])
    port = port or DEFAULT_PORTS.get(scheme)
    if not host or not port or (separator and scheme not in ("ws", "wss")):
        raise ValueError(f"{text!r} is no target: write it like example.org:8765 or ws://[::1]:80/")
    return host, port
