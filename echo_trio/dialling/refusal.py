"""Read the body of an answer that refuses the upgrade: bounded in size and time."""

from __future__ import annotations

import socket
from functools import partial
from typing import Final

import h11
import msgspec
import trio

from echo_trio.wire import sockets

#: Enough of an error page to see what it says.
MAX_BODY_BYTES: Final = 8 * 1024
#: A body without length on a connection that stays open never ends.
BODY_TIMEOUT_S: Final = 2.0
_READ_BYTES: Final = 16 * 1024


class Body(msgspec.Struct, frozen=True):
    """The body of a refusal.

    :ivar text: its beginning, decoded as UTF-8 with replacements.
    :ivar whole: true if there is no more.
    """

    text: str
    whole: bool


async def read_body(sock: socket.socket, head: bytes, surplus: bytes) -> Body:
    """Read the body behind a head, up to `MAX_BODY_BYTES` and for `BODY_TIMEOUT_S`.

    :param head: without the empty line behind it.
    :param surplus: bytes that arrived behind that.
    """
    answer = h11.Connection(h11.CLIENT)
    answer.send(h11.Request(method="GET", target="/", headers=[("Host", "-")]))
    answer.send(h11.EndOfMessage())
    body = bytearray()
    whole = False
    with trio.move_on_after(BODY_TIMEOUT_S):
        try:
            answer.receive_data(head + b"\r\n\r\n" + surplus)
            receive = partial(sockets.receive_some, sock, _READ_BYTES)
            while len(body) <= MAX_BODY_BYTES:
                event = answer.next_event()
                if event is h11.NEED_DATA:
                    answer.receive_data(await receive())
                elif isinstance(event, h11.Data):
                    body += event.data
                elif isinstance(event, h11.EndOfMessage):
                    whole = True
                    break
        except (h11.RemoteProtocolError, OSError):
            pass  # What has arrived is shown, as not whole.
    whole = whole and len(body) <= MAX_BODY_BYTES
    return Body(bytes(body[:MAX_BODY_BYTES]).decode(errors="replace"), whole)
