"""Every example, as it stands, against the server it is for: nothing is unaccounted for.

Those for servers of other people's libraries need `npm ci` in examples/servers: `make examples`.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[3] / "examples"
SERVERS = EXAMPLES / "servers"


@pytest.fixture(scope="module")
def own_server():
    command = [sys.executable, "-m", "echo_trio", "--port", "0", "--no-console"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as server:
        yield re.search(r"ws=(\S+)", server.stdout.readline().decode())[1]
        server.terminate()


@pytest.fixture
def start_node():
    started = []

    def start(name):
        process = subprocess.Popen(
            ["node", "serve.mjs", name], cwd=SERVERS, stdout=subprocess.PIPE, text=True
        )
        started.append(process)
        port = process.stdout.readline().strip()
        assert port, "run npm ci in examples/servers, or make examples"
        return f"ws://127.0.0.1:{port}"

    yield start
    for process in started:
        process.kill()
        process.communicate()


def check_example(run, *, steps, streams=()):
    """What has to be true of every example."""
    report = run.report
    assert run.faults == []
    assert report["users"]["finished"] == report["users"]["requested"]
    assert report["connections"]["closed"]["clean"] == report["connections"]["opened"] > 0
    assert report["messages"]["unexpected"] == report["messages"]["lost"] == 0
    assert {step["name"] for step in report["steps"] if step["ok"] == step["count"] > 0} == steps
    assert all(check["passed"] and not check["failed"] for check in report["checks"])
    counted = {each["name"] for each in report["streams"] if each["received"] and not each["gaps"]}
    assert counted >= set(streams)


def begin(loadgen, file, url):
    return loadgen("20", url, "--scenario", str(EXAMPLES / file), "--duration", "1500ms")


def test_voice(loadgen, own_server):
    run = begin(loadgen, "voice.py", f"{own_server}plain")
    check_example(run, steps={"frame"}, streams=["heard"])
    assert run.messages["streamed"] == run.messages["one_way"] == 20 * 75


def test_chat(loadgen, own_server):
    run = begin(loadgen, "chat.py", own_server)
    check_example(run, steps={"greeted", "logged in", "say"})
    fan_out = run.report["fan_out"]
    # Twenty members of ten rooms, each of whom speaks once or twice in a second and a half.
    assert fan_out["owed"] == fan_out["delivered"] == 2 * fan_out["published"] == 2 * 30
    assert run.connections["opened"] == 40


def test_ticker(loadgen, own_server):
    run = begin(loadgen, "ticker.py", f"{own_server}ticker/50ms")
    check_example(run, steps=set(), streams=["ticks"])
    (ticks,) = run.report["streams"]
    assert ticks["age"]["count"] == ticks["received"] == run.messages["streamed"]
    assert ticks["received"] >= 20 * 20


@pytest.mark.examples
@pytest.mark.parametrize(
    ("server", "file", "path", "steps", "streams"),
    [
        ("socket.io", "socket_io.py", "/", {"open", "connect", "say"}, ["ticks"]),
        ("graphql", "graphql_ws.py", "/graphql", {"init", "query"}, ["ticks"]),
        ("mqtt", "mqtt.py", "/mqtt", {"connect", "subscribe", "publish"}, ["published"]),
        ("rpc", "json_rpc.py", "/", {"sum", "slow"}, []),
    ],
    ids=["socket.io", "graphql-ws", "mqtt", "rpc-websockets"],
)
def test_servers_of_others(loadgen, start_node, server, file, path, steps, streams):
    run = begin(loadgen, file, start_node(server) + path)
    check_example(run, steps=steps, streams=streams)
    if server == "mqtt":  # 15 sensors, three of them a second and a half, to 5 displays
        assert run.report["streams"][0]["received"] == 15 * 3 * 5


@pytest.mark.parametrize("page", ["tutorial/load-your-own-server.md", "how-to/from-other-tools.md"])
def test_the_script_that_a_page_shows_runs(page, tmp_path, loadgen, serve_websockets):
    async def chat(connection, counts):
        await connection.send(json.dumps({"type": "welcome"}))
        async for text in connection:
            await connection.send(json.dumps({"type": "tick"}))
            await connection.send(json.dumps({"id": json.loads(text)["id"], "ok": True}))

    text = (EXAMPLES.parent / "docs" / page).read_text()
    script = re.search(r"```python\n(.*?)```", text, re.DOTALL)[1]
    if "welcome" not in script:  # Its server says less.
        script = script.replace(
            '("/ws") as ws:', '("/ws") as ws:\n        ws.ignore(type="welcome")'
        )
        script = script.replace('"/ws") as ws:', '"/ws") as ws:\n        ws.ignore(type="tick")')
    (tmp_path / "chat.py").write_text(script)
    run = begin(loadgen, tmp_path / "chat.py", serve_websockets(chat).url)
    check_example(run, steps={"login", "say"})
