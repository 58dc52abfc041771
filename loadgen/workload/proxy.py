"""Read the URL of a proxy to dial through. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal
from urllib.parse import unquote, urlsplit

Scheme = Literal["http", "socks5"]
DEFAULT_PORTS: Final[dict[Scheme, int]] = {"http": 3128, "socks5": 1080}
#: The length of a user name or a password is one byte in SOCKS 5 (RFC 1929).
MAX_CREDENTIAL_BYTES: Final = 255


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy that TCP connections are made through; it resolves the target's name itself.

    :ivar credentials: user and password, if it wants any.
    """

    scheme: Scheme
    host: str
    port: int
    credentials: tuple[str, str] | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, text: str) -> Proxy:
        """Read ``http://[USER:PASSWORD@]HOST[:PORT]``, or the same with ``socks5``.

        :raises ValueError: if it is neither.
        """
        try:
            parts = urlsplit(text.strip())
            host, port = parts.hostname, parts.port
        except ValueError:
            host, port = None, None
        scheme: Scheme | None = (
            "http" if host and parts.scheme == "http"
            else "socks5" if host and parts.scheme in {"socks5", "socks5h"}
            else None
        )  # fmt: skip
        if scheme is None or not host or parts.path not in {"", "/"} or parts.query:
            raise ValueError(
                f"--proxy: {text!r} is no proxy: write it like http://host:3128 or "
                "socks5://user:password@host:1080"
            )
        credentials = None
        if parts.username is not None:
            credentials = unquote(parts.username), unquote(parts.password or "")
            if any(not 0 < len(each.encode()) <= MAX_CREDENTIAL_BYTES for each in credentials):
                raise ValueError("--proxy: user and password have from 1 to 255 bytes each")
            if scheme == "http" and ":" in credentials[0]:
                raise ValueError("--proxy: a user name has no colon (RFC 7617, section 2)")
        return cls(scheme, host, port or DEFAULT_PORTS[scheme], credentials)
