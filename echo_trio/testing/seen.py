"""Record the connections of a server, for a test in another thread to read."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from echo_trio.metrics.counters import Outcome
from echo_trio.printable import printable
from echo_trio.wire.handshake import Reason
from echo_trio.wire.server_handshake import UpgradeRequest

#: The connections that are kept once they have ended; older ones are only counted.
KEPT_CONNECTIONS: Final = 10_000
#: The messages that are kept of each connection, both directions together.
KEPT_MESSAGES: Final = 10
#: The characters or bytes that are kept of each message.
KEPT_SIZE: Final = 200
#: The characters that are shown of a path.
SHOWN_PATH: Final = 100
NO_SUCH_PATH: Final = "there is no such path"
#: By the reason of a refusal, in words for whoever wrote the test.
_WHY: Final = {
    Reason.PATH.value: NO_SUCH_PATH,
    Reason.PARAMETER.value: "a parameter of the path is wrong",
}


@dataclass(frozen=True, slots=True)
class SeenMessage:
    """The recorded part of one message.

    :ivar direction: ``"in"`` from the client, ``"out"`` to it.
    :ivar data: its first 200 characters or bytes.
    :ivar size: its length in characters or bytes.
    """

    direction: str
    data: str | bytes
    size: int


@dataclass(eq=False, repr=False, slots=True)
class SeenConnection:
    """A connection, as the server sees it. It changes until the connection has ended.

    :ivar peer: the client's address and port.
    :ivar path: the path that it asked for, without the query; empty until the request was read.
    :ivar outcome: how it ended, a string like ``"clean"``, ``"abnormal"`` or ``"refused"`` (see
        `Outcome`); ``None`` while it is open.
    :ivar close_code: the code of the first close frame on the wire, 1005 for an empty one, 1006 if
        TCP ended without one; ``None`` while it is open, or if its handshake did not succeed.
    :ivar status: the HTTP status with which the handshake was refused; else ``None``.
    :ivar why: why it was refused, if that is the test's doing: there is no such path, or a proxy's
        upstream can't be had; else empty.
    :ivar subprotocol: the subprotocol that was agreed on, if any.
    :ivar messages_in: the number of messages that have arrived.
    :ivar messages_out: the number of messages sent; a reply is counted before it can arrive.
    :ivar last_messages: the last ten messages, both directions, the oldest first.
    """

    peer: str
    path: str = ""
    outcome: Outcome | None = None
    close_code: int | None = None
    status: int | None = None
    why: str = ""
    subprotocol: str | None = None
    messages_in: int = 0
    messages_out: int = 0
    _last: deque[SeenMessage] = field(default_factory=lambda: deque(maxlen=KEPT_MESSAGES))

    @property
    def clean(self) -> bool:
        """True once it has ended with a close frame from both ends."""
        return self.outcome is Outcome.CLEAN

    @property
    def last_messages(self) -> tuple[SeenMessage, ...]:
        """The last messages, both directions, the oldest first."""
        return tuple(self._last.copy())

    def __str__(self) -> str:
        path = printable(self.path, at_most=SHOWN_PATH) or "(no request)"
        how = "open" if self.outcome is None else self.outcome.value
        if self.status is not None:
            how += f", HTTP {self.status}"
        if self.why:
            how += f" ({printable(self.why, at_most=SHOWN_PATH)})"
        if self.close_code is not None:
            how += f", close code {self.close_code}"
        return f"{path}: {how}, {self.messages_in} in, {self.messages_out} out"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self}>"


class _Observed:
    """The `ConnectionObserver` that writes a `SeenConnection`."""

    def __init__(self, connection: SeenConnection, seen: Seen) -> None:
        self._connection = connection
        self._seen = seen

    def requested(self, request: UpgradeRequest) -> None:
        self._connection.path = request.path

    def opened(self, subprotocol: str | None, extensions: Sequence[str]) -> None:
        self._connection.subprotocol = subprotocol

    def received(self, message: str | bytes) -> None:
        self._connection.messages_in += 1
        self._keep("in", message)

    def sent(self, message: str | bytes) -> None:
        self._connection.messages_out += 1
        self._keep("out", message)

    def ended(self, outcome: Outcome, details: Mapping[str, Any]) -> None:
        connection = self._connection
        connection.status = details.get("status")
        connection.why = details.get("why") or _WHY.get(details.get("reason", ""), "")
        connection.close_code = details.get("code")
        # Replies that were on their way when it broke don't count as sent.
        connection.messages_out = details.get("messages_sent", connection.messages_out)
        self._seen.end(connection, outcome)

    def _keep(self, direction: str, message: str | bytes) -> None:
        self._connection._last.append(  # noqa: SLF001
            SeenMessage(direction, message[:KEPT_SIZE], len(message))
        )


class Seen:
    """The connections of a server, in the order in which they were accepted.

    It is an `Observer`: written to in the server's thread, read in any.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._open: dict[SeenConnection, int] = {}
        self._ended: deque[tuple[int, SeenConnection]] = deque(maxlen=KEPT_CONNECTIONS)
        self._accepted_count = 0
        self._ended_count = 0
        self.thread_id: int | None = None

    @property
    def connections(self) -> list[SeenConnection]:
        """All that are open, and the last 10,000 that have ended."""
        with self._changed:
            known = [*self._ended, *((n, connection) for connection, n in self._open.items())]
        return [connection for _, connection in sorted(known, key=lambda pair: pair[0])]

    def accepted(self, peer: str) -> _Observed:
        """Note that a connection was accepted (see `Observer`)."""
        connection = SeenConnection(peer)
        with self._changed:
            self._accepted_count += 1
            self._open[connection] = self._accepted_count
        return _Observed(connection, self)

    def end(self, connection: SeenConnection, outcome: Outcome) -> None:
        """Note that a connection has ended, and wake the threads that wait for that."""
        with self._changed:
            connection.outcome = outcome
            self._ended.append((self._open.pop(connection), connection))
            self._ended_count += 1
            self._changed.notify_all()

    def wait_ended(self, n: int, timeout_s: float) -> None:
        """Block until n connections have ended.

        :raises TimeoutError: if fewer have by then; it says how many.
        :raises RuntimeError: in the server's own thread, where nothing would ever end.
        """
        __tracebackhide__ = True
        self._wait(lambda: self._ended_count >= n, timeout_s)
        if self._ended_count < n:
            raise TimeoutError(
                f"{self._ended_count} of {n} connections had closed within {timeout_s:g} s; "
                f"{len(self._open)} open"
            )

    def wait_all_ended(self, timeout_s: float) -> None:
        """Block until no connection is open, or the time is over."""
        self._wait(lambda: not self._open, timeout_s)

    def _wait(self, is_done: Any, timeout_s: float) -> None:
        with self._changed:
            if is_done():
                return
            if threading.get_ident() == self.thread_id:
                raise RuntimeError(
                    "the server runs in this thread and would wait for itself: "
                    "await trio.to_thread.run_sync(server.wait_closed, n)"
                )
            # `wait_for` of a condition, but with a deadline that a busy machine can't stretch.
            until_s = time.monotonic() + timeout_s
            while not is_done() and (left_s := until_s - time.monotonic()) > 0:
                self._changed.wait(left_s)
