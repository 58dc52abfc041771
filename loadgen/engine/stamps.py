"""Learn when the kernel received what a socket reads, however late this process reads it.

Linux stamps every packet as it comes in (SO_TIMESTAMPNS, socket(7)); what a read returns has the
stamp of its last packet. So the time that a busy program takes to get there is not counted as the
server's. It costs 2 µs a read more than a plain one, which plans without a scenario don't pay.
"""

from __future__ import annotations

import socket
import struct
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from echo_trio.wire.connection import Connection

#: Python has no name for it; the number is that of most Linux architectures (asm-generic/socket.h).
SO_TIMESTAMPNS: Final = 35
#: False where sockets have no stamps, or the number above is another option's.
AVAILABLE: Final = sys.platform == "linux" and hasattr(socket, "CMSG_SPACE")
_TIMESPEC: Final = struct.Struct("@qq")
_read_stamp: Final = _TIMESPEC.unpack_from
#: Room for one stamp. Its own size is enough for Windows, which has no room to ask for.
_ANCILLARY_BYTES: Final[int] = getattr(socket, "CMSG_SPACE", int)(_TIMESPEC.size)


class StampedSocket(socket.socket):
    """A TCP socket that keeps the kernel's stamp of what it has read last.

    :ivar stamped_us: the time by the wall clock, in microseconds; 0 if there is no stamp.
    """

    __slots__ = ("stamped_us",)

    stamped_us: int

    @classmethod
    def of(cls, sock: socket.socket) -> Self:
        """Take a socket over, and have received data stamped if this system can."""
        family, kind, protocol = sock.family, sock.type, sock.proto
        stamped = cls(family, kind, protocol, fileno=sock.detach())
        stamped.setblocking(False)
        stamped.stamped_us = 0
        with suppress(OSError):  # Then it reads as any other, and has no stamps.
            stamped.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        return stamped

    if sys.platform != "win32":

        def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
            """Read as `socket.recv` does, and keep the stamp."""
            data, ancillary, _, _ = self.recvmsg(bufsize, _ANCILLARY_BYTES, flags)
            if ancillary:  # Nothing else was asked for, so it is the stamp.
                seconds, nanoseconds = _read_stamp(ancillary[0][2])
                self.stamped_us = seconds * 1_000_000 + nanoseconds // 1000
            return data


def stamped_socket(connection: Connection) -> StampedSocket | None:
    """Return the socket of a connection if it keeps stamps; over TLS it doesn't."""
    sock = connection._sock  # noqa: SLF001 - nothing else of the wire has to know of stamps
    return sock if isinstance(sock, StampedSocket) else None
