"""What is made of recorded traffic: the same as the web page makes of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from loadgen.scenario.har import convert

LOGS = json.loads((Path(__file__).parents[2] / "recorded.json").read_text())["logs"]


@pytest.mark.parametrize("log", LOGS, ids=lambda log: log["name"])
def test_a_log_becomes_the_scenario_that_the_page_makes_of_it(log):
    content = "".join(f"{json.dumps(line)}\n" for line in log["lines"]).encode()
    script, secrets = convert(content, log["source"])
    assert script.split("\n") == log["script"]
    assert secrets.columns == log["secrets"]
    compile(script, "recorded.py", "exec")


def test_a_pause_is_one_from_the_time_on_that_a_user_would_take():
    line = {"connection": 1, "kind": "text", "data": "x"}
    # From one message to the next, whatever has come between.
    moments = (("sent", 0.0), ("received", 40.0), ("sent", 50.0), ("sent", 99.0))
    lines = [line | {"type": what, "at_ms": at_ms} for what, at_ms in moments]
    script, _ = convert("".join(f"{json.dumps(each)}\n" for each in lines).encode(), "log")
    steps = [each.strip() for each in script.split("\n") if "await" in each]
    assert steps == ["await ws.send('x')", "await user.sleep(0.05)", *["await ws.send('x')"] * 2]


def test_a_message_has_one_reply_and_what_repeats_its_id_again_is_pushed():
    line = {"connection": 1, "kind": "text", "data": '{"id": 7}'}
    for whats, is_pushed in ((["received"], False), (["received"] * 2, True)):
        lines = [
            line | {"type": what, "at_ms": 1.0 * at} for at, what in enumerate(["sent", *whats])
        ]
        script, _ = convert("".join(f"{json.dumps(each)}\n" for each in lines).encode(), "log")
        assert "reply='id'" in script
        assert ("ws.stream" in script) is is_pushed
    # Two messages of one id, each with its reply.
    lines = [line | {"type": what, "at_ms": 1.0} for what in ("sent", "received") * 2]
    script, _ = convert("".join(f"{json.dumps(each)}\n" for each in lines).encode(), "log")
    assert (script.count("reply='id'"), "ws.stream" in script) == (2, False)
