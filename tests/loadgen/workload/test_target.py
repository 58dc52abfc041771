import pytest

from loadgen.workload.target import Target


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
    ],
)
def test_what_is_no_websocket_url_is_refused_in_one_line(url):
    with pytest.raises(ValueError, match="ws") as caught:
        Target.parse(url)
    assert "\n" not in str(caught.value)
