"""A crowd of users logs in and talks, and the server's own figures are those of the report."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from urllib.request import urlopen

import pytest

from ...conftest import ServerProcess
from ..conftest import LoadgenProcess, Run

USERS = 300
LONG_S = 300
SCRIPT = """
from loadgen.scenario import Socket, User, scenario

HELD = "{held}"


async def call(ws: Socket, name: str, phase: str, **more: object) -> None:
    # One user stays in the phase in which the test interrupts the run.
    held = name != "say" and phase == HELD and ws.user.number == {last}
    message = {{"method": "wait", "params": {{"ms": 3_600_000 if held else 1}}}}
    await ws.request({{"jsonrpc": "2.0", **message}}, name=name, reply="id", **more)


@scenario
async def caller(user: User) -> None:
    token = f"token-{{user.number}}"
    async with user.connect(f"/~delay/5ms/login/{{token}}") as account:
        await account.expect(type="hello", name="greeted")
        await account.send({{"type": "login", "token": token}})
        await account.expect(type="welcome", name="logged in")
    async with user.connect("/rpc") as ws:
        await call(ws, "first", "opening")
        async for due in user.pace("1/s"):
            await call(ws, "say", "load", due=due)
        await call(ws, "last", "closing")
"""


@pytest.fixture
def start_users(
    tmp_path: Path, start_loadgen: Callable[..., LoadgenProcess]
) -> Callable[..., LoadgenProcess]:
    def start(server: ServerProcess, *flags: str, held: str = "") -> LoadgenProcess:
        script = tmp_path / "callers.py"
        script.write_text(SCRIPT.format(held=held, last=USERS - 1))
        scenario = ("--scenario", str(script), "--connect-timeout", "1h", "--stop-timeout", "10m")
        return start_loadgen(str(USERS), server.url, *scenario, *flags)

    return start


def figures(server: ServerProcess) -> dict[str, int]:
    """The counters that the server publishes."""
    with urlopen(f"{server.console}metrics", timeout=LONG_S) as answer:
        lines = answer.read().decode().splitlines()
    pattern = re.compile(r"echo_trio_(\S+?)(?:\{\w+=\"(\w+)\"\})? ([\d.]+)")
    found = filter(None, map(pattern.fullmatch, lines))
    return {f"{each[1]} {each[2]}".replace(" None", ""): int(float(each[3])) for each in found}


def wait_for_messages(server: ServerProcess, count: int) -> None:
    deadline = time.monotonic() + LONG_S
    while figures(server)["messages_total received"] < count:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def assert_same(server: ServerProcess, run: Run) -> None:
    """Hold the server's figures against the report's, once it has seen the last socket go."""
    wanted = {
        "messages_total received": run.messages["sent"],
        "messages_total sent": run.messages["received"],
        "connections_accepted_total": run.connections["opened"],
        "connections_ended_total clean": run.closed["clean"],
        "connections_open": 0,
    }
    deadline = time.monotonic() + LONG_S
    while True:
        now = figures(server)
        found = {name: now[name] for name in wanted}
        if found == wanted or time.monotonic() > deadline:
            break
        time.sleep(0.05)
    assert found == wanted


def test_users_who_log_in_and_talk_leave_the_same_figures_here_and_at_the_server(
    start_server: Callable[..., ServerProcess], start_users: Callable[..., LoadgenProcess]
) -> None:
    server = start_server(console=True)
    run = start_users(server, "--duration", "2s").finish()
    assert run.target_did_right, run.faults
    assert run.report["users"]["finished"] == USERS
    assert run.closed == {"clean": 2 * USERS}
    said = 2 * USERS - run.report["messages"]["missed"]
    assert run.messages == {
        "sent": 3 * USERS + said,
        "one_way": USERS,
        "echoed": 2 * USERS + said,
        "expected": 2 * USERS,
        "received": 4 * USERS + said,
    } | ({"missed": 2 * USERS - said} if said < 2 * USERS else {})
    assert {step["name"]: step["ok"] for step in run.report["steps"]} == {
        "greeted": USERS, "logged in": USERS, "first": USERS, "say": said, "last": USERS,
    }  # fmt: skip
    assert_same(server, run)


@pytest.mark.parametrize("phase", ["opening", "load", "closing"])
def test_ctrl_c_in_each_phase_leaves_a_whole_report_and_no_socket_without_a_goodbye(
    start_server: Callable[..., ServerProcess],
    start_users: Callable[..., LoadgenProcess],
    phase: str,
) -> None:
    server = start_server(console=True)
    duration = "1h" if phase == "load" else "1s"
    running = start_users(server, "--duration", duration, held=phase)
    running.wait_for(phase)
    # A login and a call of each user; in the closing phase two more, of which the last is held.
    wait_for_messages(server, (4 if phase == "closing" else 2) * USERS)
    running.signal()
    run = running.finish()
    assert run.code == 130
    assert run.report["interrupted"]
    assert run.report["verdict"] != "failed", run.faults
    assert run.report["users"]["requested"] == USERS
    assert run.connections["requested"] == run.connections["opened"] == run.closed["clean"]
    assert run.messages.get("lost", 0) == run.messages.get("unexpected", 0) == 0
    if phase == "closing":
        assert run.messages["in_flight"] >= 1
    assert_same(server, run)
