"""Define the costs of a socket, a message and a process, from measurements. Pure numbers."""

from __future__ import annotations

from typing import Final

import msgspec

#: Memory of a socket, ours and the kernel's share (docs/benchmarks.md: 4.4 KB of
#: the process with nothing under way, more with a message in flight; kernel buffers beside that).
SOCKET_BYTES: Final = 10 * 1024
#: Memory of a socket with TLS: 38 KB of the process, mostly OpenSSL's (600 sockets, OpenSSL 3).
TLS_SOCKET_BYTES: Final = 48 * 1024


#: One end of a TCP connection in the kernel: sock, dentry, inode, epoll item (docs/scale.md: 10 KB
#: for both ends).
KERNEL_BYTES: Final = 5_100
#: A process of either side without a socket, what it shares with the others in part (docs/scale.md:
#: 10 MiB of a server with 6, 13 of a generator).
PROCESS_BYTES: Final = 14 * 2**20


class Costs(msgspec.Struct, frozen=True, kw_only=True):
    """The costs of one end.

    CPU of a message is from docs/benchmarks.md; memory under load, and CPU to open a socket among
    100,000, are from docs/scale.md, whose `make scale` says what they should be.
    """

    socket_bytes: int
    message_us: float
    handshake_us: float


SERVER: Final = Costs(socket_bytes=3_750, message_us=10.9, handshake_us=101)
GENERATOR: Final = Costs(socket_bytes=3_550, message_us=23.6, handshake_us=154)
