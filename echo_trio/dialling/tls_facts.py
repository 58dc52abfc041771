"""Tell the facts of a TLS connection: its version, its cipher and the server's certificates."""

from __future__ import annotations

import ssl
from typing import Final

import msgspec

from echo_trio.dialling.x509 import Certificate, read_certificate
from echo_trio.wire.tls import TlsSocket

#: A chain has three or four; a server could send hundreds.
MAX_CHAIN: Final = 8
#: OpenSSL by Python: `_ssl.ENCODING_DER`.
_DER: Final = 2


class TlsFacts(msgspec.Struct, frozen=True):
    """The facts of one TLS connection.

    :ivar version: like ``TLSv1.3``; None before the end of the handshake.
    :ivar cipher: its name as OpenSSL has it.
    :ivar bits: the secret bits of the cipher.
    :ivar alpn: the protocol that the server chose (RFC 7301); None if it chose none.
    :ivar chain: the certificates that the server sent, its own first.
    """

    version: str | None
    cipher: str | None
    bits: int | None
    alpn: str | None
    chain: list[Certificate]


def facts_of(sock: TlsSocket) -> TlsFacts:
    """Tell the facts of a connection whose handshake is done, without unreadable certificates."""
    cipher = sock.cipher()
    chain = []
    for der in _chain_of(sock)[:MAX_CHAIN]:
        try:
            chain.append(read_certificate(der))
        except ValueError:
            continue
    return TlsFacts(
        sock.version(),
        cipher[0] if cipher else None,
        cipher[2] if cipher else None,
        sock.selected_alpn_protocol(),
        chain,
    )


def _chain_of(sock: ssl.SSLSocket) -> list[bytes]:
    """Return the certificates as they came; only the server's own where Python hides the others."""
    get = getattr(sock, "get_unverified_chain", None)  # Python 3.13
    if get is not None:
        return list(get())
    # Before 3.13 the same is there, one level below.
    get = getattr(getattr(sock, "_sslobj", None), "get_unverified_chain", None)
    if get is not None and (chain := get()):
        return [certificate.public_bytes(_DER) for certificate in chain]
    own = sock.getpeercert(binary_form=True)
    return [] if own is None else [own]
