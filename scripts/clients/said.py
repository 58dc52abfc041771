"""Name what each client is asked to do, and what it says happened: events, in order."""

from __future__ import annotations

from typing import Final
from urllib.parse import parse_qs, urlsplit

#: How long a client waits for a message that never comes. The programs have it, too.
PATIENCE_S: Final = 0.5

#: The paths, and what each asks of a client. What a path asks for beyond `hello` stands in its
#: query, which the server passes over: `send=2` sends it twice, `take=1` closes behind the
#: first message.
BEHAVIOURS: Final = {
    "/plain?take=1": "an exact echo",
    "/?take=1": "an echo with a number behind it",
    "/info?take=1": "a message that comes before any was sent",
    "/fragment/1?take=1": "a reply in frames of one byte",
    "/delay/200ms?take=1": "a reply that is late, but not too late",
    "/stall/1/200ms?take=1": "a connection that freezes, and goes on",
    "/silent": "no reply ever",
    "/swallow/1": "a reply that is lost",
    "/duplicate/1?take=2": "a reply that comes twice",
    "/corrupt/1?take=1": "a reply that is altered",
    "/reorder/1": "a reply that is held back until the client closes",
    "/burst/3?take=3": "three replies to one message",
    "/rpc?take=1": "a JSON-RPC error, for hello is no call",
    "/room/lobby?take=1": "a room, where one's own message comes back",
    "/ticker/100ms?take=3": "pushes that nobody has asked for",
    "/login/secret": "a greeting, and 4401 for who does not log in",
    "/quota/1?send=2": "4429 for who sends more than one message a second",
    "/close/1000": "a close frame with 1000",
    "/close/4001/try%20again": "a close frame with a code and a reason of its own",
    "/close/1005": "a close frame without a code",
    "/close/1006": "the end of TCP without a close frame",
    "/drop/1": "one reply, then a TCP reset",
    "/status/503": "a handshake refused with 503",
}


class Said(list[str]):
    """The events that a client shows its user, in order.

    :ivar sends: how often the client is to send hello.
    :ivar takes: the number of messages behind which it is to close.
    """

    def __init__(self, path: str) -> None:
        super().__init__()
        asked = parse_qs(urlsplit(path).query)
        self.sends = int(asked.get("send", ["1"])[0])
        self.takes = int(asked.get("take", ["1000"])[0])

    @property
    def is_enough(self) -> bool:
        """True once the client is to close; as long as messages are all that there was."""
        return len(self) >= self.takes

    def ended(self, exc: BaseException, code: object = None, reason: object = "") -> None:
        """Note an exception, and the code and reason that it carries, if any."""
        self.told(type(exc).__name__, code, reason)

    def told(self, what: str, code: object = None, reason: object = "") -> None:
        """Note an event, and the code and reason that come with it, if any."""
        if code is not None:
            what += f" {code}"
        self.append(f"{what} “{reason}”" if reason else what)
