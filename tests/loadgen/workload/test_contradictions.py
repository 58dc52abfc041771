import pytest

from loadgen.workload.matching import ANY, parse_pattern
from loadgen.workload.misbehaviour import Behave
from loadgen.workload.pacing import Stage
from loadgen.workload.plan import Plan


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
        pytest.param({"url": "http://x/"}, "begin it with ws://", id="http-url"),
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
        pytest.param({"connect_timeout_s": 0.0}, "--connect-timeout has to be", id="no-patience"),
        pytest.param({"stop_timeout_s": 0.0}, "--stop-timeout has to be more", id="no-goodbye"),
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
        pytest.param({"subprotocols": ("a b",)}, "a subprotocol is one word", id="subprotocol"),
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


def test_messages_without_a_rate_would_never_be_sent():
    for nothing in ({"rate": 0.0}, {"rate_per_conn": 0.0}):
        with pytest.raises(ValueError, match="--messages needs a rate"):
            Plan(1, messages=1, **nothing)
    assert Plan(1, messages=1, closed_loop=True)


BEHAVE = (Behave.parse("no-pong"),)
#: Settings that say what a scenario's users do as well, and a neighbour of each that doesn't.
OF_USERS = {
    "verify": ("exact", "suffix"),
    "expect": ((ANY,), ()),
    "ignore": ((parse_pattern("regex:x"),), ()),
    "rooms": (2, 1),
    "message": ("m", "{conn}-{seq}"),
    "message_file": ("f", None),
    "size_bytes": (0, None),
    "binary": (True, False),
    "rate": (0.0, None),
    "rate_per_conn": (0.0, None),
    "stages": ((Stage(1, 1),), ()),
    "closed_loop": (True, False),
    "messages": (1, None),
    "lifetime_s": (1.0, None),
    "behave": (BEHAVE, ()),
}


@pytest.mark.parametrize("name", OF_USERS)
def test_only_a_scenario_says_what_its_users_do(name):
    given, not_given = OF_USERS[name]
    flag = name.removesuffix("_s").removesuffix("_bytes").removesuffix("s" * (name == "stages"))
    with pytest.raises(ValueError, match=f"^--{flag.replace('_', '-')} and --scenario both say"):
        Plan(9, scenario="s.py", **{name: given})
    assert Plan(9, scenario="s.py", **{name: not_given})


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"arrive": 1.0}, "--arrive goes with --scenario"),
        ({"arrive": 0.0}, "--arrive goes with --scenario"),
        ({"arrive": 0.0, "scenario": "s.py"}, "--arrive has to be more than 0"),
        ({"verify": "fan-out", "behave": BEHAVE}, "--behave: nobody knows"),
        ({"key": "k.pem", "url": "wss://h/"}, "--key goes with --cert"),
        ({"key": "k.pem", "cacert": "c.pem", "url": "wss://h/"}, "--key goes with --cert"),
        ({"think_s": 1.0, "scenario": "s.py"}, "--think goes with --closed-loop"),
        ({"think_s": 1.0, "closed_loop": True, "scenario": "s.py"}, "--closed-loop and --scenario"),
        ({"cert": "c.pem"}, "--cert goes with wss://"),
        ({"cacert": "c.pem", "insecure": True, "url": "wss://h/"}, "--cacert says whom to trust"),
        ({"proxy": "nonsense"}, "--proxy"),
        ({"messages": 3, "behave": (Behave.parse("reconnect-storm"),)}, "a storm opens more"),
        ({"rooms": 2, "verify": "fan-out", "url": "ws://h:1{room}/"}, "goes into the path"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_does_not_go_together_is_named(settings, complaint):
    with pytest.raises(ValueError, match=complaint):
        Plan(9, **settings)


@pytest.mark.parametrize(
    "settings",
    [
        {"arrive": 0.1, "scenario": "s.py"},
        {"verify": "off", "ignore": (ANY,)},
        {"verify": "fan-out", "rooms": 2, "url": "ws://h/{room}"},
        {"verify": "fan-out", "message": "{seq} of {conn}"},
        {"arrivals": "poisson"},
        {"cacert": "c.pem", "url": "wss://h/"},
        {"insecure": True, "url": "wss://h/"},
        {"cert": "c.pem", "key": "k.pem", "url": "wss://h/"},
        {"cert": "c.pem", "insecure": True, "url": "wss://h/"},
        {"proxy": "http://p"},
        {"lifetime_s": 0.1, "connect_rate": 0.1, "connect_timeout_s": 0.1, "stop_timeout_s": 0.1},
        {"messages": 3, "rate": 0.1},
        {"messages": 3, "behave": BEHAVE},
        {"messages": 3, "duration_s": 0.0},
        {"stages": (Stage(0, 5), Stage(0.1, 0))},
        {"rate": 0.0},
    ],
    ids=str,
)
def test_what_goes_together_is_no_contradiction(settings):
    assert Plan(200, **settings)
