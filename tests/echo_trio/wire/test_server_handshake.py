"""The opening handshake: what is let through, and each refusal with its status."""

from __future__ import annotations

import base64
import re
import time
from email.utils import parsedate_to_datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from echo_trio.wire import handshake, server_handshake
from echo_trio.wire.handshake import HandshakeRefused, Reason

from .damaged import damaged, heads

# RFC 6455, section 1.3.
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
HEADERS = {
    "Host": "example.org",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": KEY,
    "Sec-WebSocket-Version": "13",
}


def head(line="GET /chat?x=1 HTTP/1.1", *more: str, **changes: str | None) -> bytes:
    """An upgrade request, with other lines, headers changed or (None) left out."""
    headers = HEADERS | {name.replace("_", "-"): value for name, value in changes.items()}
    lines = [f"{name}: {value}" for name, value in headers.items() if value is not None]
    return "\r\n".join([line, *lines, *more]).encode("latin-1")


# -- Requests ---------------------------------------------------------------------------------


def test_a_request_is_read():
    request = server_handshake.parse_request(
        head(Sec_WebSocket_Protocol="a, b", X_Other="  spaced \t")
    )
    assert (request.target, request.path, request.key) == ("/chat?x=1", "/chat", KEY)
    assert request.subprotocols == ["a", "b"]
    assert ("x-other", "spaced") in request.headers
    assert [name for name, _ in request.headers][:2] == ["host", "upgrade"]


@pytest.mark.parametrize(
    "request_head",
    [
        pytest.param(head(Connection="keep-alive, Upgrade"), id="Connection is a list"),
        pytest.param(head(Connection="UPGRADE", Upgrade="WebSocket"), id="case does not matter"),
        pytest.param(
            head("GET / HTTP/1.1", "Connection: Upgrade", Connection="keep-alive"),
            id="Connection over two lines",
        ),
        pytest.param(
            head("GET / HTTP/1.1", "Connection: keep-alive", Connection="Upgrade"),
            id="Connection over two lines, the other way round",
        ),
        pytest.param(head(Upgrade="h2c, websocket"), id="Upgrade is a list"),
        pytest.param(head(Content_Length="0"), id="an empty body"),
        pytest.param(head(Host=""), id="an empty Host"),
        pytest.param(head(Host="[::1]:8765"), id="an address as Host"),
        pytest.param(head("GET / HTTP/1.2"), id="a later minor version"),
        pytest.param(head(Connection=",, Upgrade,", Upgrade=", websocket"), id="empty elements"),
        pytest.param(head("GET / HTTP/1.1", *["X: y"] * 123), id="128 headers"),
        pytest.param(
            head("GET / HTTP/1.1", "Sec-WebSocket-Protocol: b", Sec_WebSocket_Protocol="a"),
            id="subprotocols over two lines",
        ),
        pytest.param(head(Sec_WebSocket_Extensions="permessage-deflate"), id="an extension"),
        pytest.param(
            head("GET / HTTP/1.1", "Sec-WebSocket-Extensions: x", Sec_WebSocket_Extensions=""),
            id="an extension after an empty line of the list",
        ),
    ],
)
def test_what_rfc_6455_allows_is_let_through(request_head):
    assert server_handshake.parse_request(request_head).key == KEY


@pytest.mark.parametrize(
    ("target", "read"),
    [
        ("http://example.org:80/a?b", ("/a?b", "example.org:80")),
        ("ws://[::1]?b", ("/?b", "[::1]")),
        ("WSS://example.org", ("/", "example.org")),
    ],
)
def test_of_a_target_in_absolute_form_the_host_is_the_one_that_counts(target, read):
    request = server_handshake.parse_request(head(f"GET {target} HTTP/1.1", Host="other"))
    assert (request.target, dict(request.headers)["host"]) == read


def test_a_refusal_has_the_date():
    refused = HandshakeRefused(404, "no", Reason.PATH)
    top = server_handshake.refusal_response(refused).partition(b"\r\n\r\n")[0].decode()
    (date,) = (line for line in top.splitlines() if line.startswith("Date: "))
    assert abs(parsedate_to_datetime(date[6:]).timestamp() - time.time()) < 60


REFUSALS = [
    pytest.param(b"", 400, id="nothing"),
    pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, id="TLS"),
    pytest.param(b"SSH-2.0-OpenSSH_9.6", 400, id="SSH"),
    pytest.param(head("GET /"), 400, id="no version"),
    pytest.param(head("GET  / HTTP/1.1"), 400, id="two spaces"),
    pytest.param(head("GET / HTTP/1.1 "), 400, id="a space behind"),
    pytest.param(head("GET / http/1.1"), 400, id="version in lower case"),
    pytest.param(head("G(T / HTTP/1.1"), 400, id="no method"),
    pytest.param(head("GET / HTTP/1.0"), 505, id="HTTP/1.0"),
    pytest.param(head("GET / HTTP/2"), 505, id="HTTP/2"),
    pytest.param(head("PRI * HTTP/2.0"), 505, id="HTTP/2's preface"),
    *(
        pytest.param(head(f"{method} / HTTP/1.1"), 405, id=method)
        for method in ("POST", "HEAD", "PUT", "CONNECT", "OPTIONS", "get")
    ),
    pytest.param(head("GET example.org/ HTTP/1.1"), 400, id="no path"),
    pytest.param(head("GET ftp://example.org/ HTTP/1.1"), 400, id="an absolute target elsewhere"),
    pytest.param(head("GET http:/// HTTP/1.1"), 400, id="an absolute target without a host"),
    pytest.param(head(Host="a b"), 400, id="a Host with a space"),
    pytest.param(head(Host="a/b"), 400, id="a Host with a path"),
    pytest.param(head(Host="u@a"), 400, id="a Host with a user"),
    pytest.param(head(Host="a:b"), 400, id="a Host with a port that is none"),
    pytest.param(head("GET / HTTP/1.10"), 400, id="a version of three digits"),
    pytest.param(head("GET /\x01 HTTP/1.1"), 400, id="a control character in the target"),
    pytest.param(head("GET /ü HTTP/1.1"), 400, id="not ASCII in the target"),
    pytest.param(head(Host=None), 400, id="no Host"),
    pytest.param(head("GET / HTTP/1.1", "Host: other"), 400, id="two Hosts"),
    pytest.param(head(Host="exämple.org"), 400, id="not ASCII in Host"),
    pytest.param(head(Connection="Upgräde"), 400, id="not ASCII in Connection"),
    pytest.param(head(Sec_WebSocket_Protocol="\xff"), 400, id="not ASCII in a subprotocol"),
    pytest.param(head(X_Other="a\x00b"), 400, id="NUL in a header"),
    pytest.param(head(X_Other="a\nX-Smuggled: b"), 400, id="a lone line feed"),
    pytest.param(head(X_Other="a\rb"), 400, id="a lone carriage return"),
    pytest.param(head("GET / HTTP/1.1", "X-Other : a"), 400, id="a space before the colon"),
    pytest.param(head("GET / HTTP/1.1", " folded"), 400, id="a folded line"),
    pytest.param(head("GET / HTTP/1.1", "no colon"), 400, id="no colon"),
    pytest.param(head("GET / HTTP/1.1", ": no name"), 400, id="no name"),
    pytest.param(head("GET / HTTP/1.1", *["X: y"] * 124), 431, id="129 headers"),
    pytest.param(head(Content_Length="1"), 400, id="a body"),
    pytest.param(head(Content_Length="00"), 400, id="a length that others may read otherwise"),
    pytest.param(head(Transfer_Encoding="chunked"), 400, id="a chunked body"),
    pytest.param(head(Upgrade=None), 426, id="no Upgrade"),
    pytest.param(head(Upgrade="h2c"), 426, id="another upgrade"),
    pytest.param(head(Connection=None), 426, id="no Connection"),
    pytest.param(head(Connection="keep-alive"), 426, id="Connection without Upgrade"),
    pytest.param(head(Sec_WebSocket_Version=None), 426, id="no version of WebSocket"),
    pytest.param(head(Sec_WebSocket_Version="8"), 426, id="an old version of WebSocket"),
    pytest.param(
        head("GET / HTTP/1.1", "Sec-WebSocket-Version: 13"), 426, id="two versions of WebSocket"
    ),
    pytest.param(head(Sec_WebSocket_Key=None), 400, id="no key"),
    pytest.param(head(Sec_WebSocket_Key=""), 400, id="an empty key"),
    pytest.param(head("GET / HTTP/1.1", f"Sec-WebSocket-Key: {KEY}"), 400, id="two keys"),
    pytest.param(head(Sec_WebSocket_Key="not base64!" + KEY[11:]), 400, id="a key not in base64"),
    pytest.param(
        head(Sec_WebSocket_Key=base64.b64encode(bytes(15)).decode()), 400, id="a key of 15 bytes"
    ),
    pytest.param(
        head(Sec_WebSocket_Key=base64.b64encode(bytes(17)).decode()), 400, id="a key of 17 bytes"
    ),
    pytest.param(head(Sec_WebSocket_Protocol="a, a"), 400, id="a subprotocol twice"),
    pytest.param(head(Sec_WebSocket_Protocol="a b"), 400, id="a subprotocol with a space"),
]


@pytest.mark.parametrize(("request_head", "status"), REFUSALS)
def test_whatever_else_is_refused_with_its_status(request_head, status):
    with pytest.raises(HandshakeRefused) as caught:
        server_handshake.parse_request(request_head)
    assert caught.value.status == status
    response = server_handshake.refusal_response(caught.value)
    assert response.startswith(b"HTTP/1.1 %d " % status)


def test_a_refused_version_is_told_which_would_do():
    with pytest.raises(HandshakeRefused) as caught:
        server_handshake.parse_request(head(Sec_WebSocket_Version="8"))
    assert caught.value.headers["Sec-WebSocket-Version"] == "13"


def test_a_refused_method_is_told_which_would_do():
    with pytest.raises(HandshakeRefused) as caught:
        server_handshake.parse_request(head("POST / HTTP/1.1"))
    assert caught.value.headers == {"Allow": "GET"}


# -- Responses --------------------------------------------------------------------------------


@pytest.mark.parametrize("subprotocol", [None, "chat"])
def test_the_accepting_response_answers_the_key(subprotocol):
    request = server_handshake.parse_request(head(Sec_WebSocket_Protocol="chat"))
    lines = server_handshake.accept_response(request, subprotocol).decode().split("\r\n")
    assert lines[0] == "HTTP/1.1 101 Switching Protocols"
    assert f"Sec-WebSocket-Accept: {ACCEPT}" in lines
    assert ("Sec-WebSocket-Protocol: chat" in lines) is (subprotocol is not None)
    assert lines[-2:] == ["", ""]


def test_a_refusing_response_says_why():
    refused = HandshakeRefused(503, "The server is füll.", Reason.CAPACITY, Retry_After="5")
    top, _, body = server_handshake.refusal_response(refused).partition(b"\r\n\r\n")
    lines = top.decode().split("\r\n")
    assert lines[0] == "HTTP/1.1 503 Service Unavailable"
    assert {"Retry-After: 5", "Connection: close", f"Content-Length: {len(body)}"} <= set(lines)
    assert body.decode() == "The server is füll.\n"


def test_a_refusing_response_may_have_a_status_without_a_name():
    assert server_handshake.refusal_response(
        HandshakeRefused(499, "no", Reason.ASKED_FOR)
    ).startswith(b"HTTP/1.1 499 \r\n")


# -- Whatever bytes arrive --------------------------------------------------------------------

REQUEST_LINES = [
    b"GET / HTTP/1.1",
    b"Host: example.org",
    b"Upgrade: websocket",
    b"Connection: Upgrade",
    b"Sec-WebSocket-Key: " + KEY.encode(),
    b"Sec-WebSocket-Version: 13",
]


@given(heads | damaged(REQUEST_LINES))
@example(b"\r\n".join(REQUEST_LINES))
def test_a_request_parses_or_is_refused(head):
    refused = None
    try:
        request = server_handshake.parse_request(head)
    except HandshakeRefused as exc:
        refused = exc
    if refused is not None:
        assert refused.status in {400, 405, 426, 431, 505}
        assert server_handshake.refusal_response(refused).count(b"\r\n\r\n") == 1
    else:
        assert request.path.startswith("/")
        assert all(name == name.lower() for name, _ in request.headers)
        assert not any("\n" in value or "\r" in value for _, value in request.headers)
        assert server_handshake.accept_response(request).endswith(b"\r\n\r\n")


def outcome_of(parse, head):
    try:
        return parse(head)
    except HandshakeRefused as exc:
        return exc.status, exc.why, exc.reason


KNOWN = head("GET /chat HTTP/1.1")
OTHER_KEY = base64.b64encode(bytes(range(16))).decode()


@pytest.mark.parametrize(
    "like",
    [
        pytest.param(head("GET /chat HTTP/1.1", Sec_WebSocket_Key=OTHER_KEY), id="another key"),
        pytest.param(head("GET /chat HTTP/1.1", Sec_WebSocket_Key="!" * 24), id="no base64"),
        pytest.param(head("GET /chat HTTP/1.1", Sec_WebSocket_Key="A" * 24), id="18 bytes"),
        pytest.param(head("GET /chat HTTP/1.1", Sec_WebSocket_Key="A" * 20), id="short"),
        pytest.param(head("GET /chat HTTP/1.1", Sec_WebSocket_Key=OTHER_KEY + "="), id="long"),
        pytest.param(head("GET /chat HTTP/1.1", f"Sec-WebSocket-Key: {KEY}"), id="doubled"),
        pytest.param(head("GET /chut HTTP/1.1", Sec_WebSocket_Key=OTHER_KEY), id="another path"),
        pytest.param(head("GET /chat HTTP/1.1", "Host: b"), id="another header"),
        pytest.param(head("PUT /chat HTTP/1.1"), id="another method"),
    ],
)
def test_a_request_like_a_known_one_means_what_it_would_mean_alone(like):
    first = server_handshake.parse_request(KNOWN)
    found = outcome_of(server_handshake.parse_request, like)
    assert found == outcome_of(server_handshake._parse_request, like)
    assert server_handshake.parse_request(KNOWN) == first == server_handshake._parse_request(KNOWN)


@given(
    st.lists(damaged(REQUEST_LINES) | damaged([*REQUEST_LINES, b"Origin: a"]), max_size=6),
    st.sampled_from([KEY, OTHER_KEY]),
)
def test_no_request_means_anything_else_because_of_those_before_it(requests, key):
    for request in requests:
        like = request.replace(KEY.encode(), key.encode())
        for each in (request, like, b"\r\n".join(REQUEST_LINES), like):
            found = outcome_of(server_handshake.parse_request, each)
            assert found == outcome_of(server_handshake._parse_request, each)


def test_a_request_keeps_its_own_key_when_one_like_it_comes():
    """Whoever asked first may look at its headers long after."""
    requests = [
        server_handshake.parse_request(head("GET /kept HTTP/1.1", Sec_WebSocket_Key=key))
        for key in (KEY, OTHER_KEY, KEY)
    ]
    keys = [dict(request.headers)["sec-websocket-key"] for request in requests]
    assert keys == [request.key for request in requests] == [KEY, OTHER_KEY, KEY]


def test_a_request_of_a_known_shape_is_not_parsed_again(monkeypatch):
    server_handshake.parse_request(KNOWN)
    monkeypatch.setattr(handshake, "parse_headers", None)
    like = head("GET /chat HTTP/1.1", Sec_WebSocket_Key=OTHER_KEY)
    assert server_handshake.parse_request(like).key == OTHER_KEY


def test_of_requests_that_may_have_a_secret_nothing_is_kept_and_of_others_not_much():
    shapes = server_handshake._SHAPES._known
    shapes.clear()
    for secret in (
        head("GET /?token=x HTTP/1.1"),
        head("GET / HTTP/1.1", "Cookie: a=b"),
        head("GET / HTTP/1.1", "Authorization: Bearer x"),
        head("GET / HTTP/1.1", Sec_WebSocket_Protocol="access-token, x"),
        head("GET / HTTP/1.1", "User-Agent: " + "x" * server_handshake.MAX_SHAPE_BYTES),
    ):
        server_handshake.parse_request(secret)
    assert not shapes
    for number in range(3 * server_handshake.MAX_SHAPES):
        server_handshake.parse_request(head(f"GET /{number} HTTP/1.1"))
        assert 0 < len(shapes) <= server_handshake.MAX_SHAPES


def test_the_answer_to_a_head_request_has_the_length_of_a_body_and_none():
    """RFC 9110, 9.3.2."""
    answers = []
    for method in ("HEAD", "PUT"):
        with pytest.raises(HandshakeRefused) as refused:
            server_handshake.parse_request(f"{method} / HTTP/1.1\r\nHost: h".encode())
        answers.append(server_handshake.refusal_response(refused.value).partition(b"\r\n\r\n"))
    (head, _, body), (other_head, _, other_body) = answers
    assert (body, other_body) == (b"", b"A WebSocket begins with GET.\n")
    lengths = [re.search(rb"Content-Length: (\d+)", each)[1] for each in (head, other_head)]
    assert lengths == [b"29", b"29"]
