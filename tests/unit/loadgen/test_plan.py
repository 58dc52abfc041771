import pytest

from loadgen.plan import DEFAULT_URL, Plan, Target


def test_a_plan_has_the_contracts_defaults():
    plan = Plan(10_000)
    assert plan.url == DEFAULT_URL == "ws://127.0.0.1:8765/"
    assert (plan.connect_concurrency, plan.connect_timeout_s) == (256, 10.0)
    assert (plan.duration_s, plan.rate_per_conn, plan.messages) == (10.0, 1.0, None)
    assert (plan.closed_loop, plan.think_s) == (False, 0.0)
    assert (plan.verify, plan.stop_timeout_s, plan.seed) == ("suffix", 5.0, 0)


def test_the_default_message_is_padded_to_32_bytes():
    assert Plan(1).payloads().render(12, 3) == "12-3" + 28 * "."


def test_a_message_of_the_users_is_padded_only_if_asked_for():
    assert Plan(1, message="{seq}").payloads().render(0, 7) == "7"
    assert Plan(1, message="{seq}", size_bytes=3).payloads().render(0, 7) == "7.."


def test_the_default_message_can_be_of_another_size():
    assert Plan(1, size_bytes=0).payloads().render(12, 3) == "12-3"
    assert len(Plan(1, size_bytes=500).payloads().render(12, 3)) == 500


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        pytest.param({"think_s": 1.0}, "--think goes with --closed-loop", id="think-open-loop"),
        pytest.param({"messages": 3, "rate_per_conn": 0.0}, "needs a rate", id="messages-no-rate"),
        pytest.param({"message": "{nonsense}"}, "unknown placeholder", id="placeholder"),
        pytest.param({"message": "\udcff"}, "not valid UTF-8", id="not-utf-8"),
        pytest.param({"url": "http://x/"}, "write it like ws://", id="http-url"),
    ],
)
def test_settings_that_contradict_each_other_are_refused_in_one_line(settings, complaint):
    with pytest.raises(ValueError, match=complaint) as caught:
        Plan(1, **settings)
    assert "\n" not in str(caught.value)


def test_a_closed_loop_needs_no_rate_for_its_messages():
    assert Plan(1, messages=3, rate_per_conn=0.0, closed_loop=True, think_s=0.1).messages == 3


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
        pytest.param("wss://h/", id="wss-not-yet"),
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
