"""The commands of docs/how-to/load-your-server.md and ci.md, taken from the pages.

They run against the server's own paths, as the pages say; but for one that a server of `websockets`
answers, which looks at a header.
"""

import json
import re
import shlex
from contextlib import suppress
from pathlib import Path

import pytest
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from echo_trio import Settings, serving_in_thread

HOW_TO = Path(__file__).parents[3] / "docs/how-to"
PAGE = (HOW_TO / "load-your-server.md").read_text()
COMMANDS = {
    # By the first part of the path that the command's URL has.
    next(part for part in shlex.split(line) if "://" in part).split("/")[3]: shlex.split(line)
    for line in PAGE.splitlines()
    if line.startswith("    python -m loadgen ")
}


@pytest.fixture(scope="module")
def server():
    with serving_in_thread(Settings(port=0)) as server:
        yield server


@pytest.fixture
def run_command(loadgen, server):
    before = len(server.connections)

    def run(kind, url=server.url):
        _, _, _, *arguments = COMMANDS[kind]
        own = url.rstrip("/")
        return loadgen(*[part.replace("ws://127.0.0.1:8765", own) for part in arguments])

    run.seen = lambda: server.connections[before:]
    return run


def test_the_page_has_a_command_for_each_kind_of_server():
    assert set(COMMANDS) == {"rpc", "room", "ticker", "login", "greeted", "~delay"}


def test_json_rpc(run_command):
    run = run_command("rpc")
    assert run.target_did_right, run.report["verdict_reasons"]
    assert run.messages["echoed"] == run.messages["sent"] > 200
    assert sum(seen.messages_in for seen in run_command.seen()) == run.messages["sent"]


def test_a_chat(run_command):
    run = run_command("room")
    assert run.target_did_right, run.report["verdict_reasons"]
    fan_out = run.report["fan_out"]
    assert fan_out["delivered"] == fan_out["owed"] == 10 * run.messages["published"] == 600
    assert sum(seen.messages_out for seen in run_command.seen()) == 600


def test_a_ticker(run_command):
    run = run_command("ticker")
    assert run.target_did_right, run.report["verdict_reasons"]
    assert run.messages["ignored"] == run.messages["received"] > 50
    assert run.report["latency"]["service"]["p99"] is None


def test_a_login(run_command):
    run = run_command("login")
    assert run.target_did_right, run.report["verdict_reasons"]
    assert run.messages == {
        "sent": 50, "echoed": 50, "received": 100, "expected": 50
    }  # fmt: skip
    assert {seen.messages_out for seen in run_command.seen()} == {2}


def test_faults_before_a_path_are_counted_as_what_they_are(run_command):
    run = run_command("~delay")
    sent, lost = run.messages["sent"], run.messages["lost"]
    # Of each socket's five calls, the fourth has no answer.
    assert (sent, lost) == (250, 50)
    assert run.messages["echoed"] == 200
    assert run.report["latency"]["service"]["min"] >= 100
    assert run.code == 1


def test_a_greeting_behind_a_header(run_command, serve_websockets):
    async def look_at_the_header(connection: ServerConnection, counts):
        if connection.request.headers["Authorization"] != "Bearer s3cret":
            await connection.close(4401, "no token")
            return
        with suppress(ConnectionClosed):
            await connection.send(json.dumps({"type": "welcome"}))
            async for message in connection:
                await connection.send(message)

    run = run_command("greeted", serve_websockets(look_at_the_header).url)
    assert run.target_did_right, run.report["verdict_reasons"]
    assert run.messages["expected"] == 50
    assert run.messages["echoed"] == run.messages["sent"] == 150


def test_the_step_for_ci_measures_a_server_that_answers_by_id(loadgen, server):
    page = (HOW_TO / "ci.md").read_text()
    (step,) = re.findall(r"- run: >\n +python -m loadgen (.*?)\n```", page, re.DOTALL)
    arguments = shlex.split(step.replace("$YOUR_URL", server.url + "rpc"))
    for flag, instead in (("--duration", "2s"), ("--fail-if", "latency.p99>1h")):
        arguments[arguments.index(flag) + 1] = instead
    at = arguments.index("--json")
    run = loadgen(*arguments[:at], *arguments[at + 2 :])
    assert run.target_did_right, run.report["verdict_reasons"]
    assert run.messages["echoed"] == run.messages["sent"]
    assert run.report["thresholds"][0]["value"] is not None
