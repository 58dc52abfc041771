"""Decide what may be dialled, without dialling."""

from __future__ import annotations

import json

import pytest

from echo_trio.dialling.order import (
    MAX_HEADERS,
    BadOrder,
    DialOrder,
    check_target,
    make_request,
    read_order,
    read_target,
    why_not_there,
)
from echo_trio.wire.handshake import MAX_HEAD_BYTES

ALLOWED = {("chat.example", 80), ("localhost", 80), ("10.0.0.7", 80), ("127.0.0.1", 8765)}


@pytest.mark.parametrize(
    ("host", "port", "address", "says"),
    [
        ("chat.example", 80, "93.184.216.34", None),
        ("chat.example", 80, "10.1.2.3", None),
        ("chat.example", 80, "fd00::1", None),
        ("chat.example", 80, "127.0.0.1", "this machine"),
        ("chat.example", 80, "127.8.9.1", "this machine"),
        ("chat.example", 80, "::1", "--run-target [::1]:80"),
        ("chat.example", 80, "::ffff:127.0.0.1", "this machine"),
        ("chat.example", 8765, "127.0.0.1", None),
        ("chat.example", 80, "169.254.169.254", "link-local"),
        ("chat.example", 80, "::ffff:169.254.169.254", "link-local"),
        ("chat.example", 80, "fe80::1%eth0", "link-local"),
        ("chat.example", 80, "0.0.0.0", "no address of a server"),
        ("chat.example", 80, "::", "no address of a server"),
        ("chat.example", 80, "224.0.0.1", "no address of a server"),
        ("chat.example", 80, "255.255.255.255", "no address of a server"),
        ("localhost", 80, "127.0.0.1", None),
        ("api.localhost", 80, "::1", None),
        ("localhost.example", 80, "127.0.0.1", "this machine"),
        ("evillocalhost", 80, "127.0.0.1", "this machine"),
        ("a.evillocalhost", 80, "::1", "this machine"),
        ("localhost", 80, "169.254.169.254", "link-local"),
        ("10.0.0.7", 80, "10.0.0.7", None),
        ("169.254.1.1", 80, "169.254.1.1", None),  # The operator has written it so.
    ],
)
def test_a_name_leads_to_no_service_of_this_machine_and_to_no_metadata(host, port, address, says):
    why = why_not_there(host, port, address, ALLOWED)
    assert (why is None) == (says is None), why
    assert says is None or says in why


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("ws://A.example", ("a.example", 80, False, "/", "a.example")),
        ("wss://a.example:443/x?y=%20", ("a.example", 443, True, "/x?y=%20", "a.example")),
        ("wss://a.example:80", ("a.example", 80, True, "/", "a.example:80")),
        ("ws://[::1]:9/", ("::1", 9, False, "/", "[::1]:9")),
        ("ws://a:0/", ("a", 0, False, "/", "a:0")),
        *(
            (url, None)
            for url in (
                *("", "a.example", "http://a", "ws://", "ws:///x", "ws://a:x/", "ws://a b/"),
                *("ws://u:p@a/", "ws://a/#f", "ws://a/ü", "ws://a/\r\nX: y", "ws://[::1/"),
            )
        ),
    ],
)
def test_the_url_of_a_target(url, target):
    if target is None:
        with pytest.raises(BadOrder) as caught:
            read_target(DialOrder(url=url))
        assert (caught.value.status, caught.value.field) == (422, "url")
        return
    read = read_target(DialOrder(url=url))
    assert (read.host, read.port, read.tls, read.path, read.authority) == target


@pytest.mark.parametrize("names", [("Host",), ("Host", "host"), ("host", "HOST", "X-Host")])
def test_there_is_one_host_however_it_is_written(names):
    headers = [(name, "b.example") for name in names]
    order = json.dumps({"url": "ws://a.example", "headers": headers}).encode()
    if len(names) == 1:
        request = make_request(read_order(order), read_target(read_order(order)), "key", [])
        assert request.count(b"b.example") == 1
        assert b"a.example" not in request
        return
    with pytest.raises(BadOrder, match="one Host only") as caught:
        read_order(order)
    assert (caught.value.status, caught.value.field) == (422, "headers")


@pytest.mark.parametrize("count", [MAX_HEADERS, MAX_HEADERS + 1])
def test_as_many_headers_are_sent_as_are_allowed(count):
    body = json.dumps({"url": "ws://a", "headers": [["x", str(n)] for n in range(count)]}).encode()
    if count > MAX_HEADERS:
        with pytest.raises(BadOrder, match=f"at most {MAX_HEADERS}"):
            read_order(body)
    else:
        assert len(read_order(body).headers) == MAX_HEADERS


@pytest.mark.parametrize("over", [0, 1])
def test_a_request_is_sent_up_to_the_size_that_servers_take(over):
    target = read_target(DialOrder(url="ws://a.example"))
    fixed = len(make_request(DialOrder(url="", headers=[("x", "")]), target, "key", []))
    order = DialOrder(url="", headers=[("x", "v" * (MAX_HEAD_BYTES - fixed + over))])
    if not over:
        assert len(make_request(order, target, "key", [])) == MAX_HEAD_BYTES
        return
    with pytest.raises(BadOrder, match=f"at most {MAX_HEAD_BYTES} bytes") as caught:
        make_request(order, target, "key", [])
    assert (caught.value.status, caught.value.field) == (422, "headers")


def test_a_request_has_the_order_of_its_page():
    order = DialOrder(
        url="ws://a.example:81/x",
        headers=[("X-B", "1"), ("Host", "b.example"), ("X-A", "2"), ("x-b", "3")],
        subprotocols=["b", "a"],
    )
    assert make_request(order, read_target(order), "key", ["one", "other"]) == (
        b"GET /x HTTP/1.1\r\nHost: b.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: key\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Protocol: b, a\r\nSec-WebSocket-Extensions: one, other\r\n"
        b"X-B: 1\r\nX-A: 2\r\nx-b: 3\r\n\r\n"
    )


OURS = (
    *("Connection", "content-length", "Sec-WebSocket-Accept", "Sec-WebSocket-Extensions"),
    *("Sec-WebSocket-Key", "Sec-WebSocket-Protocol", "Sec-WebSocket-Version", "TE", "Trailer"),
    *("Transfer-Encoding", "UPGRADE"),
)


@pytest.mark.parametrize("name", OURS)
def test_a_page_sets_no_header_of_the_handshake_and_none_that_announces_a_body(name):
    body = json.dumps({"url": "ws://a", "headers": [["x", "y"], [name, "v"]]}).encode()
    with pytest.raises(BadOrder, match=f"headers: {name} is the handshake's own") as caught:
        read_order(body)
    assert (caught.value.status, caught.value.field) == (422, "headers")


@pytest.mark.parametrize(
    ("body", "status", "field", "says"),
    [
        (b"{", 400, None, "the body is not JSON"),
        (b"[]", 422, None, "the body: "),
        (b"{}", 422, "url", "url: Object missing required field `url`"),
        (b'{"url": 1}', 422, "url", "url: Expected `str`, got `int`"),
        (b'{"url": "", "headers": [["a"]]}', 422, "headers", "headers: "),
        (b'{"url": "", "x": 1}', 422, "x", "x: Object contains unknown field `x`"),
        (b'{"url": "", "%b": 1}' % (b"x" * 65), 422, "x" * 64, "x" * 64 + ": "),
    ],
)
def test_a_body_that_is_no_order_is_told_by_its_field(body, status, field, says):
    with pytest.raises(BadOrder) as caught:
        read_order(body)
    assert (caught.value.status, caught.value.field) == (status, field)
    assert str(caught.value).startswith(says)
    assert " - at " not in str(caught.value)


def test_an_order_has_its_defaults_and_what_the_page_says_instead():
    assert read_order(b'{"url": "ws://a"}') == DialOrder(
        url="ws://a", headers=[], subprotocols=[], compression=True, certificate=None,
        insecure=False,
    )  # fmt: skip
    told = {
        "url": "ws://a", "headers": [["a", "b"]], "subprotocols": ["c"], "compression": False,
        "certificate": "d", "insecure": True,
    }  # fmt: skip
    assert read_order(json.dumps(told).encode()) == DialOrder(
        url="ws://a", headers=[("a", "b")], subprotocols=["c"], compression=False,
        certificate="d", insecure=True,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("url", "where"),
    [
        ("ws://chat.example", None),
        ("ws://CHAT.example:80/x", None),
        ("ws://chat.example:81", "chat.example:81"),
        ("wss://chat.example", "chat.example:443"),
        ("ws://www.chat.example", "www.chat.example:80"),
        ("ws://[fe80::1]:8765", "[fe80::1]:8765"),
    ],
)
def test_a_host_is_dialled_at_the_port_that_is_allowed(url, where):
    target = read_target(DialOrder(url=url))
    if where is None:
        check_target(target, ALLOWED)
        return
    with pytest.raises(BadOrder) as caught:
        check_target(target, ALLOWED)
    assert (caught.value.status, caught.value.field) == (403, "url")
    assert str(caught.value) == (
        f"this console does not dial {where}: start the server with --run-target {where}"
    )


@pytest.mark.parametrize(
    ("more", "field"),
    [({"headers": [("X", "a\nb")]}, "headers"), ({"subprotocols": ["a b"]}, "subprotocols")],
)
def test_what_can_not_be_sent_is_told_by_its_field(more, field):
    order = DialOrder(url="ws://a", **more)
    with pytest.raises(BadOrder, match=f"^{field}: ") as caught:
        make_request(order, read_target(order), "key", [])
    assert (caught.value.status, caught.value.field) == (422, field)
