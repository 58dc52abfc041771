import pytest

from loadgen.workload.pacing import Stage
from loadgen.workload.plan import Plan, parse_header, parse_headers, parse_stage
from loadgen.workload.target import DEFAULT_URL, Target


def test_a_plan_has_the_contracts_defaults():
    plan = Plan(10_000)
    assert plan.url == DEFAULT_URL == "ws://127.0.0.1:8765/"
    assert (plan.connect_concurrency, plan.connect_timeout_s) == (256, 10.0)
    assert (plan.load_s, plan.total_rate(7), plan.messages) == (10.0, 7.0, None)
    assert (plan.connect_rate, plan.lifetime_s, plan.stages) == (None, None, ())
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
        pytest.param(
            {"rate": 5.0, "rate_per_conn": 1.0},
            "--rate-per-conn and --rate both say",
            id="two-rates",
        ),
        pytest.param(
            {"rate": 5.0, "stages": (Stage(1, 1),)},
            "--rate and --stage both say",
            id="rate-and-stages",
        ),
        pytest.param(
            {"rate_per_conn": 1.0, "closed_loop": True},
            "--closed-loop both say",
            id="rate-in-a-closed-loop",
        ),
        pytest.param(
            {"duration_s": 10.0, "stages": (Stage(1, 1),)},
            "--stage and --duration both",
            id="duration-and-stages",
        ),
        pytest.param(
            {"messages": 3, "stages": (Stage(1, 1),)},
            "--stage and --messages both",
            id="messages-and-stages",
        ),
        pytest.param({"stages": (Stage(0, 5),)}, "take no time", id="stages-of-no-time"),
        pytest.param({"messages": 3, "rate": 0.0}, "--rate is 0/s", id="messages-no-total-rate"),
        pytest.param({"messages": 3, "lifetime_s": 1.0}, "--lifetime opens more", id="churn"),
        pytest.param({"lifetime_s": 0.0}, "--lifetime has to be more than 0", id="no-life"),
        pytest.param({"connect_rate": 0.0}, "--connect-rate has to be more", id="no-connects"),
        pytest.param({"message": "m", "message_file": "f"}, "--message-file both say", id="two-m"),
        pytest.param({"message_file": "/nowhere/m"}, "/nowhere/m: No such file", id="no-file"),
        pytest.param({"headers": (("Upgrade", "x"),)}, "can't set Upgrade", id="own-header"),
        pytest.param(
            {"headers": (("sec-websocket-protocol", "x"),)},
            "use --subprotocol",
            id="subprotocol-by-header",
        ),
        pytest.param(
            {"headers": (("Origin", "x"),), "origin": "y"},
            "--origin and --header both",
            id="two-origins",
        ),
        pytest.param({"headers": (("X", "a\nb"),)}, "is not a header", id="smuggled-header"),
        pytest.param({"origin": "http://x\r\nY: z"}, "is not a header", id="smuggled-origin"),
        pytest.param({"subprotocols": ("a b",)}, "is not a subprotocol", id="subprotocol"),
        pytest.param({"insecure": True}, "--insecure goes with wss", id="insecure-ws"),
        pytest.param({"cacert": "x.pem"}, "--cacert goes with wss", id="cacert-ws"),
        pytest.param({"source_ips": ("nonsense",)}, "no local address", id="source"),
    ],
)
def test_settings_that_contradict_each_other_are_refused_in_one_line(settings, complaint):
    with pytest.raises(ValueError, match=complaint) as caught:
        Plan(1, **settings)
    assert "\n" not in str(caught.value)


def test_a_closed_loop_needs_no_rate_for_its_messages():
    assert Plan(1, messages=3, closed_loop=True, think_s=0.1).messages == 3


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


def test_stages_are_as_long_as_all_of_them():
    assert Plan(1, stages=(Stage(2, 10), Stage(0, 20), Stage(3, 20))).load_s == 5


def test_messages_alone_bound_no_time_and_with_a_duration_whichever_comes_first():
    assert Plan(2, messages=5).load_s == float("inf")
    assert Plan(2, messages=5, duration_s=3.0).load_s == 3
    assert Plan(2, messages=5, duration_s=3.0).pace(2).total == 6
    assert Plan(2, messages=5, duration_s=30.0).pace(2).total == 10


def test_a_rate_of_all_together_does_not_depend_on_how_many_are_open():
    assert Plan(10, rate=30.0).pace(10).total == Plan(10, rate=30.0).pace(4).total == 300


def test_the_report_says_what_held_where_nothing_was_said():
    settings = Plan(3).settings()
    assert (settings["rate_per_conn"], settings["duration_s"]) == (1.0, 10.0)
    assert Plan(3, rate=5.0).settings()["rate_per_conn"] is None
    assert Plan(3, stages=(Stage(2, 10),)).settings()["duration_s"] == 2.0
    assert Plan(3, messages=5).settings()["duration_s"] is None
    assert Plan(3, closed_loop=True).settings()["rate_per_conn"] is None
    assert not {"message_content", "shard_of"} & set(settings)


def test_a_stage_is_a_duration_and_a_rate():
    assert parse_stage("1.5m:5k/s") == Stage(90.0, 5000.0)
    for text in ("30s", "30s:", ":5/s", "30:5/s", "30s:5"):
        with pytest.raises(ValueError, match="write it like"):
            parse_stage(text)


def test_a_header_is_a_name_and_a_value():
    assert parse_header("X-Key:  a: b ") == ("X-Key", "a: b")
    assert parse_header("X-Empty:") == ("X-Empty", "")
    for text in ("nonsense", ": value"):
        with pytest.raises(ValueError, match="write it like 'Name: value'"):
            parse_header(text)


def test_the_handshake_has_the_headers_in_order_and_a_host_of_the_users():
    plan = Plan(1, "ws://h:9/p", headers=(("X-A", "1"), ("Host", "other"), ("X-A", "2")),
                origin="https://o", subprotocols=("b", "a"))  # fmt: skip
    lines = plan.request(plan.target)("KEY").decode().split("\r\n")
    assert lines[:2] == ["GET /p HTTP/1.1", "Host: other"]
    assert lines[6:] == [
        "Sec-WebSocket-Protocol: b, a", "X-A: 1", "X-A: 2", "Origin: https://o", "", "",
    ]  # fmt: skip


def test_a_file_is_the_message_as_it_is(tmp_path):
    content = b"\x00\xff{conn}/{seq} {what} \n"
    (tmp_path / "m").write_bytes(content)
    payloads = Plan(1, message_file=str(tmp_path / "m"), binary=True).payloads()
    assert payloads.render(3, 4) == b"\x00\xff3/4 {what} \n"
    with pytest.raises(ValueError, match=r"--message-file is not valid UTF-8.*add --binary"):
        Plan(1, message_file=str(tmp_path / "m"))


def test_a_shard_carries_the_file_with_it(tmp_path):
    (tmp_path / "m").write_text("ä {seq}")
    shard = Plan(2, message_file=str(tmp_path / "m")).shard(1, 2)
    (tmp_path / "m").unlink()
    assert shard.payloads().render(0, 7) == "ä 7"
    assert shard.conn(0) == 1


@pytest.mark.parametrize(
    ("index", "shards"), [pytest.param(0, 3, id="too-many"), pytest.param(2, 2, id="no-such")]
)
def test_no_more_shards_than_sockets(index, shards):
    with pytest.raises(ValueError, match="can't be cut"):
        Plan(2).shard(index, shards)
    with pytest.raises(ValueError, match="can't be cut"):
        Plan(2).shard(0, 2).shard(0, 1)


@pytest.mark.parametrize("text", ["é", "日本", "plain"])
def test_a_header_is_the_same_bytes_from_the_command_line_and_from_a_file(tmp_path, text):
    file = tmp_path / "headers"
    file.write_text(f"\ufeffX-Name: {text}\r\n\r\nX-Other: 1\r\n", encoding="utf-8")
    given = (*parse_headers(f"X-Name: {text}"), *parse_headers("X-Other: 1"))
    assert parse_headers(f"@{file}") == [*given]
    plan = Plan(1, headers=given)
    assert f"X-Name: {text}\r\n".encode() in plan.request(plan.target)("key")
