"""A run of users ends in good order whatever happens, and whatever their code is doing then."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from loadgen import api
from loadgen.workload.plan import Plan

from ...books import check_report
from ..conftest import PATIENCE_S, LoadgenProcess, Server

USERS = 4
PHASES = ["opening", "load", "closing", "shielded"]
#: User 0 stays in one phase: what it sends there is not answered.
SCRIPT = """
import os
import trio
from loadgen.scenario import Socket, User, scenario

HELD = "{held}"


async def pass_through(ws: Socket, phase: str) -> None:
    if phase == HELD and ws.user.number == 0:
        await ws.request({{"held": phase, "pid": os.getpid()}}, reply="id")


@scenario
async def talker(user: User) -> None:
    try:
        async with user.connect() as ws:
            try:
                await ws.request({{"here": user.number}}, reply="id")
                await pass_through(ws, "opening")
                async for due in user.pace("20/s"):
                    await ws.request({{"n": due.number}}, name="say", reply="id", due=due)
                    if due.number:
                        await pass_through(ws, "load")
                await pass_through(ws, "closing")
            finally:
                with trio.CancelScope(shield=True):
                    await pass_through(ws, "shielded")
    finally:
        user.count("left")
"""


async def answer(connection: ServerConnection, counts: Counter[str]) -> None:
    """Answer everything but what is held; keep the process id that comes with it."""
    with suppress(ConnectionClosed):
        async for text in connection:
            asked = json.loads(text)
            if "held" in asked:
                counts["pid"] = asked["pid"]
            else:
                await connection.send(json.dumps({"id": asked["id"]}))
            counts["n"] = max(counts["n"], asked.get("n", 0))


@pytest.fixture
def server(serve_websockets: Callable[..., Server]) -> Server:
    return serve_websockets(answer)


@pytest.fixture
def start(
    server: Server, tmp_path: Path, start_loadgen: Callable[..., LoadgenProcess]
) -> Callable[..., LoadgenProcess]:
    """Starts users, one of whom stays in a phase; returns when it is there."""

    def begin(held: str, *flags: str) -> LoadgenProcess:
        script = tmp_path / "talker.py"
        script.write_text(SCRIPT.format(held=held))
        run = start_loadgen(
            str(USERS), server.url, "--scenario", str(script), "--connect-timeout", "1h",
            "--stop-timeout", "1h", "--duration", "1s" if held == "closing" else "1h", *flags,
        )  # fmt: skip
        if held == "shielded":  # The shield is that of a user who is cancelled.
            server.wait_until(lambda: server.counts["n"])
            run.signal(signal.SIGTERM)
        server.wait_until(lambda: server.counts["pid"])
        return run

    return begin


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_second_signal_ends_users_at_once_that_shield_themselves(
    start: Callable[..., LoadgenProcess], workers: str
) -> None:
    run = start("shielded", "--workers", workers)
    run.signal(signal.SIGTERM)
    # The shield would have lasted for half of the stop timeout.
    assert run.process.wait(timeout=PATIENCE_S) == 130
    run.finish()


@pytest.mark.parametrize("phase", PHASES)
def test_a_process_killed_in_any_phase_of_its_users_is_in_the_books_and_the_others_go_on(
    server: Server, start: Callable[..., LoadgenProcess], phase: str
) -> None:
    run = start(phase, "--workers", "2", "--stream")
    assert run.process.stdout is not None
    for _ in range(2):  # What it has done up to now is told once a second.
        run.process.stdout.readline()
    os.kill(server.counts["pid"], signal.SIGKILL)
    run.wait_for_errors("died after")
    if phase == "opening":
        server.wait_until(lambda: server.counts["n"])
    if phase != "shielded":  # There it has had its signal.
        run.signal()
    over = run.finish()
    users = over.report["users"]
    assert over.code == 130
    assert "killed by SIGKILL" in over.report["verdict_reasons"][0]
    if phase == "shielded":  # The run was to end, and so were they.
        assert users["interrupted"] == users["requested"] == USERS
    else:
        assert users["failed_by"].keys() == {"its process of the load generator died"}
        assert users["failed"] + users["interrupted"] + users["finished"] == USERS
    # In the first two phases its other user is there as well, and later may have gone before.
    lost = over.closed["abnormal"]
    assert lost == USERS // 2 if phase in {"opening", "load"} else 1 <= lost <= USERS // 2
    assert over.closed == {"clean": USERS - lost, "abnormal": lost}


@pytest.mark.parametrize("phase", PHASES)
async def test_a_target_that_dies_in_any_phase_fails_whoever_talks_with_it_and_holds_up_nobody(
    serve_websockets: Callable[..., Server], tmp_path: Path, phase: str, nursery: trio.Nursery
) -> None:
    sockets: set[ServerConnection] = set()
    stop = trio.Event()

    async def die_when_held(connection: ServerConnection, counts: Counter[str]) -> None:
        sockets.add(connection)
        with suppress(ConnectionClosed):
            async for text in connection:
                asked = json.loads(text)
                counts["n"] = max(counts["n"], asked.get("n", 0))
                if "held" in asked:
                    for each in sockets:
                        each.transport.abort()
                await connection.send(json.dumps({"id": asked["id"]}))

    server = serve_websockets(die_when_held)
    script = tmp_path / "talker.py"
    script.write_text(SCRIPT.format(held=phase))

    async def interrupt() -> None:
        await trio.to_thread.run_sync(server.wait_until, lambda: server.counts["n"])
        stop.set()

    if phase == "shielded":  # The shield is that of users who were cancelled.
        nursery.start_soon(interrupt)
    duration_s = 0.5 if phase == "closing" else 3600.0
    plan = Plan(
        USERS, server.url, scenario=str(script), duration_s=duration_s, stop_timeout_s=3600.0
    )
    report: dict[str, Any] = json.loads(msgspec.json.encode(await api.run(plan, stop=stop)))
    check_report(report)
    users = report["users"]
    assert report["counters"]["left"] == users["requested"] == USERS
    assert report["verdict"] == "failed"
    assert users["failed"] >= 1
    assert all(cause.startswith("SocketClosed at talker.py:") for cause in users["failed_by"])
    # In the load everybody is there to see it; else some may have taken their leave before.
    if phase in {"opening", "load"}:
        assert users["failed"] == USERS
    closed = report["connections"]["closed"]
    assert closed["clean"] + closed["abnormal"] == USERS
    assert report["interrupted"] == (phase == "shielded")
