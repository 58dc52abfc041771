"""Tell a reply in time from one that is late, lost, or answers something else."""

from .conftest import columns


async def test_replies_overtake_each_other_and_each_has_its_own_latency(run):
    report = await run(
        """
        @scenario
        async def user(user: User) -> None:
            async with user.connect("/mute") as ws:
                async with trio.open_nursery() as nursery:
                    async def ask(name: str, said: dict) -> None:
                        reply = await ws.request(said, name=name, reply="id")
                        check("its own", said.items() <= reply["echo"].items())
                    nursery.start_soon(ask, "slow", {"held": True, "wait_s": 0.3})
                    await trio.sleep(0.01)  # it has been sent
                    nursery.start_soon(ask, "quick", {"releases": True})
                await user.ready()
        """
    )
    steps = {step["name"]: step for step in report["steps"]}
    assert report["checks"] == [{"name": "its own", "passed": 2, "failed": 0}]
    # However long this machine is held up, the slow one is answered 300 ms after the quick one.
    assert steps["slow"]["service"]["min"] > steps["quick"]["service"]["max"] + 250
    assert columns(report) == {"sent": 2, "echoed": 2, "received": 2}


async def test_what_falls_due_while_a_user_waits_is_late_since_it_was_due(run):
    report = await run(
        """
        @scenario
        async def user(user: User) -> None:
            async with user.connect("/mute") as ws:
                async for due in user.pace("10/s"):
                    wait_s = 0.4 if due.number == 0 else 0
                    await ws.request({"wait_s": wait_s}, name="ask", reply="id", due=due)
        """,
        duration_s=1.0,
    )
    (step,) = report["steps"]
    assert step["ok"] == 10  # all that fell due, though four of them late
    # Due at 150, 250, 350 ms and sent at 450: 300 + 200 + 100 late, by the server's fault alone.
    assert step["intended"]["p90"] >= 290 > step["service"]["p50"]
    held_up_ms = report["generator"]["loop_lag"]["max"]
    assert report["latency"]["scheduling_lag"]["max"] < max(150, held_up_ms)


async def test_a_reply_that_comes_too_late_is_lost_and_then_answers_nothing(run):
    report = await run(
        """
        @scenario
        async def user(user: User) -> None:
            async with user.connect("/mute") as ws:
                try:
                    await ws.request({"wait_s": 0.3}, name="ask", reply="id", timeout="100ms")
                except LostReply:
                    user.count("lost")
                await ws.request({"wait_s": 0.5}, name="again", reply="id")
                await user.ready()
        """
    )
    assert report["counters"] == {"lost": 1}
    assert report["users"]["finished"] == 1
    assert columns(report) == {"sent": 2, "echoed": 1, "lost": 1, "received": 2, "unexpected": 1}
    assert {step["name"]: step["lost"] for step in report["steps"]} == {"ask": 1, "again": 0}
    assert report["verdict"] == "failed"


async def test_a_late_reply_is_not_taken_for_that_of_the_next_message(run):
    report = await run(
        """
        @scenario
        async def user(user: User) -> None:
            async with user.connect("/mute") as ws:
                try:
                    await ws.request({"wait_s": 0.3, "n": 1}, timeout="50ms")
                except LostReply:
                    pass
                reply = await ws.request({"wait_s": 0.4, "n": 2})
                check("mine", reply["echo"]["n"] == 2)
                await user.ready()
        """
    )
    assert report["checks"] == [{"name": "mine", "passed": 1, "failed": 0}]
    assert columns(report) == {"sent": 2, "echoed": 1, "lost": 1, "received": 2, "unexpected": 1}


async def test_what_is_never_answered_is_lost_when_the_stop_timeout_is_over(run):
    report = await run(
        """
        @scenario
        async def user(user: User) -> None:
            async with user.connect("/mute") as ws:
                await user.ready()
                try:
                    await ws.request({"wait_s": 3600}, name="ask", reply="id")
                except LostReply:
                    user.count("lost")
                    raise
        """,
        stop_timeout_s=6.0,  # half of it, 3 s, is for the goodbye
    )
    assert report["counters"] == {"lost": 1}
    assert columns(report) == {"sent": 1, "lost": 1}
    assert report["users"]["failed_by"] == {"LostReply at chat.py:9": 1}
    assert report["connections"]["closed"]["clean"] == 1


async def test_the_server_that_closes_early_is_named_and_fails_whoever_waits(run, server):
    report = await run(
        """
        @scenario
        async def user(user: User) -> None:
            async with user.connect("/chat") as ws:
                await ws.expect(type="welcome")
                await ws.request({"close": True}, name="ask")
                await user.ready()
        """
    )
    assert report["users"]["failed_by"] == {"SocketClosed at chat.py:8": 1}
    assert report["connections"]["closed"]["by_peer"] == 1
    assert columns(report)["lost"] == 1
    assert {step["name"]: step["lost"] for step in report["steps"]} == {"ask": 1}
