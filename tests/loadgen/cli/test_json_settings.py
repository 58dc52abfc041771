"""What another program may ask for, read by the parser of the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from echo_trio import units
from loadgen.cli import json_settings
from loadgen.cli.json_settings import AskedRun, BadSettings, Order

URL = "ws://127.0.0.1:9000/"
TARGETS = [("127.0.0.1", 9000), ("::1", 9000), ("localhost", 9000), ("other.example", 1)]


def read(**settings: Any) -> AskedRun:
    flags = {name.replace("_", "-"): value for name, value in settings.items()}
    return json_settings.read(Order(flags, URL, TARGETS, max_count=20_000, html=""))


def refusal_of(**settings: Any) -> json_settings.OrderRefused:
    with pytest.raises(BadSettings) as refused:
        read(**settings)
    return refused.value.refused


def test_without_a_target_a_run_goes_where_the_order_says() -> None:
    assert (read(count="1k").plan.count, read(count="1k").plan.url) == (1000, URL)


@pytest.mark.parametrize(
    ("settings", "field", "value"),
    [
        ({"duration": "2s"}, "duration_s", 2.0),
        ({"closed_loop": True, "think": "1s"}, "think_s", 1.0),
        ({"closed_loop": False, "duration": None}, "closed_loop", False),
        ({"stage": ["1s:5/s", "2s:0/s"]}, "load_s", 3.0),
        ({"message": "--json=/etc/passwd"}, "message", "--json=/etc/passwd"),
        ({"header": ["X: --csv=/x"]}, "headers", (("X", "--csv=/x"),)),
    ],
)
def test_a_setting_is_what_it_is_on_the_command_line_and_can_be_no_other(
    settings: dict[str, Any], field: str, value: Any
) -> None:
    assert getattr(read(count="1", **settings).plan, field) == value


def test_the_plan_is_shown_as_a_report_has_it() -> None:
    shown = read(count="10", header=["Authorization: Bearer x"]).shown_plan
    assert (shown["count"], shown["duration_s"], shown["workers"]) == (10, 10.0, 1)
    assert json.loads(json.dumps(shown))["headers"] == [["Authorization", "***"]]


def test_a_run_is_shared_by_as_many_processes_as_it_asks_for_up_to_the_cores(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(units, "_cores", lambda: 3)
    for workers in ("2", "3", "auto"):
        run = read(count="10", workers=workers, fail_if=["messages.lost>0"])
        assert run.workers == run.shown_plan["workers"] == (2 if workers == "2" else 3)
        assert run.fail_if == ("messages.lost>0",)
    assert "3 cores" in refusal_of(count="10", workers="4").error


@pytest.mark.parametrize(
    "url",
    [
        "ws://127.0.0.1:9000/delay/10ms?a=b",
        "ws://LOCALHOST:9000/",
        "ws://[::1]:9000/",
        "ws://other.example:1/any",
    ],
)
def test_a_run_goes_where_it_may(url: str) -> None:
    assert read(count="1", url=url).plan.url == url


@pytest.mark.parametrize(
    "url",
    [
        "ws://127.0.0.1:9001/",
        "ws://evil.example:9000/",
        "ws://localhost.evil.example:9000/",
        "wss://other.example/?token=s3cret",
    ],
)
def test_a_run_goes_nowhere_else(url: str) -> None:
    refused = refusal_of(count="1", url=url)
    assert (refused.field, refused.elsewhere) == ("url", True)
    assert "--run-target" in refused.error
    assert "s3cret" not in refused.error


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"count": "0"}, "count"),
        ({"count": "20001"}, "count"),
        ({"count": "100000000"}, "count"),
        ({"count": "-1"}, "count"),
        ({"count": "1.5"}, "count"),
        ({"count": "--help"}, "count"),
        ({"count": None}, "count"),
        ({"count": ["1", "2"]}, "count"),
        ({"count": True}, "count"),
        ({"duration": "1s", "connect_timeout": "1", "verify": "sometimes"}, "connect-timeout"),
        ({"rate_per_conn": "0/s", "messages": "5"}, "messages"),
        ({"think": "1s"}, "think"),
        ({"closed_loop": "yes"}, "closed-loop"),
        ({"verify": "sometimes"}, "verify"),
        ({"rate": "5/s", "stage": ["1s:5/s"]}, "rate"),
        ({"rate": "5/s", "rate_per_conn": "1/s"}, "rate-per-conn"),
        ({"header": "X: a\r\nY: b"}, "header"),
        ({"header": "none"}, "header"),
        ({"source_ip": "nowhere"}, "source-ip"),
        ({"url": "http://127.0.0.1/"}, "url"),
        ({"url": "--json=/tmp/x"}, "url"),
        ({"fail_if": ["latency.p99>50ms", "nonsense>1"]}, "fail-if"),
        ({"fail_if": ["messages.lost>0", "target.cpu_share>90%"]}, "fail-if"),
        ({"workers": str(units.parse_processes("auto") + 1)}, "workers"),
        ({"json": "/tmp/x"}, "json"),
        ({"journal": "/tmp/x"}, "journal"),
        ({"console": "http://h/"}, "console"),
        ({"help": True}, "help"),
        ({"shard_of": "1"}, "shard-of"),
    ],
    ids=str,
)
def test_a_bad_setting_is_named_and_told_in_one_line(settings: dict[str, Any], field: str) -> None:
    refused = refusal_of(**{"count": "1", **settings})
    assert refused.field == field, refused
    assert not refused.elsewhere
    assert "\n" not in refused.error


@pytest.mark.parametrize("value", ["@/etc/passwd", ["X-A: 1", "@/etc/passwd"]], ids=["one", "of"])
def test_no_file_of_this_machine_is_read_for_another_program(value: Any) -> None:
    refused = refusal_of(count="1", header=value)
    assert refused.field == "header"
    assert "only the command line" in refused.error


@pytest.mark.parametrize("flag", sorted(json_settings.LOCAL_ONLY & json_settings.settings().keys()))
def test_what_names_files_and_machines_is_for_the_command_line(flag: str) -> None:
    refused = refusal_of(**{"count": "1", flag: "/etc/passwd"})
    assert (refused.field, "only the command line" in refused.error) == (flag, True)


def test_of_every_setting_it_is_decided_whether_others_may_have_it() -> None:
    """A new one goes here, or, if it names a file or a machine, among those that are local."""
    assert json_settings.settings().keys() - json_settings.LOCAL_ONLY == {
        "arrivals",
        "behave",
        "binary",
        "closed-loop",
        "compression",
        "connect-concurrency",
        "connect-rate",
        "connect-timeout",
        "count",
        "duration",
        "expect",
        "fail-if",
        "header",
        "ignore",
        "insecure",
        "lifetime",
        "message",
        "messages",
        "origin",
        "rate",
        "rate-per-conn",
        "rooms",
        "seed",
        "size",
        "source-ip",
        "stage",
        "stop-timeout",
        "subprotocol",
        "think",
        "url",
        "verify",
        "workers",
    }


def test_an_order_has_nothing_that_is_not_known() -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'{"settings": {}, "more": 1}', type=Order)


SCENARIO = """
from loadgen.scenario import User, scenario

@scenario
async def talker(user: User) -> None:
    async with user.connect() as ws:
        await user.ready()
"""


@pytest.fixture
def scenarios(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of scenarios, beside which there is another that nobody may run."""
    folder = tmp_path / "scenarios"
    (folder / "deeper").mkdir(parents=True)
    for file in (folder / "chat.py", folder / "deeper" / "chat.py", tmp_path / "secret.py"):
        file.write_text(SCENARIO)
    (folder / "link.py").symlink_to(tmp_path / "secret.py")
    (folder / ".hidden.py").write_text(SCENARIO)
    (folder / "broken.py").write_text("def (")
    monkeypatch.chdir(folder)
    return folder


def order_with(folder: Path, **settings: Any) -> Order:
    return Order(
        {"count": "1", **settings}, URL, TARGETS, 20_000, html="", scenario_dir=str(folder)
    )


@pytest.mark.parametrize("asked", ["chat.py", "chat.py:talker"])
def test_a_scenario_of_the_folder_goes_with_the_plan_and_is_named_without_it(
    scenarios: Path, asked: str
) -> None:
    run = json_settings.read(order_with(scenarios, scenario=asked))
    assert run.shown_plan["scenario"] == asked
    assert run.plan.scenario_files == (("chat.py", SCENARIO.encode()),)


@pytest.mark.parametrize(
    "asked",
    [
        "../secret.py",
        "/etc/passwd",
        "deeper/chat.py",
        "deeper",
        "link.py",
        ".hidden.py",
        "./chat.py",
        "chat.py\n",
        "none.py",
        "chat.py:nobody",
        "broken.py",
        "",
        ["chat.py"],
        True,
    ],
    ids=repr,
)
def test_no_other_scenario_is_run_for_another_program(scenarios: Path, asked: Any) -> None:
    with pytest.raises(BadSettings) as refused:
        json_settings.read(order_with(scenarios, scenario=asked))
    assert refused.value.refused.field == "scenario"
    assert str(scenarios) not in refused.value.refused.error


def test_a_scenario_says_itself_what_is_sent(scenarios: Path) -> None:
    with pytest.raises(BadSettings) as refused:
        json_settings.read(order_with(scenarios, scenario="chat.py", rate="5/s"))
    assert "--scenario" in refused.value.refused.error


def test_a_run_may_have_as_many_sockets_as_are_allowed_and_no_more() -> None:
    assert read(count="20000").plan.count == 20_000
    refused = refusal_of(count="20001")
    assert (refused.field, refused.elsewhere) == ("count", False)
    assert refused.error.endswith("allows 20000 sockets")
