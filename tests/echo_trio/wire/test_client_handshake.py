"""The client's end of the opening handshake: what it asks, and which answers it takes."""

from __future__ import annotations

import pytest
import trio
from hypothesis import example, given
from hypothesis import strategies as st

from echo_trio.wire import client_handshake, handshake, server_handshake
from echo_trio.wire.client_handshake import MAX_INTERIM, HandshakeFailed, Rejected

from .damaged import damaged, heads

# RFC 6455, section 1.3.
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def test_our_request_is_one_that_we_would_accept():
    key = client_handshake.make_key()
    data = client_handshake.request_bytes(
        "/path?q", "example.org:81", key, [("X-Other", "value")], ["chat", "superchat"]
    )
    assert data.endswith(b"\r\n\r\n")
    request = server_handshake.parse_request(data[:-4])
    assert (request.target, request.key) == ("/path?q", key)
    assert request.subprotocols == ["chat", "superchat"]
    assert {("host", "example.org:81"), ("x-other", "value")} <= set(request.headers)


def test_keys_differ():
    assert len({client_handshake.make_key() for _ in range(100)}) == 100


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param({"target": "no-slash"}, id="target without a slash"),
        pytest.param({"target": "/a b"}, id="space in the target"),
        pytest.param({"target": "/ HTTP/1.1\r\nX: y"}, id="line break in the target"),
        pytest.param({"host": "a\r\nX: y"}, id="line break in the host"),
        pytest.param({"headers": [("X", "a\r\nY: b")]}, id="line break in a header"),
        pytest.param({"headers": [("X: a\r\nY", "b")]}, id="line break in a name"),
        pytest.param({"subprotocols": ["a, b"]}, id="two subprotocols in one"),
    ],
)
def test_a_request_that_http_does_not_allow_is_not_built(arguments):
    with pytest.raises(ValueError):  # noqa: PT011
        client_handshake.request_bytes(**{"target": "/", "host": "here", "key": KEY} | arguments)


def answer(line="HTTP/1.1 101 Switching Protocols", *more: str, **changes: str | None) -> bytes:
    headers = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Accept": ACCEPT}
    headers |= {name.replace("_", "-"): value for name, value in changes.items()}
    lines = [f"{name}: {value}" for name, value in headers.items() if value is not None]
    return "\r\n".join([line, *lines, *more]).encode("latin-1")


@pytest.mark.parametrize(
    "response",
    [
        pytest.param(answer(), id="plain"),
        pytest.param(answer("HTTP/1.1 101"), id="without a phrase"),
        pytest.param(answer("HTTP/1.1 101 "), id="with an empty phrase"),
        pytest.param(answer("HTTP/1.1 101 Ümschalten"), id="with a phrase in another language"),
        pytest.param(answer(Upgrade="WebSocket", Connection="upgrade"), id="case"),
        pytest.param(answer(Server="größer"), id="a header that is not ASCII"),
    ],
)
def test_a_right_answer_is_accepted(response):
    assert client_handshake.parse_response(response, KEY).subprotocol is None


def test_the_chosen_subprotocol_and_the_headers_are_told():
    response = answer(Sec_WebSocket_Protocol="chat", Server="s")
    accepted = client_handshake.parse_response(response, KEY, ["other", "chat"])
    assert accepted.subprotocol == "chat"
    assert ("server", "s") in accepted.headers


@pytest.mark.parametrize("status", [100, 200, 301, 400, 401, 403, 404, 426, 500, 503])
def test_another_status_is_told_apart(status):
    with pytest.raises(Rejected) as caught:
        client_handshake.parse_response(f"HTTP/1.1 {status} No\r\nServer: s".encode(), KEY)
    assert caught.value.status == status


@pytest.mark.parametrize(
    "response",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"garbage \xff\x00\r\n\xfe", id="garbage"),
        pytest.param(b"\x15\x03\x03\x00\x02\x02\x16", id="a TLS alert"),
        pytest.param(answer("HTTP/1.0 101 Switching Protocols"), id="HTTP/1.0"),
        pytest.param(answer("HTTP/1.1 1011 Switching Protocols"), id="a status of four digits"),
        pytest.param(answer("HTTP/1.1 999 No"), id="a status that there is not"),
        pytest.param(answer(Upgrade=None), id="no Upgrade"),
        pytest.param(answer(Upgrade="h2c"), id="another upgrade"),
        pytest.param(answer(Connection=None), id="no Connection"),
        pytest.param(answer(Connection="close"), id="another Connection"),
        pytest.param(answer(Sec_WebSocket_Accept=None), id="no accept"),
        pytest.param(answer(Sec_WebSocket_Accept=KEY), id="a wrong accept"),
        pytest.param(answer(Sec_WebSocket_Accept=ACCEPT.lower()), id="accept in the wrong case"),
        pytest.param(
            answer("HTTP/1.1 101 OK", f"Sec-WebSocket-Accept: {ACCEPT}"), id="accept twice"
        ),
        pytest.param(answer(Sec_WebSocket_Extensions="permessage-deflate"), id="an extension"),
        pytest.param(answer(Sec_WebSocket_Protocol="chat"), id="a subprotocol"),
        pytest.param(answer(Sec_WebSocket_Protocol="offered, chat"), id="two subprotocols"),
        pytest.param(
            answer(
                "HTTP/1.1 101 OK",
                "Sec-WebSocket-Protocol: offered",
                Sec_WebSocket_Protocol="offered",
            ),
            id="a subprotocol twice",
        ),
        pytest.param(answer("HTTP/1.1 101 OK", "no colon"), id="a malformed header"),
        pytest.param(answer("HTTP/1.1 101 OK", "X : y"), id="a space before the colon"),
        pytest.param(answer("HTTP/1.1 101 OK", *["X: y"] * 126), id="129 headers"),
    ],
)
def test_a_wrong_answer_fails_the_handshake(response):
    with pytest.raises(HandshakeFailed) as caught:
        client_handshake.parse_response(response, KEY, ["offered"])
    assert type(caught.value) is HandshakeFailed


tokens = st.text("abcXYZ019-_.!", min_size=1, max_size=8)


values = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=20)


@given(st.lists(st.tuples(tokens.map("X-{}".format), values)), st.lists(tokens, unique=True))
def test_what_we_ask_for_is_what_a_server_reads(headers, subprotocols):
    data = client_handshake.request_bytes("/x?y", "here:80", KEY, headers, subprotocols)
    request = server_handshake.parse_request(data[:-4])
    assert request.subprotocols == subprotocols
    expected = [(name.lower(), value.strip()) for name, value in headers]
    assert [pair for pair in request.headers if pair in expected] == expected


@given(st.text(), st.text(), st.text())
def test_no_header_can_be_smuggled_into_our_request(host, name, value):
    try:
        data = client_handshake.request_bytes("/", host, KEY, [(name, value)])
    except ValueError:
        return
    assert data.count(b"\r\n") == 8
    assert data.count(b"\n") == data.count(b"\r") == 8


@pytest.mark.parametrize("size", [1, 7, 64, 10_000])
async def test_interim_answers_are_passed_over_however_the_bytes_are_cut(size):
    final = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket"
    stream = (
        b"HTTP/1.1 100 Continue\r\n\r\n"
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + final + b"\r\n\r\n\x81\x02hi"
    )
    pieces = [stream[at : at + size] for at in range(0, len(stream), size)]

    async def receive():
        return pieces.pop(0)

    head, behind = await client_handshake.receive_answer(receive)
    assert head == final
    assert behind + b"".join(pieces) == b"\x81\x02hi"


@pytest.mark.parametrize("count", [MAX_INTERIM, MAX_INTERIM + 1])
async def test_as_many_interim_answers_are_passed_over_as_are_allowed(count):
    final = b"HTTP/1.1 101 Switching Protocols"
    stream = b"HTTP/1.1 102 Processing\r\n\r\n" * count + final + b"\r\n\r\n"
    pieces = [stream]

    async def receive():
        return pieces.pop(0)

    if count > MAX_INTERIM:
        with pytest.raises(HandshakeFailed, match=f"more than {MAX_INTERIM} interim answers"):
            await client_handshake.receive_answer(receive)
    else:
        assert await client_handshake.receive_answer(receive) == (final, b"")


# -- Many handshakes with one server ----------------------------------------------------------

KEYS = [client_handshake.make_key() for _ in range(3)]


def test_a_template_makes_the_requests_that_its_function_makes():
    def make(key):
        return client_handshake.request_bytes("/a", "here", key, [("X", "y")], ["chat"])

    template = client_handshake.RequestTemplate(make)
    assert [template(key) for key in KEYS] == [make(key) for key in KEYS]


def accept_of(key: str) -> str:
    return handshake.accept_value(key)


def test_answers_of_one_shape_are_parsed_once(monkeypatch):
    reader = client_handshake.AnswerReader(["chat"])
    first = answer(Sec_WebSocket_Accept=accept_of(KEYS[0]), Sec_WebSocket_Protocol="chat")
    assert reader.read(first, KEYS[0]).subprotocol == "chat"
    monkeypatch.setattr(client_handshake, "parse_response", None)
    second = answer(Sec_WebSocket_Accept=accept_of(KEYS[1]), Sec_WebSocket_Protocol="chat")
    assert reader.read(second, KEYS[1]).subprotocol == "chat"


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(answer(Sec_WebSocket_Accept=accept_of(KEYS[2])), id="another's key"),
        pytest.param(answer(Sec_WebSocket_Accept=None), id="no accept"),
        pytest.param(answer(Sec_WebSocket_Accept=accept_of(KEYS[1]) + "x"), id="more behind it"),
        pytest.param(
            answer("HTTP/1.1 200 OK", Sec_WebSocket_Accept=accept_of(KEYS[1])), id="another status"
        ),
        pytest.param(
            answer(Sec_WebSocket_Accept=accept_of(KEYS[2]), X_Other=accept_of(KEYS[1])),
            id="the right value in another header",
        ),
    ],
)
def test_behind_a_right_answer_a_wrong_one_is_still_wrong(wrong):
    reader = client_handshake.AnswerReader()
    reader.read(answer(Sec_WebSocket_Accept=accept_of(KEYS[0])), KEYS[0])
    with pytest.raises(HandshakeFailed):
        reader.read(wrong, KEYS[1])


def test_an_answer_that_has_the_value_twice_is_no_pattern_for_the_next():
    reader = client_handshake.AnswerReader()
    twice = "HTTP/1.1 101 x\r\nX: {0}\r\nUpgrade: websocket\r\nConnection: Upgrade"
    twice += "\r\nSec-WebSocket-Accept: {1}"
    accept, other = accept_of(KEYS[0]), accept_of(KEYS[1])
    reader.read(twice.format(accept, accept).encode(), KEYS[0])
    with pytest.raises(HandshakeFailed):
        reader.read(twice.format(other, accept).encode(), KEYS[1])


# -- Whatever bytes arrive --------------------------------------------------------------------

RESPONSE_LINES = [
    b"HTTP/1.1 101 Switching Protocols",
    b"Upgrade: websocket",
    b"Connection: Upgrade",
    b"Sec-WebSocket-Accept: " + ACCEPT.encode(),
]


@given(heads | damaged(RESPONSE_LINES), st.lists(st.text(max_size=5), max_size=3))
@example(b"\r\n".join(RESPONSE_LINES), [])
def test_a_response_parses_or_fails_the_handshake(head, subprotocols):
    try:
        accepted = client_handshake.parse_response(head, KEY, subprotocols)
    except HandshakeFailed:
        pass
    else:
        assert head.startswith(b"HTTP/1.1 101")
        assert accepted.subprotocol is None or accepted.subprotocol in subprotocols


def outcome_of(read, head, key):
    try:
        response = read(head, key)
    except HandshakeFailed as exc:
        return type(exc), str(exc)
    return response.subprotocol, response.compression


@given(
    st.lists(
        st.tuples(
            damaged(RESPONSE_LINES) | damaged([*RESPONSE_LINES, b"X: " + ACCEPT.encode()]),
            st.sampled_from(KEYS),
            st.sampled_from(KEYS),
        ),
        max_size=6,
    )
)
def test_no_answer_means_anything_else_because_of_those_before_it(answers):
    reader = client_handshake.AnswerReader()
    for head, answered, key in answers:
        ours = head.replace(ACCEPT.encode(), accept_of(answered).encode())
        right = answer(Sec_WebSocket_Accept=accept_of(key))
        for each in (ours, right, ours):
            assert outcome_of(reader.read, each, key) == outcome_of(
                client_handshake.parse_response, each, key
            )


@given(
    (heads | damaged(RESPONSE_LINES)).map(lambda head: head + b"\r\n\r\n"), st.binary(max_size=9)
)
def test_a_head_that_is_whole_at_once_is_the_one_that_is_received(head, behind):
    """Else it is left to `receive_head`."""

    async def receive() -> bytes:
        return data

    data = head + behind
    whole = handshake.whole_head(data)
    if whole is not None:
        assert trio.run(handshake.receive_head, receive) == whole
