"""Check that a server keeps the echo contract, before it is measured.

    benchmarks/.venv/bin/python benchmarks/contract_check.py URL LARGEST_BYTES [--no-server]

A server that does less than the others would be measured as a faster one. So each is asked for what
costs time: the message back, of both kinds and every size, then a space and a number; text
many messages in order; text that is checked to be UTF-8; a close that is answered. `--no-server`
leaves out the last three.

Empty messages are not among them: none are measured, and nbio never shows its application one.

Prints nothing and exits with 0 if all is kept; else with 1, and one line that says what is not.
"""

import argparse
import re
import sys

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

TIMEOUT_S = 30.0
SIZES_BYTES = (1, 16, 125, 126, 1024, 65_535, 65_536, 1024 * 1024)
SUFFIX = re.compile(rb" (0|[1-9][0-9]{0,5})")
PATTERN = "aß水🌊 0123456789abcdef"
NOT_UTF8 = b"a lone continuation byte: \x80"


class NotKept(Exception):
    """A part of the contract that a server does not keep; the message says which."""


def texts(largest_bytes: int) -> list[str]:
    """Texts of the sizes up to the largest, with characters of one to four bytes where they fit."""
    found = []
    for size_bytes in SIZES_BYTES:
        if size_bytes <= largest_bytes:
            repeated = (PATTERN * (size_bytes // len(PATTERN.encode()) + 1)).encode()[:size_bytes]
            text = repeated.decode(errors="ignore")
            found.append(text + "." * (size_bytes - len(text.encode())))
    return found


def check_echo(socket: ClientConnection, message: str | bytes) -> None:
    socket.send(message)
    reply = socket.recv(timeout=TIMEOUT_S)
    kind = "text" if isinstance(message, str) else "binary"
    size = f"{kind} of {len(message):,} {'characters' if kind == 'text' else 'bytes'}"
    if type(reply) is not type(message):
        raise NotKept(f"{size} is answered with the other kind")
    sent, got = (each.encode() if isinstance(each, str) else each for each in (message, reply))
    if not got.startswith(sent):
        raise NotKept(f"{size} is not what comes back")
    if not SUFFIX.fullmatch(got[len(sent) :]):
        raise NotKept(f"{size} comes back with {got[len(sent) :][:40]!r}, not with a number")


def check_order(socket: ClientConnection) -> None:
    some = [f"message {number}" for number in range(20)]
    for message in some:
        socket.send(message)
    for message in some:
        if not str(socket.recv(timeout=TIMEOUT_S)).startswith(f"{message} "):
            raise NotKept("messages sent without waiting are answered in another order")


def check_text_is_checked(socket: ClientConnection) -> None:
    socket.send(NOT_UTF8, text=True)
    try:
        # Not decoded: this end would find the fault, and end the connection for that.
        socket.recv(timeout=TIMEOUT_S, decode=False)
    except ConnectionClosed:
        return
    raise NotKept("text that is not UTF-8 is echoed")


def check(url: str, largest_bytes: int, is_server: bool) -> None:
    def connection() -> ClientConnection:
        return connect(
            url, compression=None, max_size=None, max_queue=None, close_timeout=TIMEOUT_S
        )

    with connection() as socket:
        for text in texts(largest_bytes):
            check_echo(socket, text)
            check_echo(socket, text.encode())
        if is_server:
            check_order(socket)
            socket.close()
            if socket.close_code != 1000:
                raise NotKept(f"a close with 1000 is answered with {socket.close_code}")
    if is_server:
        with connection() as socket:
            check_text_is_checked(socket)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("url")
    parser.add_argument("largest_bytes", type=int)
    parser.add_argument("--no-server", action="store_true")
    given = parser.parse_args()
    try:
        check(given.url, given.largest_bytes, not given.no_server)
    except NotKept as what:
        print(what, file=sys.stderr)
    except (ConnectionClosed, OSError, TimeoutError) as error:
        print(f"the connection ends: {error!r}", file=sys.stderr)
    else:
        return 0
    return 1


if __name__ == "__main__":
    sys.exit(main())
