"""Reach a target through a proxy: HTTP's CONNECT (RFC 9110, 9.3.6) and SOCKS 5 (RFC 1928, 1929).

Both speak on the TCP connection to the proxy, before TLS and the WebSocket's handshake do. The
client speaks first in either, so a proxy that has agreed sends nothing of its own behind its yes.
"""

from __future__ import annotations

import ipaddress
import socket
from base64 import b64encode
from typing import Final

import h11
import trio

from echo_trio.wire.client_handshake import HandshakeFailed
from echo_trio.wire.handshake import ConnectionCut
from loadgen.workload.proxy import Proxy

#: A longer answer to CONNECT is none; its body is not read.
MAX_ANSWER_BYTES: Final = 16 * 1024
_CHUNK_BYTES: Final = 4096

_VERSION: Final = 5
_NO_AUTHENTICATION, _PASSWORD = 0, 2
_CONNECT: Final = 1
_IPV4, _NAME, _IPV6 = 1, 3, 4
#: RFC 1928, section 6.
_REPLIES: Final = {
    1: "general failure",
    2: "not allowed by its rules",
    3: "network unreachable",
    4: "host unreachable",
    5: "connection refused",
    6: "TTL expired",
    7: "command not supported",
    8: "kind of address not supported",
}


class ProxyRefused(Exception):
    """The proxy did not connect; the message is its reason."""


async def connect_through(sock: socket.socket, proxy: Proxy, host: str, port: int) -> None:
    """Have the proxy at the other end of a connection connect to a target.

    The socket is left open, whatever happens.

    :raises ProxyRefused: if it says no.
    :raises HandshakeFailed: if what it says is neither yes nor no.
    :raises ConnectionCut: if it ends the connection.
    """
    if proxy.scheme == "http":
        await _connect_http(sock, proxy, host, port)
    else:
        await _connect_socks(sock, proxy, host, port)


async def _connect_http(sock: socket.socket, proxy: Proxy, host: str, port: int) -> None:
    authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    headers = [("Host", authority)]
    if proxy.credentials is not None:
        token = b64encode(":".join(proxy.credentials).encode()).decode()
        headers.append(("Proxy-Authorization", f"Basic {token}"))
    client = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_ANSWER_BYTES)
    request = client.send(h11.Request(method="CONNECT", target=authority, headers=headers))
    await _send_all(sock, (request or b"") + (client.send(h11.EndOfMessage()) or b""))
    try:
        while not isinstance(event := client.next_event(), h11.Response):
            if event is h11.NEED_DATA:
                client.receive_data(await _receive(sock, _CHUNK_BYTES))
    except h11.RemoteProtocolError:
        raise HandshakeFailed("what answers at the proxy's address is no HTTP proxy") from None
    if not 200 <= event.status_code < 300:
        raise ProxyRefused(f"HTTP {event.status_code}")
    if client.trailing_data[0]:
        raise HandshakeFailed("the proxy sent more than its answer to CONNECT")


async def _connect_socks(sock: socket.socket, proxy: Proxy, host: str, port: int) -> None:
    methods = [_NO_AUTHENTICATION, *([_PASSWORD] if proxy.credentials else [])]
    await _send_all(sock, bytes([_VERSION, len(methods), *methods]))
    version, method = await _receive_exactly(sock, 2)
    if version != _VERSION:
        raise HandshakeFailed("what answers at the proxy's address is no SOCKS 5 proxy")
    if method == _PASSWORD and proxy.credentials is not None:
        user, password = (each.encode() for each in proxy.credentials)
        await _send_all(sock, bytes([1, len(user)]) + user + bytes([len(password)]) + password)
        _, status = await _receive_exactly(sock, 2)
        if status:
            raise ProxyRefused("user or password is wrong")
    elif method != _NO_AUTHENTICATION:
        raise ProxyRefused("it wants a user and a password")
    await _send_all(
        sock, bytes([_VERSION, _CONNECT, 0]) + _encode_host(host) + port.to_bytes(2, "big")
    )
    version, reply, _, kind = await _receive_exactly(sock, 4)
    if version != _VERSION:
        raise HandshakeFailed("the SOCKS proxy's answer is malformed")
    if reply:
        raise ProxyRefused(_REPLIES.get(reply, f"SOCKS reply {reply}"))
    length = {_IPV4: 4, _IPV6: 16}.get(kind)
    if kind == _NAME:
        (length,) = await _receive_exactly(sock, 1)
    if length is None:
        raise HandshakeFailed("the SOCKS proxy's answer is malformed")
    await _receive_exactly(sock, length + 2)  # From where it connects: nobody's business.


def _encode_host(host: str) -> bytes:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        name = host.encode()
        return bytes([_NAME, len(name)]) + name
    return bytes([_IPV4 if address.version == 4 else _IPV6]) + address.packed


async def _send_all(sock: socket.socket, data: bytes) -> None:
    while data:
        try:
            data = data[sock.send(data) :]
        except BlockingIOError:
            await trio.lowlevel.wait_writable(sock)


async def _receive_exactly(sock: socket.socket, length: int) -> bytes:
    data = b""
    while len(data) < length:
        data += await _receive(sock, length - len(data))
    return data


async def _receive(sock: socket.socket, at_most: int) -> bytes:
    while True:
        await trio.lowlevel.wait_readable(sock)
        try:
            data = sock.recv(at_most)
        except BlockingIOError:
            continue
        if not data:
            raise ConnectionCut(0)
        return data
