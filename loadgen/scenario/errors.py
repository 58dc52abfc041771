"""Define what a script may have to handle, and what is wrong with a script that can't run."""

from __future__ import annotations


class LostReply(TimeoutError):
    """What a script awaited did not come: within its timeout, or by the end of the run."""


class SocketClosed(ConnectionError):
    """The socket is closed, so nothing can be sent or awaited on it.

    :ivar code: of the server's close frame; 1006 if there was none.
    :ivar reason: that it gave; empty if none.
    """

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"the socket is closed, code {code}" + (f": {reason}" if reason else ""))
        self.code = code
        self.reason = reason


class ConnectFailed(ConnectionError):
    """A socket did not open; the report counts why among `connections.failed`."""


class BadScenario(Exception):
    """A scenario that can't run: one line that says where and why."""
