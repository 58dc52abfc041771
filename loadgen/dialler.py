"""TCP to the target: from which local address, to which of its own."""

from __future__ import annotations

import errno
import socket
from typing import Final

from echo_trio.wire import sockets
from loadgen.sources import Sources

#: Then the target's next address may do.
_UNREACHABLE: Final = {errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH}
_VERSIONS: Final = {socket.AF_INET: 4, socket.AF_INET6: 6}


class Dialler:
    """Opens TCP connections to one target.

    :param addresses: the target's, in order of preference.
    :param sources: local addresses to connect from, in turn; none leaves that to the system.
    :raises ValueError: if there are sources, but none of an address's family.
    """

    def __init__(self, addresses: list[sockets.Address], sources: Sources) -> None:
        self._addresses = addresses
        self._sources = {}
        self._turn = 0
        if sources:
            own = {family: sources.of_version(version) for family, version in _VERSIONS.items()}
            self._sources = {family: some for family, some in own.items() if some}
            self._addresses = [each for each in addresses if each[0] in self._sources]
            if not self._addresses:
                raise ValueError("--source-ip: the target has no address of that family")

    async def dial(self) -> socket.socket:
        """Connect to the first address that lets us.

        :raises OSError: if none does, or this machine can't.
        """
        *others, last = self._addresses
        for address in others:
            try:
                return await self._dial(address)
            except OSError as exc:
                if exc.errno not in _UNREACHABLE:
                    raise
        return await self._dial(last)

    async def _dial(self, address: sockets.Address) -> socket.socket:
        sources = self._sources.get(address[0])
        if sources is None:
            return await sockets.connect(address)
        for tried in range(1, len(sources) + 1):
            source = sources[self._turn % len(sources)]
            self._turn += 1
            try:
                return await sockets.connect(address, source)
            except OSError as exc:
                # Its ports are used up; the next one's may not be.
                if exc.errno != errno.EADDRNOTAVAIL or tried == len(sources):
                    raise
        raise AssertionError("there is no Dialler without sources of a family")
