"""The floor: Python shakes hands, and from then on `kernel_floor.c` does nothing but echo.

    kernel_floor.py LIBRARY

What it costs is what the kernel asks of any server on one epoll; what another one costs more is
its own.
"""

import base64
import ctypes
import hashlib
import select
import socket
import sys

from echo_contract import BACKLOG, HOST, announce

ACCEPT_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3


def shake_hands(connection: socket.socket) -> None:
    head = b""
    while b"\r\n\r\n" not in head:
        head += connection.recv(4096)
    key = next(
        value.strip()
        for name, _, value in (line.partition(b":") for line in head.split(b"\r\n"))
        if name.lower() == b"sec-websocket-key"
    )
    accept = base64.b64encode(hashlib.sha1(key + ACCEPT_GUID).digest())
    connection.sendall(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
    )


def main() -> None:
    library = ctypes.CDLL(sys.argv[1])
    listener = socket.create_server((HOST, 0), backlog=BACKLOG)
    listener.setblocking(False)
    announce(listener.getsockname()[1])
    with select.epoll() as epoll:
        epoll.register(listener, select.EPOLLIN)
        while True:
            library.echo(epoll.fileno(), listener.fileno())
            while True:
                try:
                    connection, _ = listener.accept()
                except BlockingIOError:
                    break
                connection.setblocking(True)
                shake_hands(connection)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connection.setblocking(False)
                epoll.register(connection, select.EPOLLIN)
                connection.detach()  # C closes it


main()
