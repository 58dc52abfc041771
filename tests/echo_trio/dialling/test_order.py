"""Decide what may be dialled, without dialling."""

from __future__ import annotations

import json

import pytest

from echo_trio.dialling.order import (
    MAX_HEADERS,
    BadOrder,
    DialOrder,
    make_request,
    read_order,
    read_target,
    why_not_there,
)

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
