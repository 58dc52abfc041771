"""wss:// and --compression, against servers of the `websockets` library."""

import asyncio
import dataclasses
import ssl

import pytest
import trustme
from websockets.asyncio.server import ServerConnection

QUICK = ("--duration", "300ms", "--rate-per-conn", "10/s")


@pytest.fixture
def loadgen(loadgen_here):
    return loadgen_here


async def echo(connection: ServerConnection, counts):
    counts["deflated"] += bool(connection.protocol.extensions)
    async for message in connection:
        await connection.send(f"{message} 1")


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture
def ca_file(authority, tmp_path):
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return str(path)


@pytest.fixture
def serve_tls(serve_websockets, authority):
    """A server whose certificate is for these names."""

    def begin(*names):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(*names).configure_cert(context)
        server = serve_websockets(echo, ssl=context)
        return dataclasses.replace(server, url=server.url.replace("ws:", "wss:"))

    return begin


def test_a_certificate_of_a_known_authority_is_trusted(loadgen, serve_tls, ca_file):
    server = serve_tls("127.0.0.1")
    run = loadgen("5", server.url, *QUICK, "--cacert", ca_file)
    server.wait_closed()
    assert run.messages == {"sent": 15, "echoed": 15, "received": 15}
    assert run.closed == {"clean": 5}
    assert server.counts["closed 1000"] == 5
    assert run.connections["funnel"] == {"requested": 5, "tcp": 5, "tls": 5, "upgraded": 5}
    assert run.target_did_right


def test_insecure_takes_any_certificate(loadgen, serve_tls):
    run = loadgen("2", serve_tls("other.example").url, *QUICK, "--insecure")
    assert run.messages["echoed"] == 6


@pytest.mark.parametrize(
    ("name", "with_ca", "said"),
    [
        pytest.param("127.0.0.1", False, "certificate was not accepted", id="unknown-authority"),
        pytest.param("other.example", True, "IP address mismatch", id="another-host"),
    ],
)
def test_a_certificate_that_proves_nothing_is_a_tls_failure(
    loadgen, serve_tls, ca_file, name, with_ca, said
):
    server = serve_tls(name)
    run = loadgen("3", server.url, *QUICK, *(("--cacert", ca_file) if with_ca else ()))
    assert run.failed == {"tls": 3}
    assert run.connections["funnel"] == {"requested": 3, "tcp": 3, "tls": 0, "upgraded": 0}
    assert run.connections["faults"]["target"] == 3
    assert said in run.report["verdict_reasons"][0]
    assert server.counts["opened"] == 0
    assert run.code == 69


def test_a_server_that_does_not_speak_tls_is_a_tls_failure(loadgen, in_thread):
    async def complain(reader, writer):
        await reader.read(100)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    server = in_thread(lambda _: asyncio.start_server(complain, "127.0.0.1", 0))
    run = loadgen("2", server.url.replace("ws:", "wss:"), *QUICK)
    assert run.failed == {"tls": 2}


def test_a_server_that_says_nothing_in_the_tls_handshake_is_a_timeout(loadgen, serve_bytes):
    async def unheard(reader, writer, key, counts):
        raise AssertionError

    run = loadgen("2", serve_bytes(unheard).url.replace("ws:", "wss:"), *QUICK,
                  "--connect-timeout", "3s")  # fmt: skip
    assert run.failed == {"timeout": 2}
    assert run.connections["funnel"] == {"requested": 2, "tcp": 2, "tls": 0, "upgraded": 0}


def test_a_file_without_certificates_is_refused(start_loadgen, tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("nothing of the kind")
    done = start_loadgen("1", "wss://127.0.0.1:9/", "--cacert", str(path)).finish()
    assert done.code == 2
    assert "notes.txt has no certificates in PEM" in done.stderr
    assert done.stderr.count("\n") == 1


def test_offered_compression_is_used_where_the_server_agrees(loadgen, serve_websockets):
    server = serve_websockets(echo, compression="deflate")
    run = loadgen("3", server.url, *QUICK, "--compression", "--size", "4KiB")
    assert run.messages == {"sent": 9, "echoed": 9, "received": 9}
    assert run.connections["compressed"] == server.counts["deflated"] == 3
    # Payload is counted as it is before it is compressed.
    assert run.report["messages"]["sent_bytes"] == 9 * 4096


def test_a_server_that_does_not_compress_is_talked_to_without(loadgen, serve_websockets):
    server = serve_websockets(echo)
    run = loadgen("3", server.url, *QUICK, "--compression")
    assert run.messages["echoed"] == 9
    assert run.connections["compressed"] == server.counts["deflated"] == 0


@pytest.fixture
def serve_tls_to_members(serve_websockets, authority):
    """A server that lets in only who has a certificate of this authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    server = serve_websockets(echo, ssl=context)
    return dataclasses.replace(server, url=server.url.replace("ws:", "wss:"))


def test_a_server_that_asks_who_we_are_is_shown_our_certificate(
    loadgen, serve_tls_to_members, authority, ca_file, tmp_path
):
    own = authority.issue_cert("client@example.org")
    both, cert, key = (tmp_path / name for name in ("both.pem", "cert.pem", "key.pem"))
    own.private_key_and_cert_chain_pem.write_to_path(both)
    own.cert_chain_pems[0].write_to_path(cert)
    own.private_key_pem.write_to_path(key)
    for pair in (("--cert", str(both)), ("--cert", str(cert), "--key", str(key))):
        run = loadgen("3", serve_tls_to_members.url, *QUICK, "--cacert", ca_file, *pair)
        assert (run.connections["opened"], run.failed) == (3, {})
        assert run.target_did_right
    run = loadgen("3", serve_tls_to_members.url, *QUICK, "--cacert", ca_file)
    # In TLS 1.3 the server says no after the handshake, and may be gone before that is read.
    assert run.connections["opened"] == 0
    assert sum(run.failed.values()) == 3
    assert set(run.failed) <= {"tls", "reset"}


def test_a_certificate_that_cannot_be_used_is_one_line(start_loadgen, authority, tmp_path):
    own, other = authority.issue_cert("a@example.org"), authority.issue_cert("b@example.org")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    own.cert_chain_pems[0].write_to_path(cert)
    other.private_key_pem.write_to_path(key)
    done = start_loadgen("1", "wss://127.0.0.1:9/", "--cert", str(cert), "--key", str(key)).finish()
    assert done.code == 2
    assert f"the key in {key} is not the one of {cert}" in done.stderr
    done = start_loadgen("1", "wss://127.0.0.1:9/", "--key", str(key)).finish()
    assert (done.code, "--key goes with --cert" in done.stderr) == (2, True)
