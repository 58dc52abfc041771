import pytest

from loadgen.workload.target import Target, write_origin


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        pytest.param("ws://h/", ("h", 80, "h", "/"), id="default-port"),
        pytest.param("ws://h", ("h", 80, "h", "/"), id="no-path"),
        pytest.param("ws://h:80/", ("h", 80, "h", "/"), id="default-port-written"),
        pytest.param("ws://H:8765/a/b?c=d&e", ("h", 8765, "h:8765", "/a/b?c=d&e"), id="query"),
        pytest.param("ws://h?x", ("h", 80, "h", "/?x"), id="query-without-path"),
        pytest.param("ws://[::1]:9/", ("::1", 9, "[::1]:9", "/"), id="ipv6"),
        pytest.param("ws://[::1]/", ("::1", 80, "[::1]", "/"), id="ipv6-default-port"),
        pytest.param(" ws://h:9/\n", ("h", 9, "h:9", "/"), id="pasted-with-blanks"),
        pytest.param(
            "ws://München.example/",
            ("xn--mnchen-3ya.example", 80, "xn--mnchen-3ya.example", "/"),
            id="umlaut",
        ),
        pytest.param(
            "ws://m%C3%BCnchen.example:9",
            ("xn--mnchen-3ya.example", 9, "xn--mnchen-3ya.example:9", "/"),
            id="umlaut-encoded",
        ),
        pytest.param("ws://faß.de/", ("xn--fa-hia.de", 80, "xn--fa-hia.de", "/"), id="sharp-s"),
        pytest.param(
            "ws://例え.テスト/",
            ("xn--r8jz45g.xn--zckzah", 80, "xn--r8jz45g.xn--zckzah", "/"),
            id="kana",
        ),
        pytest.param("ws://[fe80::1%eth0]:9/", ("fe80::1%eth0", 9, "[fe80::1]:9", "/"), id="zone"),
        pytest.param(
            "ws://[fe80::1%25eth0]/", ("fe80::1%eth0", 80, "[fe80::1]", "/"), id="zone-25"
        ),
        # On some systems the name of an interface has capitals, and they count.
        pytest.param(
            "ws://[FE80::1%Ethernet_2]/",
            ("fe80::1%Ethernet_2", 80, "[fe80::1]", "/"),
            id="zone-in-capitals",
        ),
        pytest.param("ws://h:/", ("h", 80, "h", "/"), id="port-left-empty"),
        pytest.param("WS://h/", ("h", 80, "h", "/"), id="scheme-in-capitals"),
    ],
)
def test_a_url_is_taken_apart(url, expected):
    target = Target.parse(url)
    assert (target.host, target.port, target.authority, target.resource) == expected
    assert not target.tls


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("", id="empty"),
        pytest.param("127.0.0.1:8765", id="no-scheme"),
        pytest.param("http://h/", id="http"),
        pytest.param("ws:///path", id="no-host"),
        pytest.param("ws://h:port/", id="port-no-number"),
        pytest.param("ws://h:70000/", id="port-too-high"),
        pytest.param("ws://h:0/", id="port-zero"),
        pytest.param("ws://[::1/", id="bracket-open"),
        pytest.param("ws://h/#part", id="fragment"),
        pytest.param("ws://h/a b", id="space"),
        pytest.param("ws://h/a\r\nX: y", id="header-smuggling"),
        pytest.param("ws://h/\x7f", id="control"),
        pytest.param("ws://h/ä", id="not-ascii"),
        pytest.param("ws://user:secret@h/", id="user"),
        pytest.param("ws://:9/", id="port-alone"),
        pytest.param("ws://[::1]9/", id="behind-the-bracket"),
        pytest.param("ws://[fe80::1%]/", id="empty-zone"),
        pytest.param("ws://[10.0.0.1]/", id="ipv4-in-brackets"),
        pytest.param("ws://a\u200bb\ud800/", id="no-letters"),
        pytest.param("ws://h%FF/", id="no-utf-8"),
        pytest.param("ws://" + "ü" * 70 + "/", id="label-too-long"),
    ],
)
def test_what_is_no_websocket_url_is_refused_in_one_line(url):
    with pytest.raises(ValueError, match="ws") as caught:
        Target.parse(url)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("ws://::1:8765/", "write ws://[::1]:8765/"),
        ("wss://2001:db8::5", "write wss://[2001:db8::5]/"),
        ("ws://h:abc/", "a port that is no number from 1 to 65535"),
        ("http://h/", "begin it with ws://"),
        ("https://h/", "begin it with wss://"),
        ("ws://h/ä", "written as %C3%A4"),
    ],
)
def test_a_refusal_says_what_to_write(url, says):
    with pytest.raises(ValueError, match="ws") as caught:
        Target.parse(url)
    assert says in str(caught.value)


def test_a_certificate_is_for_the_address_without_its_zone():
    assert Target.parse("wss://[fe80::1%25eth0]/").server_name == "fe80::1"


@pytest.mark.parametrize(
    ("url", "fact"),
    [
        ("ws://h:65535/", ("port", 65535)),
        ("ws://h:1/", ("port", 1)),
        ("wss://h:443/", ("authority", "h")),
        ("wss://h:80/", ("authority", "h:80")),
        ("ws://h/!~", ("resource", "/!~")),
        ("wss://h/", ("tls", True)),
        ("ws://A_b.Example/", ("host", "a_b.example")),
    ],
)
def test_a_url_may_have_what_just_fits(url, fact):
    name, value = fact
    assert getattr(Target.parse(url), name) == value


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("ws://h:65536/", "a port that is no number from 1 to 65535"),
        ("ws://h:123456/", "a port that is no number from 1 to 65535"),
        ("ws://a:b:c/", "write ws://[::1]:8765/"),
        ("8765", "did you mean ws://127.0.0.1:8765/?"),
        ("123456", "write it like ws://127.0.0.1:8765/"),
        ("h:1/x", "begin it with ws:// or wss://, ws://h:1/x"),
        ("ftp://h/", "write it like ws://127.0.0.1:8765/"),
        ("ws://h/ ", None),
        ("ws://h/\x7f", "written as %7F"),
    ],
)
def test_what_does_not_fit_is_told_with_what_would(url, says):
    if says is None:
        assert Target.parse(url)
        return
    with pytest.raises(ValueError, match=r"WebSocket|has an?") as told:
        Target.parse(url)
    assert says in str(told.value)


@pytest.mark.parametrize(
    ("origin", "written"),
    [
        ("https://Example.com:443", "https://Example.com:443"),
        ("https://m\u00fcnchen.example", "https://xn--mnchen-3ya.example"),
        ("https://m\u00fcnchen.example:8443", "https://xn--mnchen-3ya.example:8443"),
        ("null", "null"),
        ("m\u00fcnchen", "m\u00fcnchen"),
    ],
)
def test_an_origin_is_written_as_a_browser_does(origin, written):
    assert write_origin(origin) == written
