"""The handshake through a proxy: what goes on to the upstream, and how its answer comes back."""

from __future__ import annotations

import ssl
import zlib

import pytest
import trio
import trustme
from websockets.exceptions import InvalidStatus

from .conftest import PATIENCE_S, REQUEST, code_of, dial, frame, open_pair


async def answer_of(proxy, path: str = "/", *more: str) -> tuple[str, str]:
    """The head and the body of the answer to a handshake that ends with it."""
    ours = await dial(proxy)
    headers = "".join(f"{line}\r\n" for line in more)
    await ours.send(REQUEST.format(path, headers).encode())
    head, _, body = (await ours.ends()).decode("latin-1").partition("\r\n\r\n")
    return head, body


async def test_the_request_goes_on_without_what_is_for_this_hop_and_with_who_sent_it(
    start_proxy, raw
):
    url, accept = raw
    proxy = await start_proxy(url)
    _, upstream = await open_pair(
        proxy,
        accept,
        "/chat%20room?a=b&c=~d",
        "Origin: https://page.example",
        "Cookie: id=1",
        "Authorization: Bearer abc",
        "X-Forwarded-For: 10.1.1.1",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Host: forged.example",
        "Keep-Alive: 5",
        "Connection: keep-alive, X-Hop",
        "X-Hop: 1",
        "TE: trailers",
        "Sec-WebSocket-Extensions: permessage-deflate",
    )
    assert upstream.head.startswith("GET /chat%20room?a=b&c=~d HTTP/1.1\r\n")
    assert upstream.header("Host") == [url.removeprefix("ws://")]
    assert upstream.header("Origin") == ["https://page.example"]
    assert upstream.header("Cookie") == ["id=1"]
    assert upstream.header("Authorization") == ["Bearer abc"]
    assert upstream.header("X-Forwarded-For") == ["10.1.1.1, 127.0.0.1"]
    assert upstream.header("X-Forwarded-Proto") == ["https, http"]
    assert upstream.header("X-Forwarded-Host") == ["here.example"]
    assert upstream.header("Connection") == ["Upgrade"]
    for name in ("Keep-Alive", "X-Hop", "TE", "Sec-WebSocket-Extensions"):
        assert upstream.header(name) == [], name
    assert len(upstream.header("Sec-WebSocket-Key")) == 1
    assert upstream.header("Sec-WebSocket-Key") != ["dGhlIHNhbXBsZSBub25jZQ=="]


async def test_the_upstreams_consent_comes_back_with_its_headers(start_proxy, raw):
    url, accept = raw
    proxy = await start_proxy(url)
    ours = await dial(proxy)
    await ours.send(REQUEST.format("/", "Sec-WebSocket-Protocol: chat, v2\r\n").encode())
    upstream = await accept()
    await upstream.accept(
        "Sec-WebSocket-Protocol: v2", "Set-Cookie: a=1", "Set-Cookie: b=ü", "Keep-Alive: 5"
    )
    await ours.read_head()
    assert upstream.header("Sec-WebSocket-Protocol") == ["chat, v2"]
    assert ours.header("Sec-WebSocket-Protocol") == ["v2"]
    assert ours.header("Sec-WebSocket-Accept") == ["s3pPLMBiTxaQ9kYGzzhZRbK+xOo="]
    assert ours.header("Set-Cookie") == ["a=1", "b=ü"]
    assert ours.header("Keep-Alive") == []


@pytest.mark.parametrize("fault", ["", "~delay/0s/~up-delay/0s"], ids=["direct", "with a fault"])
async def test_what_comes_with_the_handshake_is_passed_on(start_proxy, raw, fault: str):
    url, accept = raw
    proxy = await start_proxy(url, fault=fault)
    with trio.fail_after(PATIENCE_S):
        ours = await dial(proxy)
        request = REQUEST.format("/", "").encode()
        await ours.send(request + frame(0x81, b"first", masked=True))
        upstream = await accept()
        await upstream.accept(behind=frame(0x81, b"greeting"))
        assert await upstream.frame() == (0x81, b"first")
        await ours.read_head()
        assert await ours.frame() == (0x81, b"greeting")


async def test_compression_is_the_clients_side_alone(start_proxy, start_upstream):
    upstream = await start_upstream()  # which would compress, if it was offered
    proxy = await start_proxy(upstream.url, compression=True, max_message_bytes=2**20)
    with trio.fail_after(PATIENCE_S):
        async with proxy.connect(compression="deflate") as client:
            assert "permessage-deflate" in client.response.headers["Sec-WebSocket-Extensions"]
            for message in ("ab" * 5_000, "ab" * 200_000, b"\0" * 1_000_000):
                await client.send(message)
                assert await client.recv() == message
            assert "Sec-WebSocket-Extensions" not in upstream.connections[0].request.headers
        await proxy.until_ended()
    now = proxy.server.snapshot()
    assert now.bytes_received < 100_000


@pytest.mark.parametrize("compresses", [False, True], ids=["plain client", "both sides"])
@pytest.mark.parametrize("fault", ["", "~delay/0s/~up-delay/0s"], ids=["direct", "with a fault"])
async def test_compression_is_the_upstreams_side_too_if_that_is_asked_for(
    start_proxy, start_upstream, compresses: bool, fault: str
):
    upstream = await start_upstream()
    proxy = await start_proxy(
        upstream.url,
        upstream_compression=True,
        compression=compresses,
        fault=fault,
        max_message_bytes=2**20,
    )
    with trio.fail_after(PATIENCE_S):
        async with proxy.connect(compression="deflate") as client:
            agreed = "permessage-deflate" in client.response.headers.get(
                "Sec-WebSocket-Extensions", ""
            )
            assert agreed is compresses
            for message in ("short", "ab" * 5_000, "ü" * 200_000, b"\0" * 1_000_000):
                await client.send(message)
                assert await client.recv() == message
            (extension,) = (await upstream.connection()).protocol.extensions
            assert extension.name == "permessage-deflate"
            assert upstream.received[0] == "short"
        await proxy.until_ended()
    assert proxy.server.snapshot().outcomes == {"clean": 1}


async def test_an_upstream_may_choose_compression_only_if_it_was_offered(start_proxy, raw):
    url, accept = raw
    for offers in (False, True):
        proxy = await start_proxy(url, upstream_compression=offers)
        ours = await dial(proxy)
        await ours.send(REQUEST.format("/", "").encode())
        upstream = await accept()
        await upstream.accept("Sec-WebSocket-Extensions: permessage-deflate")
        head = await ours.read_head()
        assert head.startswith("HTTP/1.1 101 " if offers else "HTTP/1.1 502 ")
        assert ours.header("Sec-WebSocket-Extensions") == []
        if offers:
            # "hello", deflated (RFC 7692, section 7.2.3.1): what the client gets is not.
            await upstream.send(frame(0xC1, bytes.fromhex("f248cdc9c90700")))
            assert await ours.frame() == (0x81, b"Hello")
            bomb = zlib.compress(b"\0" * 2**21, wbits=-15)
            await upstream.send(frame(0xC2, bomb))
            received = await ours.frame()
            while received[0] in (0x02, 0x00):
                received = await ours.frame()
            assert code_of(received) == 1014
            await ours.send(frame(*received, masked=True))
            assert code_of(await upstream.frame()) == 1009
        for end in (ours, upstream):
            await end.stream.aclose()
        await proxy.until_ended()


REFUSALS = [
    pytest.param("Content-Length: 9", b"forbidden", b"forbidden", id="of a known length"),
    pytest.param(
        "Transfer-Encoding: chunked",
        b"5\r\nforbi\r\n4\r\ndden\r\n0\r\n\r\n",
        b"forbidden",
        id="in chunks",
    ),
    pytest.param("X-None: 1", b"forbidden", b"forbidden", id="up to the end"),
]


@pytest.mark.parametrize(("header", "sent", "body"), REFUSALS)
async def test_the_upstreams_refusal_comes_back_as_it_is(start_proxy, raw, header, sent, body):
    url, accept = raw
    proxy = await start_proxy(url)
    ours = await dial(proxy)
    await ours.send(REQUEST.format("/", "").encode())
    upstream = await accept()
    await upstream.read_head()
    head = f"HTTP/1.1 403 No way\r\nX-Why: because\r\nWWW-Authenticate: Basic\r\n{header}\r\n\r\n"
    await upstream.send(head.encode() + sent[:3])
    await upstream.send(sent[3:])
    await upstream.stream.aclose()
    assert (await ours.read_head()).startswith("HTTP/1.1 403 No way\r\n")
    assert ours.header("X-Why") == ["because"]
    assert ours.header("Content-Length") == (["9"] if "Length" in header else [])
    assert ours.header("WWW-Authenticate") == ["Basic"]
    assert ours.header("Transfer-Encoding") == []
    assert await ours.ends() == body
    await ours.stream.aclose()
    await proxy.until_ended()
    now = proxy.server.snapshot()
    assert (now.refused, now.refused_reasons) == ({403: 1}, {"upstream_refused": 1})


ACCEPT = "Sec-WebSocket-Accept: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
WRONG = [
    pytest.param(b"SSH-2.0-OpenSSH\r\n", id="no HTTP"),
    pytest.param(b"HTTP/1.1 101 Hi\r\n" + ACCEPT.format("x" * 28).encode() + b"\r\n", id="accept"),
    pytest.param(b"", id="nothing"),
]


@pytest.mark.parametrize("answer", WRONG)
async def test_an_upstream_that_answers_wrongly_is_a_bad_gateway(start_proxy, raw, answer: bytes):
    url, accept = raw
    proxy = await start_proxy(url)
    ours = await dial(proxy)
    await ours.send(REQUEST.format("/", "").encode())
    upstream = await accept()
    await upstream.read_head()
    await upstream.send(answer)
    await upstream.stream.aclose()
    head, _, body = (await ours.ends()).decode().partition("\r\n\r\n")
    assert head.startswith("HTTP/1.1 502 Bad Gateway\r\n")
    assert body.startswith("The upstream did not open a WebSocket: ")
    assert proxy.server.snapshot().refused_reasons == {"upstream_answer": 1}


@pytest.mark.parametrize(
    "more", ["Sec-WebSocket-Protocol: unasked", "Sec-WebSocket-Extensions: permessage-deflate"]
)
async def test_a_choice_that_nobody_offered_is_a_bad_gateway(start_proxy, raw, more: str):
    url, accept = raw
    proxy = await start_proxy(url)
    ours = await dial(proxy)
    await ours.send(REQUEST.format("/", "").encode())
    await (await accept()).accept(more)
    assert (await ours.read_head()).startswith("HTTP/1.1 502 ")
    assert b"not offered" in await ours.ends()


async def test_an_upstream_out_of_reach_is_a_bad_gateway_and_one_too_slow_times_out(
    start_proxy, raw
):
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener.socket.getsockname()[1]
    await listener.aclose()
    proxy = await start_proxy(f"ws://127.0.0.1:{port}")
    head, body = await answer_of(proxy)
    assert head.startswith("HTTP/1.1 502 Bad Gateway\r\n")
    assert body == "The upstream is out of reach: Connection refused\n"
    # A browser shows its user nothing of that: so the log has it, too.
    await proxy.until_ended()
    assert proxy.log.entries[-1]["why"] == body.rstrip()
    head, body = await answer_of(await start_proxy("ws://no-such-host.invalid:80"))
    assert head.startswith("HTTP/1.1 502 Bad Gateway\r\n")
    assert body.startswith("The upstream is out of reach: ")
    url, _ = raw  # which accepts and never says a word
    head, body = await answer_of(await start_proxy(url, open_timeout_s=0.5))
    assert head.startswith("HTTP/1.1 504 Gateway Timeout\r\n")
    assert body == "The upstream did not answer within 0.5 s.\n"


async def test_a_client_that_leaves_while_the_upstream_is_dialled_is_not_waited_for(
    start_proxy, raw
):
    url, accept = raw
    proxy = await start_proxy(url, open_timeout_s=PATIENCE_S)
    ours = await dial(proxy)
    await ours.send(REQUEST.format("/", "").encode())
    upstream = await accept()
    await upstream.read_head()
    await ours.stream.aclose()
    assert await upstream.ends() == b""
    await proxy.until_ended()
    assert proxy.server.snapshot().outcomes == {"cut_in_handshake": 1}


async def test_tls_on_either_side(start_proxy, start_upstream, tmp_path):
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    ca, certificate, key = (tmp_path / name for name in ("ca.pem", "cert.pem", "key.pem"))
    authority.cert_pem.write_to_path(ca)
    issued.cert_chain_pems[0].write_to_path(certificate)
    issued.private_key_pem.write_to_path(key)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    upstream = await start_upstream(ssl=context)
    assert upstream.url.startswith("wss://")
    message = "ü" * 100_000
    with trio.fail_after(PATIENCE_S):
        proxy = await start_proxy(
            upstream.url, upstream_cacert=ca, tls_cert=certificate, tls_key=key
        )
        trusting = ssl.create_default_context(cafile=str(ca))
        async with proxy.connect(ssl=trusting) as client:
            await client.send(message)
            assert await client.recv() == message
        proto = upstream.connections[0].request.headers["X-Forwarded-Proto"]
        assert proto == "https"
        proxy = await start_proxy(upstream.url, upstream_insecure=True)
        async with proxy.connect() as client:
            await client.send(message)
            assert await client.recv() == message
        proxy = await start_proxy(upstream.url)
        with pytest.raises(InvalidStatus) as refused:
            async with proxy.connect():
                pass
        assert refused.value.response.status_code == 502
        told = refused.value.response.body.decode()
        assert "the certificate was not accepted: " in told
        assert "(--upstream-cacert names an authority to trust, " in told
        plain = await start_upstream()
        proxy = await start_proxy(plain.url.replace("ws:", "wss:"))
        with pytest.raises(InvalidStatus) as refused:
            async with proxy.connect():
                pass
        assert b"TLS failed: " in refused.value.response.body


async def test_a_plain_request_is_answered_as_by_the_server(proxy):
    ours = await dial(proxy)
    await ours.send(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")
    assert (await ours.read_head()).startswith("HTTP/1.1 426 ")
