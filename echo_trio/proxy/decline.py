"""Pass an upstream's refusal on to the client as it is: status, headers and body."""

from __future__ import annotations

import socket
from functools import partial
from typing import Final

import h11

from echo_trio.proxy import headers
from echo_trio.proxy.upstream import Declined, UpstreamFailed, send_all
from echo_trio.wire import handshake, sockets
from echo_trio.wire.handshake import HandshakeRefused, Reason

_READ_BYTES: Final = 64 * 1024


async def pass_on(declined: Declined, client: socket.socket) -> None:
    """Send the upstream's answer to the client, its body as it arrives.

    The answer ends with the connection, or where its Content-Length says, so a chunked body needs
    no chunks on the way to the client.

    :raises UpstreamFailed: if it is malformed; nothing has been sent then.
    :raises OSError: if either connection breaks.
    """
    answer = h11.Connection(h11.CLIENT)
    answer.send(h11.Request(method="GET", target="/", headers=[("Host", "-")]))
    answer.send(h11.EndOfMessage())
    answer.receive_data(declined.head + b"\r\n\r\n" + declined.surplus)
    receive = partial(sockets.receive_some, declined.sock, _READ_BYTES)
    try:
        event = answer.next_event()
        assert isinstance(event, h11.Response)
    except h11.RemoteProtocolError as exc:
        raise UpstreamFailed(
            HandshakeRefused(
                502, f"The upstream's answer is malformed: {exc}", Reason.UPSTREAM_ANSWER
            )
        ) from None
    await send_all(client, _head(declined, event))
    try:
        while not isinstance(event := answer.next_event(), h11.EndOfMessage):
            if event is h11.NEED_DATA:
                answer.receive_data(await receive())
            elif isinstance(event, h11.Data):
                await send_all(client, bytes(event.data))
            else:
                break
    except h11.RemoteProtocolError as exc:
        # The client sees a body that ends too early, as the upstream's does.
        raise ConnectionAbortedError(str(exc)) from None


def _head(declined: Declined, answer: h11.Response) -> bytes:
    received = handshake.parse_headers(declined.head.decode("latin-1").split("\r\n")[1:])
    passed = [*headers.end_to_end(received), ("connection", "close")]
    passed += [(name, value) for name, value in received if name == "content-length"]
    phrase = answer.reason.decode("latin-1")
    head = f"HTTP/1.1 {declined.status} {phrase}\r\n{headers.show(passed)}\r\n"
    return head.encode("latin-1")
