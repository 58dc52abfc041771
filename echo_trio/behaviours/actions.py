"""Name the actions that a script can take on a connection: reply, freeze, close, reset. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reply:
    """Send a message.

    :ivar late_s: the least number of seconds between the message that it answers and this.
    :ivar fragment_bytes: payload of each of its frames; ``None`` sends it in one.
    """

    message: str | bytes
    late_s: float = 0.0
    fragment_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Freeze:
    """Neither read nor send for a number of seconds."""

    duration_s: float


@dataclass(frozen=True, slots=True)
class Close:
    """Close with this code; 1005 is an empty close frame, 1006 the end of TCP without one."""

    code: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Reset:
    """End TCP with a reset, without a close frame."""


Action = Reply | Freeze | Close | Reset
