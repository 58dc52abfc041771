"""Define the exceptions that a script may handle, and that of a script that can't run."""

from __future__ import annotations


class LostReply(TimeoutError):
    """A reply or frame did not come: within its timeout, or by the end of the run."""


class SocketClosed(ConnectionError):
    """The socket is closed, so nothing can be sent or awaited on it.

    :ivar code: the code of the server's close frame; 1006 if there was none.
    :ivar reason: the reason in it; empty if there was none.
    """

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"the socket is closed, code {code}" + (f": {reason}" if reason else ""))
        self.code = code
        self.reason = reason


class ConnectFailed(ConnectionError):
    """A socket did not open; the report counts the reason in `connections.failed`."""


class BadScenario(Exception):
    """A scenario that can't run; the message is one line that says where and why."""


class TooFewRows(BadScenario):
    """A script with rows of which each user has one for itself, and more users than rows."""
