"""Connect to the target by TCP: choose the local address and the target's."""

from __future__ import annotations

import errno
import socket
import ssl
from collections import Counter
from functools import lru_cache
from pathlib import Path
from typing import Final, NamedTuple

from echo_trio.wire import sockets, tls
from loadgen.engine import stamps
from loadgen.workload.plan import Plan
from loadgen.workload.sources import Sources

#: Source addresses whose text is kept: writing one takes longer than all else of choosing it.
MAX_NAMES: Final = 1024
#: Then the target's next address may do.
_UNREACHABLE: Final = {errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH}
_VERSIONS: Final = {socket.AF_INET: 4, socket.AF_INET6: 6}


def make_tls_context(plan: Plan) -> ssl.SSLContext | None:
    """Make the TLS context of a plan; ``None`` if its target has no TLS.

    :raises CertificateUnusable: if one of the plan's certificate files can't be used.
    """
    if not plan.target.tls:
        return None
    ca_file = None if plan.cacert is None else Path(plan.cacert)
    return tls.client_context(
        ca_file,
        verify=not plan.insecure,
        certificate=None if plan.cert is None else Path(plan.cert),
        key=None if plan.key is None else Path(plan.key),
    )


def reachable_from(addresses: list[sockets.Address], sources: Sources) -> list[sockets.Address]:
    """Choose the target's addresses whose family a source has; all without sources."""
    if not sources:
        return addresses
    return [each for each in addresses if sources.of_version(_VERSIONS[each[0]])]


def _host_of(address: sockets.Address) -> str:
    return str(address[1][0])


class _Written:
    """Local addresses whose text is kept once it was written."""

    def __init__(self, sources: Sources) -> None:
        self._count = len(sources)
        self._write = lru_cache(MAX_NAMES)(lambda place: str(sources[place]))

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, place: int) -> str:
        return self._write(place)


class Pending(NamedTuple):
    """A connection that takes time to open."""

    address: sockets.Address
    sock: socket.socket


class Dialer:
    """A dialer of TCP connections to one target.

    :param addresses: the target's, in order of preference.
    :param sources: local addresses to connect from, in turn; none leaves that to the system.
    :param receive_buffer_bytes: of each socket; the system's choice by default.
    :param has_stamps: true for sockets that know when the kernel received what they read, where
        this system has them.
    """

    def __init__(
        self,
        addresses: list[sockets.Address],
        sources: Sources,
        *,
        receive_buffer_bytes: int | None = None,
        has_stamps: bool = False,
    ) -> None:
        self._receive_buffer_bytes = receive_buffer_bytes
        self._has_stamps = has_stamps and stamps.AVAILABLE
        self._addresses = reachable_from(addresses, sources)
        self._sources = {
            family: _Written(sources.of_version(version)) for family, version in _VERSIONS.items()
        }
        self._turn = 0
        self._address_turn = 0
        self._dead: set[sockets.Address] = set()
        self._alive = self._addresses

    async def dial(
        self, counts: Counter[str] | None = None, first: bytes | None = None
    ) -> socket.socket:
        """Connect to the address whose turn it is, or else to the next one that accepts.

        A target with several addresses has them to share its load, so sockets are dealt to them in
        turn. One that nobody listens at is left out from then on, as long as another is left. The
        race of RFC 8305 is not run: whichever address is nearest would win it with every socket.

        :param counts: counts the connection under its address, and has all of them as keys.
        :param first: bytes to send as soon as it is open.
        :raises OSError: if none accepts, or this machine can't connect.
        """
        counts = Counter() if counts is None else counts
        self._list_in(counts)
        address, sock = await self._dial_any(first)
        return self._count(address, sock, counts)

    def begin(self, counts: Counter[str], first: bytes) -> socket.socket | Pending | None:
        """Connect to the address whose turn it is, if that takes no waiting.

        :param counts: as of `dial`.
        :param first: bytes to send as soon as it is open.
        :returns: a socket if it is open; what `finish` takes, if that takes time; ``None`` if it
            failed, and `dial` will try what is left.
        :raises OSError: if it failed, and nothing is left to try.
        """
        self._list_in(counts)
        accepting = self._alive or self._addresses
        address = accepting[self._address_turn % len(accepting)]
        self._address_turn += 1
        sources = self._sources[address[0]]
        source = self._next_of(sources) if sources else None
        try:
            sock, is_open = sockets.begin_connecting(address, source, first)
        except OSError as exc:
            out_of_ports = exc.errno == errno.EADDRNOTAVAIL and len(sources) > 1
            if out_of_ports or self._tries_others(address, exc):
                return None
            raise
        return self._count(address, sock, counts) if is_open else Pending(address, sock)

    async def finish(self, pending: Pending, counts: Counter[str], first: bytes) -> socket.socket:
        """Wait for a connection that `begin` has begun; if that fails, connect as `dial` does."""
        try:
            await sockets.finish_connecting(pending.sock, first)
        except OSError as exc:
            if self._tries_others(pending.address, exc):
                return await self.dial(counts, first)
            raise
        return self._count(pending.address, pending.sock, counts)

    def _list_in(self, counts: Counter[str]) -> None:
        if not counts:
            counts.update(dict.fromkeys(map(_host_of, self._addresses), 0))

    async def _dial_any(self, first: bytes | None) -> tuple[sockets.Address, socket.socket]:
        accepting = self._alive or self._addresses
        turn = self._address_turn % len(accepting)
        self._address_turn += 1
        *others, last = accepting[turn:] + accepting[:turn]
        for address in others:
            try:
                return address, await self._dial(address, first)
            except OSError as exc:
                if exc.errno not in _UNREACHABLE:
                    raise
                self._leave_out(address)
        return last, await self._dial(last, first)

    def _next_of(self, sources: _Written) -> str:
        source = sources[self._turn % len(sources)]
        self._turn += 1
        return source

    def _leave_out(self, address: sockets.Address) -> None:
        self._dead.add(address)
        self._alive = [each for each in self._addresses if each not in self._dead]

    def _tries_others(self, address: sockets.Address, exc: OSError) -> bool:
        """Tell whether another address may do, and leave this one out in that case."""
        others = {*(self._alive or self._addresses)} - {address}
        if exc.errno in _UNREACHABLE and others:
            self._leave_out(address)
            return True
        return False

    def _count(
        self, address: sockets.Address, sock: socket.socket, counts: Counter[str]
    ) -> socket.socket:
        """Count a connection under its address, and make its socket what it is to be."""
        counts[_host_of(address)] += 1
        if self._receive_buffer_bytes is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._receive_buffer_bytes)
        return stamps.StampedSocket.of(sock) if self._has_stamps else sock

    async def _dial(self, address: sockets.Address, first: bytes | None) -> socket.socket:
        sources = self._sources[address[0]]
        if not sources:
            return await sockets.connect(address, first=first)
        for tried in range(1, len(sources) + 1):
            try:
                return await sockets.connect(address, self._next_of(sources), first)
            except OSError as exc:
                # Its ports are used up; the next one's may not be.
                if exc.errno != errno.EADDRNOTAVAIL or tried == len(sources):
                    raise
        raise AssertionError("the last of the sources has raised")
