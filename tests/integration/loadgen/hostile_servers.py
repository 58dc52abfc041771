"""Servers that do their worst to a load generator: `python hostile_servers.py NAME`.

A process of its own, with a thread for each connection and the standard library alone, so that what
it costs is not the generator's cost. It prints its port, and ends when its stdin does.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import os
import socket
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress

TEXT, BINARY, CLOSE, PING, PONG, CONTINUATION = 1, 2, 8, 9, 10, 0
#: Permessage-deflate's bit, in a byte with FIN.
RSV1 = 0x40
ESCAPES = "\x1b[2J\x1b]0;owned\x07\r\nVALID\u202e"

Attack = Callable[[socket.socket], None]
ATTACKS: dict[str, Attack] = {}
#: Those that come instead of the handshake's answer.
BEFORE: set[str] = set()
#: Those that want compressed messages agreed on.
COMPRESSED: set[str] = set()


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0) -> bytes:
    first = bytes([(0x80 if fin else 0) | rsv | opcode])
    size = len(payload)
    if size < 126:
        return first + bytes([size]) + payload
    if size < 2**16:
        return first + b"\x7e" + size.to_bytes(2) + payload
    return first + b"\x7f" + size.to_bytes(8) + payload


def attack(name: str, *, before: bool = False, compressed: bool = False) -> Callable[..., Attack]:
    def register(function: Attack) -> Attack:
        ATTACKS[name] = function
        if before:
            BEFORE.add(name)
        if compressed:
            COMPRESSED.add(name)
        return function

    return register


def send_for_ever(sock: socket.socket, data: bytes) -> None:
    while True:
        sock.sendall(data)


def receive_frame(sock: socket.socket) -> tuple[int, bytes]:
    """One frame of a client's, as short as they all are here."""
    first, second = receive(sock, 2)
    size = second & 0x7F
    if size == 126:
        size = int.from_bytes(receive(sock, 2))
    mask, payload = receive(sock, 4), receive(sock, size)
    return first & 15, bytes(a ^ b for a, b in zip(payload, itertools.cycle(mask), strict=False))


def receive(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        chunk = sock.recv(size - len(data))
        if not chunk:
            raise ConnectionError
        data += chunk
    return data


# -- Instead of a handshake -----------------------------------------------------------------


@attack("endless head", before=True)
def _(sock: socket.socket) -> None:
    sock.sendall(b"HTTP/1.1 101 Switching Protocols\r\nX: ")
    send_for_ever(sock, b"a" * 65536)


@attack("endless headers", before=True)
def _(sock: socket.socket) -> None:
    sock.sendall(b"HTTP/1.1 101 Switching Protocols\r\n")
    send_for_ever(sock, b"A: b\r\n" * 10_000)


@attack("a byte of head at a time", before=True)
def _(sock: socket.socket) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for byte in itertools.chain(b"HTTP/1.1 101 Switching Protocols\r\nX: ", itertools.repeat(97)):
        sock.sendall(bytes([byte]))
        time.sleep(0.001)


@attack("endless interim answers", before=True)
def _(sock: socket.socket) -> None:
    send_for_ever(sock, b"HTTP/1.1 100 Continue\r\n\r\n" * 1000)


@attack("a refusal with an endless body", before=True)
def _(sock: socket.socket) -> None:
    sock.sendall(b"HTTP/1.1 503 " + ESCAPES.encode().replace(b"\r\n", b"") + b"\r\n\r\n")
    send_for_ever(sock, b"a" * 65536)


# -- Frames ---------------------------------------------------------------------------------


@attack("an endless frame")
def _(sock: socket.socket) -> None:
    sock.sendall(b"\x82\x7f" + (2**62).to_bytes(8))
    send_for_ever(sock, b"a" * 65536)


@attack("one text of a GiB")
def _(sock: socket.socket) -> None:
    sock.sendall(b"\x81\x7f" + (2**30).to_bytes(8))
    for _ in range(2**14):
        sock.sendall(b"a" * 65536)
    send_for_ever(sock, frame(TEXT, b"a"))


@attack("texts of 16 MiB, none of them whole")
def _(sock: socket.socket) -> None:
    sock.sendall(b"\x81\x7f" + (2**24).to_bytes(8) + b"a" * (2**24 - 1))
    time.sleep(3600)


@attack("texts of 4 MiB")
def _(sock: socket.socket) -> None:
    send_for_ever(sock, frame(TEXT, b"a" * 2**22))


@attack("endless fragments")
def _(sock: socket.socket) -> None:
    sock.sendall(frame(TEXT, b"a", fin=False))
    send_for_ever(sock, frame(CONTINUATION, b"a" * 65535, fin=False))


@attack("endless fragments of a byte")
def _(sock: socket.socket) -> None:
    sock.sendall(frame(TEXT, b"a", fin=False))
    send_for_ever(sock, frame(CONTINUATION, b"a", fin=False) * 10_000)


@attack("endless empty fragments")
def _(sock: socket.socket) -> None:
    sock.sendall(frame(TEXT, fin=False))
    send_for_ever(sock, frame(CONTINUATION, fin=False) * 10_000)


@attack("messages in two fragments")
def _(sock: socket.socket) -> None:
    message = frame(TEXT, b"12345678", fin=False) + frame(CONTINUATION, b"12345678")
    send_for_ever(sock, message * 5_000)


@attack("messages of a byte")
def _(sock: socket.socket) -> None:
    send_for_ever(sock, frame(TEXT, b"a") * 20_000)


@attack("empty messages")
def _(sock: socket.socket) -> None:
    send_for_ever(sock, frame(BINARY) * 30_000)


@attack("right answers for ever")
def _(sock: socket.socket) -> None:
    opcode, message = receive_frame(sock)
    send_for_ever(sock, frame(opcode, message + b" 1") * 1000)


@attack("pings from who reads nothing")
def _(sock: socket.socket) -> None:
    send_for_ever(sock, frame(PING, b"p" * 125) * 1000)


@attack("pongs for nothing")
def _(sock: socket.socket) -> None:
    send_for_ever(sock, frame(PONG, b"p" * 125) * 1000)


@attack("pings within a message")
def _(sock: socket.socket) -> None:
    sock.sendall(frame(TEXT, b"a", fin=False))
    send_for_ever(sock, frame(PING) * 10_000)


# -- Compressed -----------------------------------------------------------------------------


def make_bomb(size: int) -> bytes:
    """A text of one letter, which deflate makes a thousandth of."""
    compressor = zlib.compressobj(9, wbits=-15)
    data = b"".join(compressor.compress(b"a" * 2**20) for _ in range(size // 2**20))
    return frame(TEXT, (data + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4], rsv=RSV1)


#: Made before the first client comes: the largest takes a second.
BOMBS = {size: make_bomb(size) for size in (2**23, 2**28)} if "bombs" in "".join(sys.argv) else {}


@attack("bombs of 256 MiB", compressed=True)
def _(sock: socket.socket) -> None:
    send_for_ever(sock, BOMBS[2**28])


@attack("bombs of 8 MiB", compressed=True)
def _(sock: socket.socket) -> None:
    send_for_ever(sock, BOMBS[2**23])


@attack("a bomb in endless fragments", compressed=True)
def _(sock: socket.socket) -> None:
    compressor = zlib.compressobj(9, wbits=-15)
    piece = compressor.compress(b"a" * 2**24) + compressor.flush(zlib.Z_SYNC_FLUSH)
    sock.sendall(frame(TEXT, piece, fin=False, rsv=RSV1))
    while True:
        piece = compressor.compress(b"a" * 2**24) + compressor.flush(zlib.Z_SYNC_FLUSH)
        sock.sendall(frame(CONTINUATION, piece, fin=False))


# -- Endings --------------------------------------------------------------------------------


@attack("a close reason with escape sequences")
def _(sock: socket.socket) -> None:
    sock.sendall(frame(CLOSE, (4000).to_bytes(2) + ESCAPES.encode()))
    while sock.recv(65536):
        pass


@attack("messages after the close frame")
def _(sock: socket.socket) -> None:
    sock.sendall(frame(CLOSE, (1000).to_bytes(2)))
    send_for_ever(sock, frame(TEXT, b"a") * 20_000)


@attack("messages instead of an answer to the close frame")
def _(sock: socket.socket) -> None:
    while True:
        opcode, message = receive_frame(sock)
        if opcode == CLOSE:
            break
        sock.sendall(frame(opcode, message + b" 1"))
    send_for_ever(sock, frame(TEXT, b"a" * 125) * 1000)


@attack("noise")
def _(sock: socket.socket) -> None:
    send_for_ever(sock, os.urandom(65536))


@attack("an honest echo")
def _(sock: socket.socket) -> None:
    while True:
        opcode, message = receive_frame(sock)
        sock.sendall(frame(opcode, message if opcode == CLOSE else message + b" 1"))
        if opcode == CLOSE:
            return


# -- Serving --------------------------------------------------------------------------------


def serve(sock: socket.socket, name: str) -> None:
    with sock, suppress(OSError):
        head = b""
        while b"\r\n\r\n" not in head:
            head += sock.recv(65536)
        if name not in BEFORE:
            (key,) = (
                line.partition(b":")[2].strip()
                for line in head.split(b"\r\n")
                if line.lower().startswith(b"sec-websocket-key:")
            )
            sock.sendall(b"\r\n".join(answer(key, compressed=name in COMPRESSED)))
        ATTACKS[name](sock)


def answer(key: bytes, *, compressed: bool) -> Iterator[bytes]:
    digest = hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
    yield b"HTTP/1.1 101 Switching Protocols"
    yield b"Upgrade: websocket"
    yield b"Connection: Upgrade"
    yield b"Sec-WebSocket-Accept: " + base64.b64encode(digest)
    if compressed:
        yield b"Sec-WebSocket-Extensions: permessage-deflate"
    yield b""
    yield b""


def main(name: str) -> None:
    listener = socket.create_server(("127.0.0.1", 0), backlog=100)

    def accept() -> None:
        while True:
            sock, _ = listener.accept()
            threading.Thread(target=serve, args=(sock, name), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    print(listener.getsockname()[1], flush=True)
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1])
