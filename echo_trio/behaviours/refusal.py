"""Refuse a handshake with a status that was asked for. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

#: Headers that HTTP requires with a status (RFC 9110, sections 11.6.1, 11.7.1, 15.5.6, 15.5.22).
_STATUS_HEADERS: Final[dict[int, dict[str, str]]] = {
    401: {"WWW-Authenticate": 'Basic realm="echo-trio"'},
    405: {"Allow": "GET"},
    407: {"Proxy-Authenticate": 'Basic realm="echo-trio"'},
    426: {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"},
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """The status with which a path's handshake is refused, instead of a behaviour.

    :ivar headers: the headers that HTTP requires with this status.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)


def refuse(status: int) -> Refusal:
    """Refuse the handshake with a status."""
    return Refusal(status, _STATUS_HEADERS.get(status, {}))
