"""Ask Linux for the TCP connections to one port (sock_diag(7)), and for nothing else.

Its table in /proc has all connections of the machine: a minute after 20,000 were closed, each start
took 100 ms to read of those; this takes 6. Where it can't be had, there is /proc.
"""

from __future__ import annotations

import socket
import struct
import sys
from collections.abc import Iterator
from functools import lru_cache
from ipaddress import ip_address
from typing import Final

TIME_WAIT: Final = 6
LISTEN: Final = 10

#: A local address and port, a remote one, and the state.
Found = tuple[tuple[str, int], tuple[str, int], int]

#: TCP_ESTABLISHED, 1, to TCP_NEW_SYN_RECV, 12 (Linux, include/net/tcp_states.h).
_ALL_STATES: Final = 2**13 - 1
_NETLINK_SOCK_DIAG: Final = 4
_SOCK_DIAG_BY_FAMILY: Final = 20
_REQUEST_DUMP: Final = 0x301
_ERROR: Final = 2
_DONE: Final = 3
#: `struct nlmsghdr`: length with itself, type, flags, sequence, port.
_HEADER: Final = struct.Struct("=IHHII")
#: `struct inet_diag_req_v2`: family, protocol, extensions, states; then local and remote port,
#: addresses, interface and cookie of what is wanted.
_REQUEST: Final = struct.Struct("=BBBxI2s2s32xI2I")
#: The beginning of `struct inet_diag_msg`: family, state, and then as above.
_ANSWER: Final = struct.Struct("=BBxx2s2s16s16s")
_NO_COOKIE: Final = 0xFFFF_FFFF
#: More than the kernel writes at once.
_READ_BYTES: Final = 2**16


def find(port: int, *, with_time_wait: bool) -> Iterator[Found]:
    """Find the connections of this network to a port, and all listeners.

    :param with_time_wait: also those that are over and in TIME_WAIT.
    :raises OSError: if the kernel does not tell, perhaps after some.
    """
    if sys.platform != "linux":
        raise OSError("only Linux has this")
    else:  # or for a type checker the rest is out of reach elsewhere
        connections = _ALL_STATES & ~(1 << LISTEN)
        if not with_time_wait:
            connections &= ~(1 << TIME_WAIT)
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG) as sock:
            for family in (socket.AF_INET, socket.AF_INET6):
                yield from _ask(sock, family, 1 << LISTEN, 0)
                yield from _ask(sock, family, connections, port)


def _ask(sock: socket.socket, family: int, states: int, port: int) -> Iterator[Found]:
    request = _REQUEST.pack(
        family, socket.IPPROTO_TCP, 0, states, bytes(2), port.to_bytes(2), 0, _NO_COOKIE, _NO_COOKIE
    )
    header = _HEADER.pack(_HEADER.size + _REQUEST.size, _SOCK_DIAG_BY_FAMILY, _REQUEST_DUMP, 1, 0)
    sock.sendto(header + request, (0, 0))
    while True:
        received = sock.recv(_READ_BYTES)
        at = 0
        while at < len(received):
            length, kind, *_ = _HEADER.unpack_from(received, at)
            if kind == _DONE:
                return
            if kind == _ERROR:
                (errno,) = struct.unpack_from("=i", received, at + _HEADER.size)
                raise OSError(-errno, "sock_diag")
            _, state, local, remote, source, target = _ANSWER.unpack_from(
                received, at + _HEADER.size
            )
            size = 4 if family == socket.AF_INET else 16
            yield (
                (_text_of(source[:size]), int.from_bytes(local)),
                (_text_of(target[:size]), int.from_bytes(remote)),
                state,
            )
            at += length + 3 & ~3  # each begins at a multiple of four


@lru_cache(maxsize=1024)
def _text_of(packed: bytes) -> str:
    return str(ip_address(packed))
