"""Hold all connections that one console has dialled, how many and where to."""

from __future__ import annotations

import secrets
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import trio

from echo_trio.dialling.dial import Dial, DialRoom, Turn
from echo_trio.dialling.order import (
    Allowed,
    BadOrder,
    DialOrder,
    check_target,
    make_request,
    read_target,
)
from echo_trio.wire import client_handshake, deflate, tls
from echo_trio.wire.budget import Budget
from echo_trio.wire.limits import Limits

#: Each takes two descriptors, the page's stream and the connection itself. A browser opens six
#: connections to one host, so this is several people's.
MAX_DIALS: Final = 16


class CannotDial(Exception):
    """The reason why nothing is dialled now; it is answered with 503."""


class ClientContexts:
    """The TLS contexts of dials: made when first asked for, from files named by the operator.

    :param certificates: PEM files of client certificates with their keys, by the names that the
        page knows.
    :param ca_file: a PEM file of the authorities to trust; by default the system's.
    """

    def __init__(self, certificates: dict[str, Path], ca_file: Path | None) -> None:
        self.names = list(certificates)
        self._files = certificates
        self._ca_file = ca_file
        self._made: dict[tuple[str | None, bool], ssl.SSLContext] = {}

    def check(self) -> None:
        """Read every file once.

        :raises CertificateUnusable: if one can't be used.
        """
        # The system's authorities, which take 30 ms to load, are no file of the operator's.
        for name in self._files or ([] if self._ca_file is None else [None]):
            self._make(name, True)

    async def get(self, certificate: str | None, *, verify: bool) -> ssl.SSLContext:
        """Return the context with one of the certificates, or with none.

        :raises CertificateUnusable: if its file can't be used any more.
        """
        key = certificate, verify
        if key not in self._made:
            # To load a system's authorities takes some 20 ms.
            self._made[key] = await trio.to_thread.run_sync(self._make, *key)
        return self._made[key]

    def _make(self, certificate: str | None, verify: bool) -> ssl.SSLContext:
        path = None if certificate is None else self._files[certificate]
        return tls.client_context(self._ca_file, verify=verify, certificate=path)


def named_certificates(paths: tuple[Path, ...]) -> dict[str, Path]:
    """Name client certificates by their files, without folder and suffix."""
    return {path.stem: path for path in paths}


class Dialling:
    """The dials of one console.

    :param allowed: the hosts and ports that may be dialled.
    :param take_turn: waits until the loop has time for one more piece of work.
    :param encode: makes one event of a stream.
    """

    def __init__(
        self,
        allowed: Allowed,
        contexts: ClientContexts,
        *,
        limits: Limits,
        open_timeout_s: float,
        budget: Budget,
        take_turn: Callable[[], Awaitable[Turn]],
        encode: Callable[[str, bytes], bytes],
    ) -> None:
        self._contexts = contexts
        self._room = DialRoom(
            allowed=allowed,
            contexts=contexts,
            limits=limits,
            open_timeout_s=open_timeout_s,
            budget=budget,
            take_turn=take_turn,
            encode=encode,
        )
        self._dials: dict[str, Dial] = {}
        self._is_stopping = False

    def describe(self) -> dict[str, Any]:
        """Describe where dials may go, and which certificates they may have."""
        return {
            "targets": [
                f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
                for host, port in sorted(self._room.allowed)
            ],
            "certificates": self._contexts.names,
            "open": len(self._dials),
            "max_open": MAX_DIALS,
        }

    def open(self, order: DialOrder) -> Dial:
        """Make a dial, to be run; the caller calls `forget` at its end.

        :raises BadOrder: if it is not allowed, or can't be sent.
        :raises CannotDial: if there are too many, or the server stops.
        """
        target = read_target(order)
        check_target(target, self._room.allowed)
        if order.certificate is not None and order.certificate not in self._contexts.names:
            raise BadOrder(
                "certificate: there is none of that name: start the server with --dial-cert FILE",
                field="certificate",
            )
        make_request(order, target, client_handshake.make_key(), [deflate.OFFER])
        if self._is_stopping:
            raise CannotDial("the server is stopping")
        if len(self._dials) >= MAX_DIALS:
            raise CannotDial(f"{MAX_DIALS} connections are dialled already: end one of them")
        dial = Dial(secrets.token_urlsafe(16), order, target, self._room)
        self._dials[dial.id] = dial
        return dial

    def get(self, dial_id: str) -> Dial | None:
        """Return the dial with this id, while it goes on."""
        return self._dials.get(dial_id)

    def forget(self, dial: Dial) -> None:
        """Leave its place to another. Idempotent."""
        self._dials.pop(dial.id, None)

    def stop(self) -> None:
        """Close all connections, since the server stops."""
        self._is_stopping = True
        for dial in list(self._dials.values()):
            dial.stop()
