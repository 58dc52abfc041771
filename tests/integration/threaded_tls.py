"""TLS for clients that read in one thread and write in another, as `websockets.sync` does."""

from __future__ import annotations

import ssl

import trustme


def client_context(authority: trustme.CA) -> ssl.SSLContext:
    """Make the context of such a client, which trusts this authority alone.

    OpenSSL has no locks for two threads. TLS 1.3's session tickets come right behind the handshake,
    and a request that is written while they are read may never be sent; TLS 1.2 has none by then.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    authority.configure_trust(context)
    return context
