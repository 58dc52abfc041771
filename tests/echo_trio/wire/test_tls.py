"""Certificates, and the TLS handshake of both ends against Python's own."""

from __future__ import annotations

import errno
import os
import socket
import ssl
import struct
import threading
from contextlib import suppress

import pytest
import trio
import trustme

from echo_trio.wire import tls
from echo_trio.wire.handshake import MAX_HEAD_BYTES
from echo_trio.wire.limits import BULK_RECEIVE_BYTES, RECEIVE_BYTES

PATIENCE_S = 60


@pytest.fixture(scope="module")
def pem(tmp_path_factory):
    """Files in PEM, by name."""
    folder = tmp_path_factory.mktemp("pem")
    authority, stranger = trustme.CA(), trustme.CA()
    certificate = authority.issue_cert("localhost", "127.0.0.1")
    pems = {
        "ca": authority.cert_pem,
        "stranger": stranger.cert_pem,
        "certificate": certificate.cert_chain_pems[0],
        "key": certificate.private_key_pem,
        "both": certificate.private_key_and_cert_chain_pem,
        "other_key": authority.issue_cert("localhost").private_key_pem,
    }
    for name, blob in pems.items():
        blob.write_to_path(folder / name)
    (folder / "garbage").write_text("not a certificate")
    (folder / "encrypted").write_text(
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"
    )
    return folder


def test_a_certificate_and_its_key_serve_from_two_files_or_from_one(pem):
    for context in (
        tls.server_context(pem / "certificate", pem / "key"),
        tls.server_context(pem / "both", None),
    ):
        assert context.minimum_version is ssl.TLSVersion.TLSv1_2
        # A client could have us do its handshakes again and again.
        assert context.options & ssl.OP_NO_RENEGOTIATION


@pytest.mark.parametrize(
    ("certificate", "key", "says"),
    [
        ("missing", "key", r"can't read .*/missing: No such file or directory"),
        ("certificate", "missing", r"can't read .*/missing: No such file or directory"),
        ("certificate", ".", r"can't read .*: it is a directory"),
        ("certificate", "other_key", r"the key in .*/other_key is not the one of .*/certificate"),
        ("garbage", "key", r"can't use .*/garbage and .*/key: no PEM certificate"),
        ("certificate", "encrypted", r"can't use .*/encrypted: no PEM certificate"),
        ("certificate", None, r"can't use .*/certificate: its key is not in it"),
    ],
)
def test_what_is_wrong_with_a_certificate_is_one_line(pem, certificate, key, says):
    with pytest.raises(tls.CertificateUnusable, match=says) as caught:
        tls.server_context(pem / certificate, pem / key if key else None)
    assert "\n" not in caught.value.strerror


@pytest.mark.parametrize(
    ("ca", "says"),
    [("missing", "can't read .*/missing: No such"), ("garbage", "garbage has no certificates")],
)
def test_what_is_wrong_with_a_ca_file_is_one_line(pem, ca, says):
    with pytest.raises(tls.CertificateUnusable, match=says):
        tls.client_context(pem / ca)


def test_who_names_authorities_trusts_no_others(pem, monkeypatch):
    defaults = []
    monkeypatch.setattr(ssl.SSLContext, "load_default_certs", lambda *_: defaults.append("loaded"))
    context = tls.client_context(pem / "ca")
    assert (defaults, len(context.get_ca_certs())) == ([], 1)
    tls.client_context(verify=False)
    assert defaults == []
    context = tls.client_context()
    assert (defaults, context.get_ca_certs()) == (["loaded"], [])


@pytest.fixture
def pair():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        theirs = socket.create_connection(listener.getsockname())
        ours, _ = listener.accept()
    ours.setblocking(False)
    with ours, theirs:
        yield ours, theirs


@pytest.fixture
def serve(pem, pair):
    """Python's own TLS server at the peer's end, in a thread; echoes one message."""
    threads, (_, theirs) = [], pair

    def run() -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem / "both")
        theirs.settimeout(PATIENCE_S)
        with (
            suppress(OSError),
            context.wrap_socket(theirs, server_side=True) as wrapped,
        ):
            wrapped.sendall(wrapped.recv(100))

    def start() -> None:
        threads.append(threading.Thread(target=run))
        threads[-1].start()

    yield start
    for thread in threads:
        thread.join(PATIENCE_S)


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])
async def test_a_client_speaks_tls_with_a_server_that_the_ca_vouches_for(pem, pair, serve, name):
    serve()
    ours, _ = pair
    with trio.fail_after(PATIENCE_S):
        sock = await tls.shake_hands(ours, tls.client_context(pem / "ca"), server_name=name)
        with sock:
            assert sock.send(b"hello") == 5
            while True:
                await trio.lowlevel.wait_readable(sock)
                try:  # Session tickets come first, and are nothing to read.
                    assert sock.recv(100) == b"hello"
                    break
                except BlockingIOError:
                    continue
    assert ours.fileno() == -1


@pytest.mark.parametrize(
    ("ca", "name", "says"),
    [
        ("stranger", "localhost", "self.signed certificate|unable to get local issuer"),
        ("ca", "elsewhere.example", "Hostname mismatch, certificate is not valid for 'elsewhere"),
        ("ca", "127.0.0.2", "IP address mismatch"),
    ],
)
async def test_a_client_says_why_it_does_not_accept_a_certificate(pem, pair, serve, ca, name, says):
    serve()
    with trio.fail_after(PATIENCE_S):
        with pytest.raises(tls.TlsFailed, match=rf"the certificate was not accepted: .*({says})"):
            await tls.shake_hands(pair[0], tls.client_context(pem / ca), server_name=name)
    assert pair[0].fileno() == -1


async def test_a_client_that_does_not_verify_accepts_any_certificate(pair, serve):
    serve()
    with trio.fail_after(PATIENCE_S):
        context = tls.client_context(verify=False)
        (await tls.shake_hands(pair[0], context, server_name="elsewhere.example")).close()


@pytest.mark.parametrize("end", ["client", "server"])
async def test_bytes_that_are_not_tls_fail_the_handshake(pem, pair, end):
    contexts = {
        "client": tls.client_context(pem / "ca"),
        "server": tls.server_context(pem / "both", None),
    }
    pair[1].sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    with trio.fail_after(PATIENCE_S), pytest.raises(tls.TlsFailed):
        await tls.shake_hands(
            pair[0], contexts[end], server_name="localhost" if end == "client" else None
        )
    pair[1].settimeout(PATIENCE_S)
    with suppress(ConnectionResetError):
        while pair[1].recv(4096):
            pass  # an alert, then the end


@pytest.mark.parametrize("end", ["client", "server"])
@pytest.mark.parametrize(
    ("linger", "error"),
    [(None, {errno.ECONNRESET}), (struct.pack("ii", 1, 0), {errno.ENOTCONN, errno.EINVAL})],
    ids=["ends", "is reset"],
)
async def test_a_connection_that_is_over_before_the_handshake_is_given_back(
    pem, pair, end, linger, error
):
    """By its number: of a socket that does TLS, Python forgets the number of the one below."""
    contexts = {
        "client": tls.client_context(pem / "ca"),
        "server": tls.server_context(pem / "both", None),
    }
    ours, theirs = pair
    if linger is not None:
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    theirs.close()
    number = ours.fileno()
    with trio.fail_after(PATIENCE_S):
        await trio.lowlevel.wait_readable(ours)
        name = "localhost" if end == "client" else None
        with pytest.raises(OSError) as caught:  # noqa: PT011
            await tls.shake_hands(ours, contexts[end], server_name=name)
    assert caught.value.errno in error
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(number)


async def test_a_cancelled_handshake_closes_the_connection(pem, pair, autojump_clock):
    with trio.move_on_after(1) as scope:
        await tls.shake_hands(pair[0], tls.client_context(pem / "ca"), server_name="localhost")
    assert scope.cancelled_caught
    pair[1].settimeout(PATIENCE_S)
    while pair[1].recv(4096):
        pass


@pytest.mark.parametrize("how", ["half-closed", "closed"])
async def test_an_end_is_told_in_tls_before_tcp_ends(pem, pair, how):
    ours, theirs = pair
    context = ssl.create_default_context(cafile=pem / "ca")
    ended = []

    def listen() -> None:
        with context.wrap_socket(
            theirs, server_hostname="localhost", suppress_ragged_eofs=False
        ) as wrapped:
            wrapped.settimeout(PATIENCE_S)
            ended.append(wrapped.recv(100))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.to_thread.run_sync, listen)
        with trio.fail_after(PATIENCE_S):
            sock = await tls.shake_hands(ours, tls.server_context(pem / "both", None))
            if how == "half-closed":
                sock.shutdown(socket.SHUT_WR)
                while not ended:
                    await trio.sleep(0.001)
            sock.close()
    assert ended == [b""]


@pytest.mark.parametrize("size", [tls.RECORD_BYTES, RECEIVE_BYTES, BULK_RECEIVE_BYTES])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_what_a_read_leaves_is_with_the_kernel_where_a_poller_sees_it(pem, size, version):
    """Read records of any size, with our sizes of reads: OpenSSL keeps nothing back."""
    ours, theirs = socket.socketpair()
    context = ssl.create_default_context(cafile=pem / "ca")
    context.maximum_version = version
    said = [os.urandom(n) for n in (1, 100, 16_383, 16_384, 16_385, 40_000)]

    def say() -> None:
        with context.wrap_socket(theirs, server_hostname="localhost") as wrapped:
            for part in said:
                wrapped.sendall(part)

    async def listen() -> bytes:
        ours.setblocking(False)
        sock = await tls.shake_hands(ours, tls.server_context(pem / "both", None))
        heard = b""
        with sock:
            while True:
                await trio.lowlevel.wait_readable(sock)
                with suppress(BlockingIOError):
                    if not (data := sock.recv(size)):
                        return heard
                    heard += data
                assert not sock.pending()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.to_thread.run_sync, say)
        with trio.fail_after(PATIENCE_S):
            assert await listen() == b"".join(said)


async def test_of_more_than_the_kernel_takes_each_byte_is_sent_once(pem, pair):
    ours, theirs = pair
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65_536)
    context = ssl.create_default_context(cafile=pem / "ca")
    may_read, heard = threading.Event(), bytearray()

    def listen() -> None:
        with context.wrap_socket(theirs, server_hostname="localhost") as wrapped:
            assert may_read.wait(PATIENCE_S)
            while data := wrapped.recv(tls.RECORD_BYTES):
                heard.extend(data)

    said = os.urandom(2**23)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.to_thread.run_sync, listen)
        with trio.fail_after(PATIENCE_S):
            sock = await tls.shake_hands(ours, tls.server_context(pem / "both", None))
            with sock:
                try:
                    sent = sock.send(said)
                finally:
                    may_read.set()
                assert 0 < sent < len(said)
                while sent < len(said):
                    await trio.lowlevel.wait_writable(sock)
                    with suppress(BlockingIOError):
                        sent += sock.send(said[sent:])
    assert heard == said


def test_no_read_is_of_less_than_a_record():
    assert min(MAX_HEAD_BYTES, RECEIVE_BYTES, BULK_RECEIVE_BYTES) >= tls.RECORD_BYTES
