"""Define the costs of a socket, a message and a process, from measurements. Pure numbers."""

from __future__ import annotations

import math
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
    100,000, are from docs/scale.md, whose `make scale` says what they should be. Among more sockets
    than two cores can serve, opening costs more: what they send meanwhile is counted with it.
    """

    socket_bytes: int
    message_us: float
    handshake_us: float

    def message_us_among(self, rate_per_s: float) -> float:
        """Return the CPU of a message in a process that has this many messages a second, in µs.

        `message_us` is that of one among many. Where they are few, each wakes its process, whose
        code and data the caches have lost meanwhile: up to 280 µs more. That is a fit to what
        docs/scale.md has between 435 and 10,000 messages a second for a process, within 15 µs, and
        to the generator's 306 µs at 100 a second (docs/benchmarks.md).
        """
        if not rate_per_s:
            return self.message_us
        return self.message_us + min(max(2_550 / math.sqrt(rate_per_s) - 18, 0.0), 280.0)


SERVER: Final = Costs(socket_bytes=2_850, message_us=10.9, handshake_us=80)
GENERATOR: Final = Costs(socket_bytes=1_400, message_us=23.6, handshake_us=80)
