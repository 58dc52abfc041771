"""TLS of dialled connections: its facts, what is trusted, and the certificates that are shown."""

from __future__ import annotations

import socket
import ssl
from contextlib import suppress
from pathlib import Path

import pytest
import trio
import trustme
from cryptography import x509

from .conftest import PATIENCE_S


@pytest.fixture(scope="module")
def root() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def authority(root: trustme.CA) -> trustme.CA:
    """An authority below the root, so that a chain has two certificates."""
    return root.create_child_ca()


@pytest.fixture
def trusted(root: trustme.CA, tmp_path: Path) -> Path:
    path = tmp_path / "authorities.pem"
    root.cert_pem.write_to_path(str(path))
    return path


def context_of(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(*names).configure_cert(context)
    return context


async def say_hello(peer) -> None:
    await peer.accept(surplus=b"\x81\x05hello\x88\x00")
    await peer.read_to_end()


async def test_facts_of_a_trusted_connection(start_page, start_raw, authority, trusted):
    issued = authority.issue_cert("127.0.0.1", "chat.example")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    issued.configure_cert(context)
    server = await start_raw(say_hello, context)
    page = await start_page(server.url, dial_cacert=trusted)
    async with page.dial(server.url) as dialled:
        await dialled.record(type="message", text="hello")
        told = await dialled.event("tls")
    assert (told["verified"], told["problem"], told["version"]) == (True, None, "TLSv1.3")
    assert told["cipher"].startswith("TLS_")
    assert told["alpn"] is None
    assert told["ms"] > 0
    # What `cryptography` reads in the same certificates.
    pems = [blob.bytes() for blob in issued.cert_chain_pems]
    assert len(told["chain"]) == len(pems) == 2
    for said, pem in zip(told["chain"], pems, strict=True):
        certificate = x509.load_pem_x509_certificate(pem)
        for name, value in ((said["subject"], certificate.subject),):
            assert sorted(name.split(", ")) == sorted(each.rfc4514_string() for each in value)
        assert said["issuer"].split(", ") == [each.rfc4514_string() for each in certificate.issuer]
        assert said["not_after"] == f"{certificate.not_valid_after_utc:%Y-%m-%dT%H:%M:%SZ}"
        assert said["not_before"] == f"{certificate.not_valid_before_utc:%Y-%m-%dT%H:%M:%SZ}"
    assert sorted(told["chain"][0]["names"]) == ["127.0.0.1", "chat.example"]


async def test_without_trust_no_request_is_sent_and_the_certificate_is_shown(
    start_page, start_raw, authority
):
    server = await start_raw(say_hello, context_of(authority, "127.0.0.1"))
    page = await start_page(server.url)
    async with page.dial(server.url, headers=[["Cookie", "secret"]]) as dialled:
        end = await dialled.until_over()
        told = await dialled.event("tls")
    assert (end["cause"], end["opened"]) == ("certificate", False)
    assert "unable to get local issuer certificate" in end["why"] == told["problem"]
    assert told["verified"] is False
    assert told["chain"][0]["names"] == ["127.0.0.1"]
    assert "request" not in dict(dialled.events)
    assert [peer.request for peer in server.peers if peer.request] == []
    # Who wants that nevertheless says so.
    async with page.dial(server.url, insecure=True) as dialled:
        await dialled.record(type="message", text="hello")
        assert (await dialled.event("tls"))["verified"] is False


async def test_a_certificate_for_another_name_is_not_trusted(
    start_page, start_raw, authority, trusted
):
    server = await start_raw(say_hello, context_of(authority, "chat.example"))
    page = await start_page(server.url, dial_cacert=trusted)
    async with page.dial(server.url) as dialled:
        end = await dialled.until_over()
    assert end["cause"] == "certificate"
    assert "127.0.0.1" in end["why"]


async def test_a_client_certificate_is_chosen_by_its_name_alone(
    start_page, start_raw, authority, trusted, tmp_path
):
    context = context_of(authority, "127.0.0.1")
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(trusted)
    subjects = []

    async def tell(peer):
        subjects.append(peer.stream.getpeercert()["subjectAltName"])
        await say_hello(peer)

    server = await start_raw(tell, context)
    mine = tmp_path / "alice.pem"
    authority.issue_cert("alice@example.org").private_key_and_cert_chain_pem.write_to_path(
        str(mine)
    )
    page = await start_page(server.url, dial_cacert=trusted, dial_cert=(mine,))
    assert (await page.ask("GET /api/dial")).json["certificates"] == ["alice"]
    async with page.dial(server.url, certificate="alice") as dialled:
        await dialled.record(type="message", text="hello")
        assert (await dialled.event("tls"))["client_certificate"] == "alice"
    assert subjects == [(("email", "alice@example.org"),)]
    for name in ("bob", str(mine), "../alice"):
        answer = await page.ask("POST /api/dial", {"url": server.url, "certificate": name})
        assert (answer.status, answer.json["field"]) == (422, "certificate")


async def test_a_server_that_wants_a_certificate_says_so_with_an_alert(
    start_page, nursery, authority, trusted
):
    context = context_of(authority, "127.0.0.1")
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(trusted)
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        # By `ssl` itself: Trio's streams send no alert.
        with (
            listener,
            listener.accept()[0] as sock,
            context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False) as secured,
        ):
            with suppress(ssl.SSLError):
                secured.do_handshake()
            # To the end: closing with bytes unread would reset the connection.
            while socket.socket.recv(secured, 65_536):
                pass

    url = f"wss://127.0.0.1:{listener.getsockname()[1]}/"
    nursery.start_soon(trio.to_thread.run_sync, serve)
    page = await start_page(url, dial_cacert=trusted)
    async with page.dial(url) as dialled:
        end = await dialled.until_over()
    assert (end["cause"], end["opened"]) == ("tls", False)
    assert "alert certificate required" in end["why"]


async def test_an_end_of_tcp_without_the_one_of_tls_is_told(
    start_page, start_raw, authority, trusted
):
    ready = trio.Event()

    async def cut(peer):
        await peer.accept(surplus=b"\x81\x02hi")
        with trio.fail_after(PATIENCE_S):
            await ready.wait()
        await peer.stream.transport_stream.send_eof()
        await trio.sleep_forever()

    server = await start_raw(cut, context_of(authority, "127.0.0.1"))
    page = await start_page(server.url, dial_cacert=trusted)
    async with page.dial(server.url) as dialled:
        await dialled.record(type="message", text="hi")
        ready.set()
        end = await dialled.until_over()
    assert end["cause"] == "tls-cut"


async def test_a_server_without_tls_is_told_from_one_with(start_page, nursery):
    async def answer(stream):
        await stream.receive_some()
        await stream.send_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        with suppress(trio.BrokenResourceError):
            await stream.receive_some()

    listeners = await nursery.start(trio.serve_tcp, answer, 0)
    url = f"wss://127.0.0.1:{listeners[0].socket.getsockname()[1]}/"
    page = await start_page(url)
    async with page.dial(url) as dialled:
        end = await dialled.until_over()
    assert (end["cause"], end["opened"]) == ("tls", False)
    assert "wrong version number" in end["why"]
