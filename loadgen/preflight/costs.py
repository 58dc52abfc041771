"""Define the costs of a socket, a message and a process, from measurements. Pure numbers."""

from __future__ import annotations

from typing import Final

import msgspec

#: Memory of a socket, ours and the kernel's share (docs/benchmarks.md: 4.4 KB of
#: the process with nothing under way, more with a message in flight; kernel buffers beside that).
SOCKET_BYTES: Final = 10 * 1024
#: Memory of a socket with TLS: 38 KB of the process, mostly OpenSSL's (600 sockets, OpenSSL 3).
TLS_SOCKET_BYTES: Final = 48 * 1024


#: One end of a TCP connection in the kernel: sock, dentry, inode, epoll item (docs/scale.md: 9 to
#: 11 KB for both ends).
KERNEL_BYTES: Final = 5_300
#: A process of either side without a socket: Python, Trio, this program (docs/scale.md).
PROCESS_BYTES: Final = 45 * 2**20


class Costs(msgspec.Struct, frozen=True, kw_only=True):
    """The costs of one end: CPU from docs/benchmarks.md, memory under load from docs/scale.md."""

    socket_bytes: int
    message_us: float
    handshake_us: float


SERVER: Final = Costs(socket_bytes=3_900, message_us=10.9, handshake_us=77)
GENERATOR: Final = Costs(socket_bytes=4_900, message_us=23.6, handshake_us=100)
