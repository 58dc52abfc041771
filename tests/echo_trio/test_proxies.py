"""Who the client is, as proxies say it that may."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from echo_trio.proxies import client_of, is_trusted, parse_network

PROXIES = tuple(filter(None, map(parse_network, ["10.0.0.0/8", "2001:db8::/32"])))


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "client"),
    [
        ("10.0.0.1:80", ["203.0.113.7"], "203.0.113.7"),
        ("10.0.0.1:80", ["203.0.113.7:4711"], "203.0.113.7:4711"),
        ("10.0.0.1:80", ["[2001:DB9::1]:4711"], "[2001:db9::1]:4711"),
        ("10.0.0.1:80", ["[2001:db9::1]"], "2001:db9::1"),
        ("10.0.0.1:80", ["::ffff:203.0.113.7"], "203.0.113.7"),
        ("[2001:db8::1]:80", ["203.0.113.7"], "203.0.113.7"),
        ("10.0.0.1:80", ["198.51.100.9, 203.0.113.7 ,10.0.0.2"], "203.0.113.7"),
        ("10.0.0.1:80", ["198.51.100.9", "203.0.113.7", "10.0.0.2"], "203.0.113.7"),
        ("10.0.0.1:80", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ("10.0.0.1:80", ["203.0.113.7, unknown, 10.0.0.2"], "10.0.0.2"),
        ("10.0.0.1:80", ["203.0.113.7, "], "10.0.0.1:80"),
        ("10.0.0.1:80", ["203.0.113.7:65535"], "203.0.113.7:65535"),
        ("10.0.0.1:80", ["203.0.113.7:65536"], "10.0.0.1:80"),
        ("10.0.0.1:80", [], "10.0.0.1:80"),
        ("203.0.113.8:80", ["203.0.113.7"], "203.0.113.8:80"),
        ("", ["203.0.113.7"], ""),
    ],
)
def test_the_client_is_the_nearest_hop_that_is_no_proxy(peer, forwarded_for, client) -> None:
    assert client_of(peer, forwarded_for, PROXIES) == client


@given(st.lists(st.text()), st.ip_addresses().map(str))
def test_whatever_is_forwarded_a_stranger_is_itself(forwarded_for, stranger) -> None:
    if not is_trusted(stranger, PROXIES):
        assert client_of(stranger, forwarded_for, PROXIES) == stranger
    assert isinstance(client_of("10.0.0.1:80", forwarded_for, PROXIES), str)


@pytest.mark.parametrize("text", ["", "example.com", "10.0.0.1/8", "10.0.0.0/33", "10.0.0.0/x"])
def test_what_is_no_network_is_none(text) -> None:
    assert parse_network(text) is None
