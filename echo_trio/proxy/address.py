"""Read the URL of an upstream. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from echo_trio.wire import addresses


@dataclass(frozen=True, slots=True)
class UpstreamAddress:
    """The server behind the proxy, as `--upstream` names it."""

    host: str
    port: int
    tls: bool

    @property
    def authority(self) -> str:
        """The Host header: without the port if it is the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        if self.port == addresses.DEFAULT_PORTS["wss" if self.tls else "ws"]:
            return host
        return f"{host}:{self.port}"


def parse_upstream(text: str) -> UpstreamAddress:
    """Read the URL of an upstream.

    :raises ValueError: if it is anything but scheme, host and port; the message is for people.
    """
    how = "write it like ws://127.0.0.1:9000 or wss://chat.example"
    try:
        parts = urlsplit(text)
    except ValueError:
        raise ValueError(f"{text!r} is no URL: {how}") from None
    if parts.scheme not in ("ws", "wss"):
        raise ValueError(f"{text!r} does not begin with ws:// or wss://: {how}")
    if parts.path not in ("", "/") or "?" in text or "#" in text:
        raise ValueError(f"{text!r} has a path or a query, which are the clients': {how}")
    if "@" in parts.netloc:  # Which may have a password in it: so not shown.
        raise ValueError(f"a URL with a user in it is none of an upstream's: {how}")
    try:
        parts.port  # noqa: B018 - reading it is what checks it
    except ValueError:
        raise ValueError(f"{text!r} has no port from 1 to 65535: {how}") from None
    host, port = addresses.split_authority(parts.netloc)
    if not host:
        raise ValueError(f"{text!r} names no host: {how}")
    return UpstreamAddress(
        host, port or addresses.DEFAULT_PORTS[parts.scheme], parts.scheme == "wss"
    )
