"""Do TLS for both ends: contexts, the handshake, and a socket that behaves like a plain one.

A `TlsSocket` is non-blocking and raises what a plain socket would, so the data path above it – the
poller's callback, `Connection` – is the same. OpenSSL is given the descriptor itself: it reads one
record at a time and nothing ahead, so data that it has not read yet still makes the descriptor
readable, which is what the level-triggered poller needs to know.
"""

from __future__ import annotations

import errno
import re
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import trio

from echo_trio import files

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

#: Four times the size of the certificates that a system trusts.
_MAX_PEM_BYTES: Final = 2**20
_PLACE: Final = re.compile(r"^\[[^]]*\] | \(_ssl\.c:[0-9]+\)$")
#: The most that is in one record (RFC 8446, section 5.1).
RECORD_BYTES: Final = 2**14
#: The bytes that OpenSSL is given in one call. A repeated call has to give it no fewer.
WRITE_BYTES: Final = 64 * 1024
_PROTOCOLS: Final = ["http/1.1"]  # RFC 7301; a WebSocket begins with no other


class TlsFailed(Exception):
    """The TLS handshake failed; the message is OpenSSL's reason."""


class CertificateRefused(TlsFailed):
    """The peer's certificate is not one to trust, or not its name's."""


class CertificateUnusable(OSError):
    """A certificate or key can't be read, or doesn't fit; `strerror` is one line for the user."""

    def __init__(self, message: str) -> None:
        super().__init__(errno.EINVAL, message)


class TlsSocket(ssl.SSLSocket):
    """A non-blocking TLS socket, after its handshake, that behaves like a plain one."""

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        """Return the bytes that have arrived, of one record; an empty result is the end.

        :param buflen: at least `RECORD_BYTES`: the rest of a longer record would stay in OpenSSL,
            where no poller sees it.
        :raises BlockingIOError: if nothing has arrived, or only something that is not for us, such
            as a session ticket.
        :raises OSError: if the peer does not speak TLS, or has us rekey and does not read that.
        """
        try:
            return super().recv(buflen, flags)
        except ssl.SSLWantReadError:
            raise BlockingIOError from None

    def send(self, data: ReadableBuffer, flags: int = 0) -> int:
        """Send as much as the kernel takes; return the number of bytes.

        The bytes that it did not take have to come again, at the beginning of the next `send`: some
        may be encrypted already. The first `WRITE_BYTES` of the rest are enough.

        :raises BlockingIOError: if it takes nothing.
        """
        sent = 0
        with memoryview(data) as view:
            try:
                while sent < len(view):
                    sent += super().send(view[sent : sent + WRITE_BYTES], flags)
            except ssl.SSLWantWriteError:
                if not sent:
                    raise BlockingIOError from None
        return sent

    def shutdown(self, how: int) -> None:
        """End our sending half, in TLS and in TCP. After that nothing that arrives is decrypted."""
        self._say_goodbye()
        super().shutdown(how)

    def close(self) -> None:
        """Tell the peer that this is the end and not an attack (close_notify), and close.

        A socket with SO_LINGER of zero seconds is about to be reset, without a close_notify.
        """
        with suppress(OSError):  # Some systems tell no options where TCP has ended already.
            if self.fileno() != -1 and not self.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER):
                self._say_goodbye()
        super().close()

    def tell_cuts(self) -> None:
        """Have `recv` raise `ssl.SSLEOFError` where TCP ends without TLS's goodbye.

        By default that reads as the end, as it does without TLS.
        """
        # An attribute of SSLSocket that `wrap_socket` sets from its parameter of this name.
        self.suppress_ragged_eofs = False

    def _say_goodbye(self) -> None:
        # The peer's goodbye is not waited for: a WebSocket has said its own.
        with suppress(OSError, ValueError):
            self.unwrap()


def server_context(certificate: Path, key: Path | None) -> ssl.SSLContext:
    """Make the TLS context of a server.

    TLS 1.2 is the lowest version; ALPN is "http/1.1"; renegotiation is off.

    :param certificate: a PEM file, with the chain behind the certificate.
    :param key: a PEM file, not encrypted; ``None`` if the key is in the certificate's file.
    :raises CertificateUnusable: if they can't be read, or don't belong together.
    """
    context = _make_context(ssl.PROTOCOL_TLS_SERVER)
    # Or a client could have us do its handshakes again and again (CVE-2011-1473).
    context.options |= ssl.OP_NO_RENEGOTIATION
    _load_pair(context, certificate, key)
    return context


def _load_pair(context: ssl.SSLContext, certificate: Path, key: Path | None) -> None:
    """Load our own certificate and key into a context.

    :raises CertificateUnusable: if the files can't be read, or don't belong together.
    """
    for path in filter(None, (certificate, key)):
        _check_readable(path)
    try:
        # An encrypted key would make OpenSSL ask at the terminal.
        context.load_cert_chain(certificate, key, password="")
    except ssl.SSLError as exc:
        if exc.reason == "KEY_VALUES_MISMATCH":
            raise CertificateUnusable(
                f"the key in {key or certificate} is not the one of {certificate}"
            ) from None
        if key is None and b"PRIVATE KEY" not in certificate.read_bytes():
            raise CertificateUnusable(
                f"can't use {certificate}: its key is not in it, name its file with --tls-key "
                "(of loadgen, --key)"
            ) from None
        files = f"{certificate} and {key}" if key else str(certificate)
        raise CertificateUnusable(
            f"can't use {files}: no PEM certificate with its unencrypted key ({_said(exc)})"
        ) from None


def client_context(
    ca_file: Path | None = None,
    *,
    verify: bool = True,
    certificate: Path | None = None,
    key: Path | None = None,
) -> ssl.SSLContext:
    """Make the TLS context of a client.

    :param ca_file: a PEM file of the authorities to trust; by default those that the system trusts.
    :param verify: false accepts any certificate of the server.
    :param certificate: a PEM file: our own certificate, with its chain, for a server that asks.
    :param key: a PEM file, not encrypted; ``None`` if the key is in the certificate's file.
    :raises CertificateUnusable: if a file can't be read, or the pair doesn't belong together.
    """
    context = _make_context(ssl.PROTOCOL_TLS_CLIENT)
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif ca_file is None:
        context.load_default_certs()
    else:
        _check_readable(ca_file)
        try:
            context.load_verify_locations(ca_file)
        except ssl.SSLError as exc:
            raise CertificateUnusable(
                f"{ca_file} has no certificates in PEM ({_said(exc)})"
            ) from None
    if certificate is not None:
        _load_pair(context, certificate, key)
    return context


async def shake_hands(
    sock: socket.socket,
    context: ssl.SSLContext,
    *,
    server_name: str | None = None,
    on_progress: Callable[[TlsSocket], None] | None = None,
) -> TlsSocket:
    """Do the TLS handshake on a connected, non-blocking TCP socket, as the end `context` is for.

    The socket that is passed can't be used afterwards: the one returned has its descriptor, and if
    this raises, or is cancelled, the descriptor is closed.

    :param server_name: for a client, the host that the certificate has to be for, name or address.
    :param on_progress: is called with the socket that will be returned: at once, and whenever the
        handshake has gone on.
    :raises TlsFailed: if the handshake fails.
    :raises OSError: if the connection breaks; `ConnectionResetError` also when it just ended.
    """
    try:
        # Of a socket that its peer has reset, `wrap_socket` would leave the descriptor open.
        sock.getpeername()
        tls = context.wrap_socket(
            sock,
            server_side=context.protocol == ssl.PROTOCOL_TLS_SERVER,
            server_hostname=server_name,
            do_handshake_on_connect=False,
        )
    except BaseException:
        sock.close()
        raise
    assert isinstance(tls, TlsSocket)
    try:
        while True:
            if on_progress is not None:
                on_progress(tls)
            if await _step(tls):
                break
    except BaseException:
        tls.close()
        raise
    return tls


async def _step(tls: TlsSocket) -> bool:
    """Go on with the handshake as far as possible, then wait; true once it is done."""
    try:
        tls.do_handshake()
    except ssl.SSLWantReadError:
        await trio.lowlevel.wait_readable(tls)
    except ssl.SSLWantWriteError:
        await trio.lowlevel.wait_writable(tls)
    except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
        reset = "the connection ended in the TLS handshake"
        raise ConnectionResetError(errno.ECONNRESET, reset) from None
    except ssl.SSLCertVerificationError as exc:
        told = exc.verify_message.rstrip(".")
        raise CertificateRefused(f"the certificate was not accepted: {told}") from None
    except ssl.SSLError as exc:
        raise TlsFailed(_said(exc)) from None
    else:
        return True
    return False


def _make_context(protocol: ssl._SSLMethod) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.sslsocket_class = TlsSocket
    context.set_alpn_protocols(_PROTOCOLS)
    return context


def _check_readable(path: Path) -> None:
    try:
        files.read(path, at_most=_MAX_PEM_BYTES)
    except OSError as exc:
        raise CertificateUnusable(f"can't read {path}: {exc.strerror}") from None


def _said(exc: ssl.SSLError) -> str:
    """Return OpenSSL's reason, without the place in Python's source."""
    return (exc.reason or _PLACE.sub("", str(exc))).lower().replace("_", " ")
