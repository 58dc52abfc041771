"""Interrupt users wherever they are: their code is cancelled, their sockets say goodbye."""

import pytest

from .conftest import HEAD, columns

BODIES = {
    "expect": 'await ws.expect(type="never")',
    "request": 'await ws.request({"wait_s": 3600}, reply="id")',
    "pace": 'async for due in user.pace("0.001/s"): pass',
    "stream": 'async for push in ws.stream(type="never"): pass',
    "ready": "await trio.sleep_forever() if user.number else await user.ready()",
    "sleep in the load": 'await user.ready(); await user.sleep("1h")',
}


@pytest.mark.parametrize("body", BODIES.values(), ids=list(BODIES))
async def test_an_interruption_cancels_users_wherever_they_are_and_sockets_say_goodbye(
    run, stop_at, body
):
    report = await run(
        f"""
        @scenario
        async def user(user: User) -> None:
            try:
                async with user.connect("/mute") as ws:
                    await ws.send({{"times": 0}})
                    {body}
            except trio.Cancelled:
                user.count("cancelled")
                raise
            finally:
                user.count("finally")
        """,
        2,
        stop=stop_at("received", 4 if "request" in body else 2),
        duration_s=3600.0,
    )
    assert report["interrupted"]
    assert report["users"]["interrupted"] == 2
    assert report["counters"] == {"cancelled": 2, "finally": 2}
    assert report["connections"]["closed"]["clean"] == 2
    assert columns(report).get("lost", 0) == 0
    if "request" in body:
        assert columns(report)["in_flight"] == 2


async def test_a_user_that_raises_while_it_is_cancelled_has_failed_by_that(run, stop_at):
    report = await run(
        """
        async def hold(user: User) -> None:
            try:
                await trio.sleep_forever()
            finally:
                if user.number:
                    raise LookupError("amid the end")

        @scenario
        async def user(user: User) -> None:
            async with user.connect("/mute") as ws:
                async with trio.open_nursery() as tasks:
                    tasks.start_soon(hold, user)
                    await ws.send({"times": 0})
                    await user.ready()
                    await trio.sleep_forever()
        """,
        2,
        stop=stop_at("received", 2),
        duration_s=3600.0,
    )
    users = report["users"]
    assert (users["interrupted"], users["failed"]) == (1, 1)
    assert users["failed_by"] == {"LookupError at chat.py:9": 1}


async def test_users_whose_turn_to_open_has_not_come_were_not_started(run, stop_at):
    report = await run(
        """
        @scenario
        async def user(user: User) -> None:
            async with user.connect("/mute") as ws:
                await ws.send({"times": 0})
                await trio.sleep_forever()
                await user.ready()
        """,
        5,
        stop=stop_at("received", 2),
        connect_concurrency=2,
    )
    users = report["users"]
    assert (users["interrupted"], users["not_started"]) == (2, 3)
    assert report["connections"]["requested"] == report["connections"]["closed"]["clean"] == 2


async def test_what_a_user_shields_gets_half_the_stop_timeout_and_no_more(run, stop_at):
    report = await run(
        """
        @scenario
        async def user(user: User) -> None:
            async with user.connect("/mute") as ws:
                try:
                    async for due in user.pace("0.001/s"):
                        pass
                finally:
                    with trio.CancelScope(shield=True):
                        await ws.request({}, name="goodbye", reply="id")
                        if user.number:
                            async with trio.open_nursery() as nursery:
                                nursery.start_soon(trio.sleep, 3600)
                        user.count("through")
        """,
        2,
        stop=stop_at("opened", 2),
        duration_s=3600.0,
        stop_timeout_s=8.0,  # a machine that is held up for 3 s still says goodbye
    )
    assert report["counters"] == {"through": 1}
    assert {step["name"]: step["ok"] for step in report["steps"]} == {"goodbye": 2}
    assert report["users"]["interrupted"] == 2
    assert report["connections"]["closed"]["clean"] == 2


WAITING = """
@scenario
async def waiting(user: User) -> None:
    try:
        async with user.connect("/mute") as ws:
            await ws.send({"times": 0})
            await user.ready()
            await ws.request({"wait_s": 3600}, name="ask", reply="id")
    finally:
        user.count("finally")
"""


def test_ctrl_c_reaches_every_process_and_the_report_is_whole(tmp_path, server, start_loadgen):
    (tmp_path / "wait.py").write_text(HEAD + WAITING)
    run = start_loadgen(
        "6",
        server.url,
        "--scenario",
        str(tmp_path / "wait.py"),
        "--workers",
        "2",
        "--duration",
        "1h",
    )
    server.wait_until(lambda: server.counts["received"] == 12)
    run.signal()
    over = run.finish()
    assert over.code == 130
    assert over.report["users"]["interrupted"] == over.report["counters"]["finally"] == 6
    assert over.messages == {"sent": 12, "one_way": 6, "in_flight": 6}
    server.wait_closed()
    assert server.counts["closed 1000"] == over.closed["clean"] == 6
