"""Pass on the headers for the other end, keep those of one hop, and add who asked."""

from __future__ import annotations

from echo_trio.proxy.headers import end_to_end, forwarded, show

OF_A_HOP = [
    ("connection", "keep-alive, X-Own ,Upgrade"), ("keep-alive", "5"), ("proxy-authenticate", "a"),
    ("proxy-authorization", "b"), ("proxy-connection", "c"), ("te", "d"), ("trailer", "e"),
    ("transfer-encoding", "chunked"), ("upgrade", "websocket"), ("x-own", "named by connection"),
    ("content-length", "0"), ("host", "front.example"), ("sec-websocket-accept", "f"),
    ("sec-websocket-extensions", "g"), ("sec-websocket-key", "h"),
    ("sec-websocket-protocol", "i"), ("sec-websocket-version", "13"),
]  # fmt: skip
PASSED = [("cookie", "a=b"), ("x-kind", "plain"), ("cookie", "c=d"), ("x-forwarded-server", "s")]


def test_what_is_for_the_other_end_goes_on_in_order() -> None:
    mixed = [pair for pairs in zip(OF_A_HOP, PASSED * 5, strict=False) for pair in pairs]
    assert end_to_end(mixed) == [pair for pair in mixed if pair in PASSED]
    assert end_to_end([("x-own", "not named")]) == [("x-own", "not named")]
    assert end_to_end([("x-own", "v"), ("x-list", "x-own")]) == [
        ("x-own", "v"),
        ("x-list", "x-own"),
    ]


def test_an_upstream_is_told_whom_it_is_for_behind_whom_others_have_named() -> None:
    assert forwarded([*OF_A_HOP, *PASSED], client="203.0.113.9", tls=True) == [
        *PASSED, ("x-forwarded-for", "203.0.113.9"), ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "front.example"),
    ]  # fmt: skip
    before = [
        ("x-forwarded-for", "198.51.100.1"), ("x-forwarded-for", ""), ("x-kind", "plain"),
        ("x-forwarded-for", "10.0.0.1, 10.0.0.2"), ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "forged.example"),
    ]  # fmt: skip
    assert forwarded(before, client="10.0.0.3", tls=False) == [
        ("x-kind", "plain"),
        ("x-forwarded-for", "198.51.100.1, 10.0.0.1, 10.0.0.2, 10.0.0.3"),
        ("x-forwarded-proto", "https, http"),
    ]


def test_headers_are_lines() -> None:
    assert show([("a", "b"), ("c", "")]) == "a: b\r\nc: \r\n"
