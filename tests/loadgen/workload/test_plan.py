import pytest

from loadgen.workload.misbehaviour import Behave
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
        pytest.param({"verify": "strict"}, "'strict' is none of suffix", id="verify"),
        pytest.param({"ignore": ("any",)}, "--ignore any leaves no reply", id="ignore-any"),
        pytest.param({"rooms": 2}, "--rooms goes with --verify fan-out", id="rooms"),
        pytest.param(
            {"rooms": 2, "verify": "fan-out"}, "is said by {room} in the URL", id="rooms-nowhere"
        ),
        pytest.param(
            {"rooms": 2, "verify": "fan-out", "url": "ws://host{room}/"},
            "goes into the path or query",
            id="rooms-in-the-host",
        ),
        pytest.param(
            {"verify": "fan-out", "message": "{seq}"}, "needs {conn} and {seq}", id="copies-alike"
        ),
        pytest.param(
            {"verify": "fan-out", "closed_loop": True}, "fan-out has copies", id="closed-fan-out"
        ),
        pytest.param(
            {"arrivals": "poisson", "closed_loop": True}, "--arrivals says when", id="arrivals"
        ),
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


STAGES = (Stage(10.0, 100.0), Stage(20.0, 300.0))
STORM = (Behave.parse("reconnect-storm:50%:5s"), Behave.parse("half-open:20%"))


def test_a_crowd_sends_its_share_of_what_all_send_together():
    plan = Plan(10, rate=200.0, behave=STORM)
    assert (plan.part(8).count, plan.part(8).rate) == (8, 160.0)
    assert plan.part(10) is plan
    plan = Plan(10, stages=STAGES, behave=STORM)
    assert plan.part(2).stages == (Stage(10.0, 20.0), Stage(20.0, 60.0))
    shares = [plan.part(8).pace(8).total, plan.part(2).pace(2).total]
    assert sum(shares) == plan.pace(10).total
    plan = Plan(10, rate_per_conn=3.0)
    assert plan.part(4).total_rate(4) == 12.0


def test_who_misbehaves_is_not_replaced_and_who_behaves_is():
    plan = Plan(10, lifetime_s=5.0, behave=STORM)
    assert plan.part(8).behave == STORM[:1]
    quiet = plan.part(2).without_churn()
    assert (quiet.lifetime_s, quiet.behave, quiet.storm) == (None, (), None)


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_where_sockets_are_missing_only_what_is_due_on_all_together_is_due(missing):
    each_own = Plan(5, rate_per_conn=2.0, duration_s=10.0)
    for index, count in ((0, 3), (1, 2)):
        part = each_own.shard(index, 2)
        there = max(count - missing, 0)
        assert part.pace(there).total == 20 * there
    together = Plan(5, rate=10.0, duration_s=10.0)
    parts = [together.shard(index, 2) for index in (0, 1)]
    assert sum(part.pace(max(part.count - missing, 1)).total for part in parts) == 100


def test_each_socket_may_have_so_many_messages_of_its_own():
    assert Plan(5, messages=3).pace(5).total == 15
    assert Plan(5, messages=3, duration_s=2.0).pace(5).total == 10
    assert Plan(5, messages=3).pace(2).total == 6


def test_with_sockets_that_come_and_go_any_number_may_be_one_of_ours():
    sent_by_a_later_one = "77-0" + "." * 28
    for changing in (Plan(3, lifetime_s=1.0), Plan(3, behave=STORM[:1])):
        assert changing.payloads().is_anothers(sent_by_a_later_one, 1)
    assert not Plan(3).payloads().is_anothers(sent_by_a_later_one, 1)
    assert Plan(3).payloads().is_anothers("2-0" + "." * 29, 1)
    assert not Plan(3).payloads().is_anothers("3-0" + "." * 29, 1)
    # A shard knows those of the others.
    assert Plan(100).shard(0, 50).payloads().is_anothers(sent_by_a_later_one, 0)


@pytest.mark.parametrize("shards", [2, 3, 4, 7])
def test_uneven_shards_connect_as_fast_as_they_are_large(shards):
    plan = Plan(7, connect_rate=70.0, connect_concurrency=5)
    parts = [plan.shard(index, shards) for index in range(shards)]
    assert [part.connect_rate for part in parts] == pytest.approx([10.0 * p.count for p in parts])
    assert [part.count for part in parts] == [len(range(i, 7, shards)) for i in range(shards)]
    assert all(part.connect_concurrency >= 1 for part in parts)
    assert sum(part.connect_concurrency for part in parts) == max(5, shards)


def test_shards_on_one_machine_share_its_addresses_and_each_has_one():
    plan = Plan(6, source_ips=("10.0.0.1-10.0.0.9",))
    placed = [plan.shard(i, 3).on_machine(["10.0.0.1-10.0.0.5"], i, 3) for i in range(3)]
    dealt = [list(each.sources()) for each in placed]
    assert dealt == [["10.0.0.1", "10.0.0.4"], ["10.0.0.2", "10.0.0.5"], ["10.0.0.3"]]
    few = [plan.shard(i, 3).on_machine(["10.0.0.1-10.0.0.2"], i, 3) for i in range(3)]
    assert [list(each.sources()) for each in few] == [["10.0.0.1", "10.0.0.2"]] * 3


def test_the_report_has_no_secret_of_the_plan():
    plan = Plan(
        1, "ws://127.0.0.1:9/?access%5Ftoken=hush&x=1",
        headers=(("Authorization", "Bearer hush"), ("X-Ok", "fine")),
        subprotocols=("token.hush", "chat"),
    )  # fmt: skip
    settings = plan.settings()
    assert "hush" not in str(settings)
    assert "hush" not in plan.shown_url
    assert ("X-Ok", "fine") in settings["headers"]
    assert "x=1" in settings["url"]
    assert "chat" in settings["subprotocols"]


@pytest.mark.parametrize(
    ("settings", "rate"),
    [
        ({}, 1.0),
        ({"closed_loop": True}, None),
        ({"rate": 5.0}, None),
        ({"rate_per_conn": 0.0}, 0.0),
    ],
)
def test_the_report_says_a_rate_of_each_socket_only_where_there_is_one(settings, rate):
    assert Plan(2, **settings).settings()["rate_per_conn"] == rate


def test_messages_without_a_rate_would_never_be_sent():
    for nothing in ({"rate": 0.0}, {"rate_per_conn": 0.0}):
        with pytest.raises(ValueError, match="--messages needs a rate"):
            Plan(1, messages=1, **nothing)
    assert Plan(1, messages=1, closed_loop=True)


@pytest.mark.parametrize("text", ["é", "日本", "plain"])
def test_a_header_is_the_same_bytes_from_the_command_line_and_from_a_file(tmp_path, text):
    file = tmp_path / "headers"
    file.write_text(f"\ufeffX-Name: {text}\r\n\r\nX-Other: 1\r\n", encoding="utf-8")
    given = (*parse_headers(f"X-Name: {text}"), *parse_headers("X-Other: 1"))
    assert parse_headers(f"@{file}") == [*given]
    plan = Plan(1, headers=given)
    assert f"X-Name: {text}\r\n".encode() in plan.request(plan.target)("key")
