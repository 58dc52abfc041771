"""Give tests access to a running server: its addresses, and the connections that it saw."""

from __future__ import annotations

from collections.abc import Callable

from echo_trio.testing.seen import Seen, SeenConnection

#: How long `assert_all_clean` waits for connections that are still open: a client returns from
#: closing when it has our close frame, and we know of the end when TCP has ended, too.
SETTLE_S = 1.0


class RunningServer:
    """A server that runs until its context manager ends. All methods may be called in any thread.

    :ivar url: the URL that clients connect to, like ``ws://127.0.0.1:35127/``.
    :ivar console_url: the URL of its console; ``None`` without one.
    """

    def __init__(
        self, url: str, console_url: str | None, seen: Seen, set_faults: Callable[[str], None]
    ) -> None:
        self.url = url
        self.console_url = console_url
        self._seen = seen
        self._set_faults = set_faults

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.url}>"

    def path(self, path: str) -> str:
        """Return the URL of a path, as in ``server.path("/drop/3")``."""
        return self.url + path.removeprefix("/")

    def faults(self, text: str) -> None:
        """Replace the faults of a proxy: of all its connections, from the next message on.

        It returns when they hold. The faults that are part of a client's path come behind them.

        :param text: as before a path, like ``"~delay/200ms/~up-drop/3"``; ``""`` for none.
        :raises ValueError: if they can't be read, or this is no proxy.
        """
        __tracebackhide__ = True  # pytest then shows the line of the test, and the message.
        self._set_faults(text)

    @property
    def connections(self) -> list[SeenConnection]:
        """The connections since the server began, in the order in which they were accepted.

        Of those that have ended, the last 10,000. Those that are open go on changing.
        """
        return self._seen.connections

    def wait_closed(self, n: int = 1, timeout: float = 5.0) -> None:
        """Block until n connections in all have ended since the server began; refused ones count.

        It blocks its thread: in a coroutine whose own event loop has yet to close the connection,
        use ``await asyncio.to_thread(server.wait_closed, 1)``, or
        ``await trio.to_thread.run_sync(server.wait_closed, 1)``.

        :param timeout: the longest to wait, in seconds.
        :raises TimeoutError: if fewer have ended by then; the message says how many.
        """
        __tracebackhide__ = True
        self._seen.wait_ended(n, timeout)

    def assert_all_clean(self, timeout: float = SETTLE_S) -> None:
        """Assert that every connection has ended with a close frame from both ends.

        :param timeout: the longest to wait for connections that are still open, in seconds.
        :raises AssertionError: if one has not; the message names each. A refused handshake is not
            clean.
        """
        __tracebackhide__ = True
        self._seen.wait_all_ended(timeout)
        unclean = [connection for connection in self.connections if not connection.clean]
        if unclean:
            listing = "\n".join(f"  {connection}" for connection in unclean[:20])
            more = f"\n  and {len(unclean) - 20} more" if len(unclean) > 20 else ""
            raise AssertionError(
                f"{len(unclean)} of {len(self.connections)} connections did not end clean:\n"
                f"{listing}{more}"
            )
