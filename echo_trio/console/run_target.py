"""Say which targets a console's runs may go to: this server, and what --run-target allows. Pure.

The generator itself holds its target against these, when it has read the URL that it is going to
dial: two readers of one URL might find two hosts in it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from echo_trio.wire.addresses import ANY_ADDRESS, LOOPBACK_NAMES, parse_target


@dataclass(frozen=True, slots=True)
class Targets:
    """The targets that a run may have: host and port, any path. By name: nothing is looked up.

    :ivar own_url: this server's; a run that names no target goes there.
    :ivar allowed: pairs of a host, in lower case, and a port.
    """

    own_url: str
    allowed: frozenset[tuple[str, int]]

    @classmethod
    def of(cls, own_url: str, listens_on: str, also: Iterable[str] = ()) -> Targets:
        """Allow this server, under each of its names, and what `--run-target` names.

        :param listens_on: the host that the server was told to listen on.
        :param also: the values of `--run-target`.
        :raises ValueError: if one of them is no target.
        """
        host, port = parse_target(own_url)
        hosts = {host, listens_on.lower()}
        if hosts & (LOOPBACK_NAMES | ANY_ADDRESS):
            hosts |= LOOPBACK_NAMES
        targets = {(name, port) for name in hosts - ANY_ADDRESS}
        return cls(
            _reachable(own_url, host, port), frozenset(targets | set(map(parse_target, also)))
        )


def _reachable(url: str, host: str, port: int) -> str:
    """Replace the address that means "all addresses" by loopback: clients can't connect to it."""
    if host not in ANY_ADDRESS:
        return url
    return f"{urlsplit(url).scheme}://{'127.0.0.1' if host == '0.0.0.0' else '[::1]'}:{port}/"
