"""Decide which clients may come in, and how many at once. Pure decisions."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, Self

from echo_trio.behaviours import paths
from echo_trio.behaviours.parameters import BadParameter
from echo_trio.behaviours.refusal import Refusal
from echo_trio.behaviours.scripts import Behaviour
from echo_trio.origins import Origin, parse_origin
from echo_trio.wire.handshake import HandshakeRefused, Reason
from echo_trio.wire.server_handshake import NotAnUpgrade, UpgradeRequest

#: When a client that was turned away should try again, in seconds.
RETRY_AFTER_S = 5


#: Descriptors that connections leave alone: the process's own, the console's, and those of
#: clients that are being answered that the server is full.
SPARE_DESCRIPTORS: Final = 64
#: At least this many of these clients have a descriptor at once; more, up to the maximum, where the
#: file limit leaves room.
MIN_REFUSALS: Final = 24
MAX_REFUSALS: Final = 1024


@dataclass(frozen=True, slots=True)
class PlaceCapacity:
    """The numbers of connections that may be there at once.

    :ivar connections: connections, including handshakes and closing connections.
    :ivar refusals: connections beside those, which are told that there is no room, and kept until
        they have read it; any beyond these are answered, and cut at once.
    """

    connections: int
    refusals: int

    @classmethod
    def of(cls, max_connections: int, file_limit: int, files_each: int = 1) -> Self:
        """Compute the capacity that fits into the file limit.

        :param max_connections: the number asked for; 0 means as many as the file limit allows.
        :param file_limit: the number of descriptors that the process may have.
        :param files_each: the descriptors that a connection takes: a proxy's has two.
        """
        allowed = max(1, (file_limit - SPARE_DESCRIPTORS) // files_each)
        connections = min(max_connections or allowed, allowed)
        refusals = min(MIN_REFUSALS + allowed - connections, MAX_REFUSALS)
        return cls(connections, refusals)


def last_descriptor(file_limit: int) -> int:
    """Return the first descriptor that no connection may have, given the others in use.

    Half of the spare descriptors stay free: health checks are to be answered even then.
    """
    return max(file_limit - SPARE_DESCRIPTORS // 2, file_limit // 2)


def admit(
    request: UpgradeRequest, origins: Collection[Origin | None] = (), workers: int = 1
) -> Behaviour:
    """Find the behaviour that the client asked for, if its page may connect.

    :param origins: as of `check_origin`.
    :raises HandshakeRefused: if it may not connect, with the status that says why.
    """
    check_origin(request, origins)
    found = _find(request.path, workers)
    if isinstance(found, Refusal):
        raise asked_for(found)
    return found


def check_origin(request: UpgradeRequest, origins: Collection[Origin | None]) -> None:
    """Check that the client's page may connect.

    :param origins: the origins whose pages may connect; empty means all. A client that sends no
        origin is no browser, and may connect in any case.
    :raises HandshakeRefused: 403 if it may not.
    """
    if origins:
        for name, value in request.headers:
            if name == "origin" and (
                (origin := parse_origin(value)) is None or origin not in origins
            ):
                raise HandshakeRefused(403, "Pages of this origin may not connect.", Reason.ORIGIN)


def asked_for(refusal: Refusal) -> HandshakeRefused:
    """Refuse a client with the status that its path asks for."""
    return HandshakeRefused(refusal.status, "As you asked.", Reason.ASKED_FOR, **refusal.headers)


def not_an_upgrade(exc: NotAnUpgrade, workers: int = 1) -> HandshakeRefused:
    """Refuse a request that is no WebSocket handshake: with 404 or 400 if its path is wrong."""
    try:
        _find(exc.path, workers)
    except HandshakeRefused as refused:
        return refused
    return exc


def _find(path: str, workers: int) -> Behaviour | Refusal:
    try:
        found = paths.find(path, workers)
    except BadParameter as exc:
        raise HandshakeRefused(400, str(exc), Reason.PARAMETER) from None
    except paths.OneProcessOnly as exc:
        raise HandshakeRefused(501, f"{exc}.", Reason.WORKERS) from None
    if found is None:
        raise HandshakeRefused(404, paths.listing(), Reason.PATH)
    return found


def no_proxy_header() -> HandshakeRefused:
    """Refuse a trusted proxy that has not said for which client it speaks."""
    why = "A connection from a trusted proxy begins with a header of the PROXY protocol."
    return HandshakeRefused(400, why, Reason.PROXY_HEADER)


def too_slow() -> HandshakeRefused:
    """Refuse a client whose handshake took longer than the open timeout."""
    return HandshakeRefused(408, "The handshake took too long.", Reason.TIMEOUT)


def draining() -> HandshakeRefused:
    """Refuse a client that comes while the server stops."""
    return _unavailable("The server is stopping.", Reason.DRAINING)


def full() -> HandshakeRefused:
    """Refuse a client for which there is no place."""
    return _unavailable("The server is full.", Reason.CAPACITY)


def displaced() -> HandshakeRefused:
    """Refuse a client that has sent nothing of its handshake, when its place is needed."""
    why = "The server is full, and this connection has said nothing."
    return _unavailable(why, Reason.DISPLACED)


def out_of_descriptors() -> HandshakeRefused:
    """Refuse a client for which the process has no descriptor left."""
    return _unavailable("The server has too many files open.", Reason.DESCRIPTORS)


def _unavailable(why: str, reason: Reason) -> HandshakeRefused:
    return HandshakeRefused(503, why, reason, Retry_After=str(RETRY_AFTER_S))
