import dataclasses

import pytest

from loadgen.workload.misbehaviour import Behave, Kind
from loadgen.workload.pacing import Stage, parse_stage
from loadgen.workload.plan import Plan
from loadgen.workload.target import DEFAULT_URL


def test_a_plan_has_the_contracts_defaults():
    plan = Plan(10_000)
    assert plan.url == DEFAULT_URL == "ws://127.0.0.1:8765/"
    assert (plan.connect_concurrency, plan.connect_timeout_s) == (256, 10.0)
    assert (plan.load_s, plan.total_rate(7), plan.messages) == (10.0, 7.0, None)
    assert (plan.connect_rate, plan.lifetime_s, plan.stages) == (None, None, ())
    assert (plan.closed_loop, plan.think_s) == (False, 0.0)
    assert (plan.verify, plan.stop_timeout_s, plan.seed) == ("suffix", 5.0, 0)


def test_the_report_has_each_setting_with_its_default_and_nothing_of_a_shard():
    off = ("binary", "closed_loop", "compression", "insecure")
    none = (
        "arrive", "cacert", "cert", "connect_rate", "key", "lifetime_s", "message_file", "messages",
        "origin", "proxy", "rate", "scenario", "size_bytes",
    )  # fmt: skip
    several = ("behave", "expect", "headers", "ignore", "source_ips", "stages", "subprotocols")
    expected = {
        "count": 7, "url": DEFAULT_URL, "arrivals": "even", "connect_concurrency": 256,
        "connect_timeout_s": 10.0, "duration_s": 10.0, "message": "{conn}-{seq}", "rooms": 1,
        "rate_per_conn": 1.0, "seed": 0, "stop_timeout_s": 5.0, "think_s": 0.0, "verify": "suffix",
        **dict.fromkeys(off, False), **dict.fromkeys(none), **dict.fromkeys(several, ()),
    }  # fmt: skip
    assert Plan(7).settings() == expected
    part = dataclasses.replace(Plan(14).shard(1, 2), connect_concurrency=256)
    assert part.settings() == expected


@pytest.mark.parametrize(
    ("settings", "by_scenario", "has_rooms"),
    [
        ({}, False, False), ({"verify": "fan-out"}, False, True),
        ({"scenario": "s.py"}, True, True), ({"scenario": "s.py", "arrive": 1.0}, False, True),
    ],
)  # fmt: skip
def test_who_says_how_often_something_is_due_and_whether_there_are_rooms(
    settings, by_scenario, has_rooms
):
    plan = Plan(2, **settings)
    assert (plan.is_paced_by_scenario, plan.has_rooms) == (by_scenario, has_rooms)


def test_each_number_is_that_of_a_socket_of_one_shard():
    whole = Plan(7)
    parts = [whole.shard(index, 3) for index in range(3)]
    for conn in range(7):
        assert [part.has_conn(conn) for part in parts] == [conn % 3 == index for index in range(3)]
        assert whole.has_conn(conn)
    for part in parts:
        assert all(map(part.has_conn, part.conns()[0]))


def test_the_default_message_is_padded_to_32_bytes():
    assert Plan(1).payloads().render(12, 3) == "12-3" + 28 * "."


def test_a_message_of_the_users_is_padded_only_if_asked_for():
    assert Plan(1, message="{seq}").payloads().render(0, 7) == "7"
    assert Plan(1, message="{seq}", size_bytes=3).payloads().render(0, 7) == "7.."


def test_the_default_message_can_be_of_another_size():
    assert Plan(1, size_bytes=0).payloads().render(12, 3) == "12-3"
    assert len(Plan(1, size_bytes=500).payloads().render(12, 3)) == 500


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
    scenario = Plan(3, scenario="chat.py").settings()
    assert [scenario[key] for key in ("rate_per_conn", "message", "verify")] == [None] * 3
    assert not {"message_content", "shard_of"} & set(settings)


def test_a_stage_is_a_duration_and_a_rate():
    assert parse_stage("1.5m:5k/s") == Stage(90.0, 5000.0)
    for text in ("30s", "30s:", ":5/s", "30:5/s", "30s:5"):
        with pytest.raises(ValueError, match="write it like"):
            parse_stage(text)


def test_a_file_is_the_message_as_it_is(tmp_path):
    content = b"\x00\xff{conn}/{seq} {what} \n"
    (tmp_path / "m").write_bytes(content)
    payloads = Plan(1, message_file=str(tmp_path / "m"), binary=True).payloads()
    assert payloads.render(3, 4) == b"\x00\xff3/4 {what} \n"
    with pytest.raises(ValueError, match=r"--message-file is not valid UTF-8.*add --binary"):
        Plan(1, message_file=str(tmp_path / "m"))


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


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "3-4" + "." * 29),
        ({"size_bytes": 0}, "3-4"),
        ({"size_bytes": 5}, "3-4.."),
        ({"message": "{conn}"}, "3"),
        ({"message": "{conn}", "size_bytes": 2}, "3."),
    ],
)
def test_a_size_of_nothing_is_another_than_none(settings, message):
    assert Plan(9, **settings).payloads().render(3, 4) == message


@pytest.mark.parametrize(
    ("rates", "sends"), [((0,), False), ((0, 0), False), ((5, 0), True), ((0, 5), True)]
)
def test_a_plan_sends_if_one_of_its_stages_does(rates, sends):
    assert Plan(2, stages=tuple(Stage(1, rate) for rate in rates)).is_to_send is sends
    assert Plan(2, rate=float(rates[0])).is_to_send is bool(rates[0])


@pytest.mark.parametrize("shards", [1, 2, 3, 5])
def test_the_users_of_all_shards_are_those_of_the_run(shards):
    plan = Plan(5, scenario="s.py")
    parts = [plan.shard(index, shards) for index in range(shards)]
    assert sum(part.count_own_users() for part in parts) == plan.count_users() == 5
    arriving = Plan(5, scenario="s.py", arrive=3.0, duration_s=4.0)
    parts = [arriving.shard(index, shards) for index in range(shards)]
    assert [part.count_own_users() for part in parts] == [0] * shards
    assert {part.count_users() for part in parts} == {arriving.count_users()} == {12}


def test_a_shard_has_a_handshake_in_flight_however_few_all_may_have():
    parts = [Plan(7, connect_concurrency=2).shard(index, 7) for index in range(7)]
    assert [part.connect_concurrency for part in parts] == [1] * 7


def test_each_socket_has_the_path_of_its_room():
    plan = Plan(9, "ws://h/{room}?r={room}", rooms=3, verify="fan-out")
    paths = [plan.target_of(conn).resource for conn in range(5)]
    assert paths == ["/0?r=0", "/1?r=1", "/2?r=2", "/0?r=0", "/1?r=1"]


@pytest.mark.parametrize("shards", [2, 3, 7])
def test_uneven_shards_have_together_what_the_plan_has(shards):
    plan = Plan(10, connect_rate=50.0, behave=(Behave.parse("half-open:40%"),), seed=5)
    parts = [plan.shard(index, shards) for index in range(shards)]
    assert [part.connect_rate for part in parts] == [5.0 * part.count for part in parts]
    assert sum(part.connect_concurrency for part in parts) == plan.connect_concurrency == 256
    behaving, apart = plan.conns()
    theirs = [part.conns() for part in parts]
    assert sorted(conn for own, _ in theirs for conn in own) == behaving
    assert (
        sorted(conn for _, odd in theirs for conn in odd[Kind.HALF_OPEN]) == apart[Kind.HALF_OPEN]
    )
