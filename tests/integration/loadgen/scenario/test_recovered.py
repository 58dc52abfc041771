"""A generator that is killed leaves what its users had done."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

from ... import starter
from ...conftest import ServerProcess
from ..conftest import LoadgenProcess

SCRIPT = """
from loadgen.scenario import User, check, scenario


@scenario(weight=2)
async def caller(user: User) -> None:
    async with user.connect("/rpc") as ws:
        async for due in user.pace("10/s"):
            asked = {"jsonrpc": "2.0", "method": "echo", "params": [due.number]}
            reply = await ws.request(asked, name="echo", reply="id", due=due)
            check("echoed", reply["result"] == [due.number])
            user.count("called")


@scenario(weight=1)
async def member(user: User) -> None:
    async with user.connect("/room/one") as ws:
        ws.subscribe("one")
        async for due in user.pace("10/s"):
            said = {"from": user.number, "number": due.number}
            await ws.publish(said, topic="one", name="say", due=due)
"""


def test_what_users_of_two_processes_had_done_is_recovered_after_sigkill(
    start_server: Callable[..., ServerProcess],
    start_loadgen: Callable[..., LoadgenProcess],
    tmp_path: Path,
) -> None:
    script = tmp_path / "both.py"
    script.write_text(SCRIPT)
    state = os.environ | {"XDG_STATE_HOME": str(tmp_path / "state")}
    run = start_loadgen(
        "6", start_server().url, "--scenario", str(script), "--workers", "2", "--duration", "1h",
        "--stream", env=state,
    )  # fmt: skip
    assert run.process.stdout is not None
    # What it tells after the first replies was written down before it is killed.
    told = {"messages": {"echoed": 0, "published": 0}}
    while not (told["messages"]["echoed"] and told["messages"]["published"]):
        told = json.loads(run.process.stdout.readline())
    for _ in range(2):
        run.process.stdout.readline()
    run.signal(signal.SIGKILL)
    run.process.communicate()
    run._errors.close()

    done = starter.run("loadgen", "recover", "--json", "-", env=state)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    connections, messages = report["connections"], report["messages"]
    assert report["incomplete"]["open"] == connections["opened"] == 6
    assert messages["sent"] == messages["echoed"] + messages["in_flight"] + messages["published"]
    assert messages["received"] == messages["echoed"] + messages["copies"]
    assert report["users"]["interrupted"] == report["users"]["requested"] == 6
    assert messages["echoed"] >= told["messages"]["echoed"]
    assert messages["published"] >= told["messages"]["published"]
    steps = {step["name"]: step for step in report["steps"]}
    assert steps["echo"]["ok"] == messages["echoed"] == steps["echo"]["service"]["count"]
    assert steps["say"]["ok"] == messages["published"]
    (check,) = report["checks"]
    assert (check["failed"], check["passed"]) == (0, report["counters"]["called"])
    assert 0 < check["passed"] <= messages["echoed"]
    fan_out = report["fan_out"]
    assert fan_out["delivered"] > 0
    assert fan_out["missing"] == fan_out["extra"] == 0
    assert "6 open sockets are unaccounted for" in report["verdict_reasons"][0]
