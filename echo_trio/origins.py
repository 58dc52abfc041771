"""Read where a web page comes from (RFC 6454), in a form in which two can be compared. Pure."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from echo_trio.wire.addresses import DEFAULT_PORTS

_ORIGIN: Final = re.compile(
    r"([a-z][a-z0-9+.-]*)://([a-z0-9._-]+|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?"
)


class Origin(NamedTuple):
    """The origin of a web page (RFC 6454), in the one form in which two can be compared."""

    scheme: str
    host: str
    port: str | None


def parse_origin(text: str) -> Origin | None:
    """Read an origin as a browser or a user writes it; ``None`` if it isn't one, such as "null"."""
    match = _ORIGIN.fullmatch(text.lower())
    if match is None:
        return None
    scheme, host, port = match.groups()
    if port is None and scheme in DEFAULT_PORTS:
        port = str(DEFAULT_PORTS[scheme])
    return Origin(scheme, host, port and port.lstrip("0"))
