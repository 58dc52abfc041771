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
