"""Hold what a proxy is made of: its upstream, and the faults of all its pairs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from echo_trio.behaviours import fault_prefix
from echo_trio.behaviours.fault_prefix import FaultPrefix, UnknownFault
from echo_trio.behaviours.parameters import BadParameter
from echo_trio.proxy.address import parse_upstream
from echo_trio.proxy.switch import FaultSwitch, unknown_fault
from echo_trio.proxy.upstream import Upstream
from echo_trio.wire import deflate, tls
from echo_trio.wire.handshake import HandshakeRefused, Reason


@dataclass(frozen=True, slots=True)
class Proxy:
    """The upstream, and the faults that stand before it at the moment."""

    upstream: Upstream
    switch: FaultSwitch

    @classmethod
    def of(
        cls, url: str, faults: str, cacert: Path | None, *, insecure: bool, compression: bool
    ) -> Self:
        """Make the proxy of an upstream.

        :param url: like ``wss://chat.example``.
        :param faults: those to begin with.
        :param cacert: a PEM file of the authorities to trust; by default the system's.
        :param insecure: accept any certificate.
        :param compression: offer permessage-deflate.
        :raises ValueError: if the URL or the faults can't be read.
        :raises OSError: if the file can't be used.
        """
        address = parse_upstream(url)
        context = tls.client_context(cacert, verify=not insecure) if address.tls else None
        extensions = (deflate.OFFER,) if compression else ()
        return cls(Upstream(address, context, extensions), FaultSwitch(faults))


def split_target(target: str) -> tuple[FaultPrefix, str]:
    """Split a request's target into the faults that it begins with, and the upstream's target.

    :raises HandshakeRefused: 404 if a part is no fault, 400 if a parameter is wrong.
    """
    path, question, query = target.partition("?")
    if not path.startswith("/~"):
        return FaultPrefix(), target
    try:
        prefix, rest = fault_prefix.split(path.split("/")[1:])
    except UnknownFault as exc:
        raise HandshakeRefused(404, unknown_fault(str(exc)), Reason.PATH) from None
    except BadParameter as exc:
        raise HandshakeRefused(400, str(exc), Reason.PARAMETER) from None
    if rest and rest[0] == fault_prefix.END:
        rest = rest[1:]
    return prefix, f"/{'/'.join(rest)}{question}{query}"
