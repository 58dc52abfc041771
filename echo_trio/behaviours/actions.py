"""Name the actions that a script can take on a connection: reply, freeze, close, reset. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reply:
    """Send a message; in faults on the client's messages, pass it on to the path.

    :ivar late_s: the least number of seconds between the message that it answers and this.
    :ivar fragment_bytes: payload of each of its frames; ``None`` sends it in one.
    """

    message: str | bytes
    late_s: float = 0.0
    fragment_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Freeze:
    """Neither read nor send for a number of seconds.

    :ivar late_s: as of a reply that stands in its place: the freeze begins then.
    """

    duration_s: float
    late_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Close:
    """Close with this code; 1005 is an empty close frame, 1006 the end of TCP without one."""

    code: int
    reason: str = ""
    late_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Reset:
    """End TCP with a reset, without a close frame."""

    late_s: float = 0.0


Action = Reply | Freeze | Close | Reset
