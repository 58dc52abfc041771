"""Summarize the connections that a server saw, for the report of a test that failed."""

from __future__ import annotations

from typing import Final

from echo_trio.behaviours import paths
from echo_trio.printable import printable
from echo_trio.testing.running_server import RunningServer
from echo_trio.testing.seen import NO_SUCH_PATH, SeenMessage

#: The connections that are shown: the last ones.
SHOWN_CONNECTIONS: Final = 20
#: The characters that are shown of a message.
SHOWN_CHARACTERS: Final = 100

_ARROWS: Final = {"in": "→", "out": "←"}


def summarize(server: RunningServer) -> str:
    """Write a line for each of the last connections, and one for each of its last messages.

    As in the server's reference, → marks messages from the client and ← messages to it. Texts from
    a client are made printable.
    """
    connections = server.connections
    lines = [f"{server.url} saw {_count(len(connections), 'connection')}"]
    if len(connections) > SHOWN_CONNECTIONS:
        lines[0] += f"; the last {SHOWN_CONNECTIONS}:"
    for connection in connections[-SHOWN_CONNECTIONS:]:
        lines.append(f"  {connection}")
        if connection.why == NO_SUCH_PATH and (near := paths.nearest(connection.path)):
            lines.append(f"    did you mean {near}?")
        lines += [f"    {_show(message)}" for message in connection.last_messages]
    return "\n".join(lines)


def _show(message: SeenMessage) -> str:
    data = message.data
    text = printable(data if isinstance(data, str) else repr(data), at_most=SHOWN_CHARACTERS)
    more = ""
    if message.size > min(len(data), SHOWN_CHARACTERS):
        more = f" ({message.size} {'characters' if isinstance(data, str) else 'bytes'})"
    return f"{_ARROWS[message.direction]} {text}{more}"


def _count(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"
