import pytest

from loadgen.workload.misbehaviour import Behave, Kind, pick
from loadgen.workload.plan import Plan


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("slow-reader", Behave(Kind.SLOW_READER, 1, 1024), id="defaults"),
        pytest.param("slow-reader:2.5%", Behave(Kind.SLOW_READER, 2.5, 1024), id="share"),
        pytest.param("slow-reader:5%:100/s", Behave(Kind.SLOW_READER, 5, 100), id="all"),
        pytest.param("half-open:3%", Behave(Kind.HALF_OPEN, 3, 0), id="half-open"),
        pytest.param("no-pong", Behave(Kind.NO_PONG, 1, 0), id="no-pong"),
        pytest.param("mid-frame-drop:1%:250ms", Behave(Kind.MID_FRAME_DROP, 1, 0.25), id="drop"),
        pytest.param("reconnect-storm:30s", Behave(Kind.RECONNECT_STORM, 100, 30), id="no-share"),
    ],
)
def test_a_behaviour_is_a_name_a_share_and_a_parameter(text, expected):
    assert Behave.parse(text) == expected


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        pytest.param("rude", "there are slow-reader, half-open, no-pong", id="unknown"),
        pytest.param("no-pong:1", "write it like no-pong:1%", id="no-percent"),
        pytest.param("no-pong:0%", "write it like no-pong:1%", id="nobody"),
        pytest.param("no-pong:101%", "write it like no-pong:1%", id="more-than-all"),
        pytest.param("half-open:1%:5s", "write it like half-open:1%", id="needs-no-parameter"),
        pytest.param("slow-reader:1%:5s", "not a size a second", id="not-a-rate"),
        pytest.param("slow-reader:1%:0/s", "more than 0", id="reads-nothing"),
        pytest.param("reconnect-storm:1%:x", "'x' is not a duration", id="not-a-duration"),
        pytest.param("mid-frame-drop:1%:1s:2", "mid-frame-drop:1%:1s", id="too-much"),
    ],
)
def test_anything_else_is_refused_in_one_line(text, complaint):
    with pytest.raises(ValueError, match=complaint) as caught:
        Behave.parse(text)
    assert "\n" not in str(caught.value)


def test_the_same_seed_picks_the_same_sockets_and_nobody_misbehaves_twice():
    behaves = [Behave.parse("slow-reader:10%"), Behave.parse("half-open:5%")]
    picked = pick(behaves, 200, seed=7)
    assert (len(picked[Kind.SLOW_READER]), len(picked[Kind.HALF_OPEN])) == (20, 10)
    assert not set(picked[Kind.SLOW_READER]) & set(picked[Kind.HALF_OPEN])
    assert pick(behaves, 200, seed=7) == picked != pick(behaves, 200, seed=8)


def test_a_share_of_few_is_one_at_least():
    assert Behave.parse("no-pong:1%").of(10) == 1


def test_a_storm_is_of_sockets_that_behave():
    plan = Plan(10, behave=(Behave.parse("reconnect-storm"),))
    assert plan.conns() == (list(range(10)), {})


def test_sockets_take_no_memory_before_preflight_has_seen_how_many_there_are():
    plan = Plan(10**12)
    assert len(plan.conns()[0]) == 10**12
    shard = plan.shard(2, 3)
    assert [shard.conns()[0][at] for at in (0, 1, -1)] == [2, 5, 3 * shard.count - 1]


def test_shards_agree_on_who_misbehaves():
    plan = Plan(100, behave=(Behave.parse("no-pong:10%"), Behave.parse("half-open:3%")), seed=3)
    behaving, apart = plan.conns()
    shards = [plan.shard(i, 3).conns() for i in range(3)]
    assert sorted(conn for own, _ in shards for conn in own) == behaving
    for kind, conns in apart.items():
        assert sorted(conn for _, others in shards for conn in others[kind]) == conns


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        pytest.param({"behave": ("no-pong", "no-pong:2%")}, "given twice", id="twice"),
        pytest.param({"behave": ("no-pong:100%",)}, "leaves none of 4 sockets", id="all"),
        pytest.param(
            {"behave": ("reconnect-storm",), "messages": 3}, "storm opens more", id="messages"
        ),
    ],
)
def test_behaviours_that_contradict_the_plan_are_refused(settings, complaint):
    behaves = tuple(map(Behave.parse, settings.pop("behave")))
    with pytest.raises(ValueError, match=complaint):
        Plan(4, behave=behaves, **settings)


@pytest.mark.parametrize(
    ("percent", "sockets", "count"),
    [(1, 149, 1), (1, 150, 2), (1, 249, 2), (1, 250, 3), (50, 3, 2), (0.4, 100, 1), (100, 7, 7),
     (2.5, 100, 3), (2.4, 100, 2)],
)  # fmt: skip
def test_a_share_is_rounded_to_the_nearest_half_upwards(percent, sockets, count):
    assert Behave(Kind.NO_PONG, percent, 0).of(sockets) == count


def test_all_may_misbehave_in_name_but_one_has_to_behave():
    assert Behave.parse("no-pong:100%").percent == 100
    half = (Behave.parse("no-pong:50%"), Behave.parse("half-open:25%"))
    assert Plan(4, behave=half).conns()[0]
    with pytest.raises(ValueError, match="leaves none of 2 sockets"):
        Plan(2, behave=half)
    with pytest.raises(ValueError, match="leaves none"):
        Plan(5, behave=(Behave.parse("no-pong:100%"),))


def test_everybody_is_in_exactly_one_crowd_of_the_size_asked_for():
    behaves = tuple(map(Behave.parse, ("slow-reader:10%", "half-open:7%", "no-pong:3%")))
    behaving, apart = Plan(300, behave=behaves, seed=3).conns()
    assert {kind: len(conns) for kind, conns in apart.items()} == {
        Kind.SLOW_READER: 30, Kind.HALF_OPEN: 21, Kind.NO_PONG: 9
    }  # fmt: skip
    assert sorted(sum(apart.values(), behaving)) == list(range(300))
