"""Describe a connection to the client that asks for it, without its credentials. Pure."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Final

#: Names of headers that carry credentials: those of HTTP, and those by which proxies and
#: applications pass on who somebody is (X-Api-Key, X-Auth-Request-Access-Token,
#: Cf-Access-Jwt-Assertion, X-Amzn-Oidc-Data, X-Forwarded-Client-Cert, X-Csrf-Token …).
_CREDENTIALS: Final = re.compile(
    r"auth|cookie|token|secret|passw|credential|session|jwt|assertion|signature|csrf|xsrf|oidc|saml"
    r"|(api|access|private|security)-?key|client-cert|ssl-cert"
)
#: The handshake's own headers have nothing that the page has not chosen itself.
_OF_THE_HANDSHAKE: Final = "sec-websocket-"


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """A connection when its handshake is done.

    :ivar query: without its question mark.
    :ivar headers: those of the request, in order, names in lower case.
    :ivar extensions: one entry for each in the answer's Sec-WebSocket-Extensions.
    :ivar peer: host and port.
    """

    path: str
    query: str
    headers: list[tuple[str, str]]
    subprotocol: str | None
    extensions: list[str]
    peer: str

    def to_json(self) -> str:
        """Write it as one object; the values of a header that came more than once are joined.

        If a browser sent the request, which includes its page's origin, the values of headers that
        carry credentials are masked: anybody may have written the page, and its browser adds
        cookies that the page itself is not to see.
        """
        from_browser = any(name == "origin" for name, _ in self.headers)
        headers: dict[str, str] = {}
        for name, sent in self.headers:
            value = mask(sent) if from_browser and carries_credentials(name) else sent
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        return json.dumps(
            {
                "path": self.path,
                "query": self.query,
                "headers": headers,
                "subprotocol": self.subprotocol,
                "extensions": self.extensions,
                "peer": self.peer,
            }
        )


def carries_credentials(name: str) -> bool:
    """Tell whether a header of this name, in lower case, identifies a person or gives access."""
    return not name.startswith(_OF_THE_HANDSHAKE) and bool(_CREDENTIALS.search(name))


def mask(value: str) -> str:
    """Write a placeholder for a secret, with its length."""
    return f"(masked, {len(value.encode())} bytes)"
