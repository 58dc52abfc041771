"""Count what becomes of users: who begins, who ends, who fails and at which line."""

from .conftest import columns


async def test_a_user_that_raises_is_counted_by_its_cause_and_is_nobody_elses_end(run):
    report = await run(
        """
        @scenario
        async def user(user: User) -> None:
            async with user.connect("/mute") as ws:
                if user.number == 1:
                    raise LookupError("no such thing")
                if user.number == 2:
                    async with trio.open_nursery() as nursery:
                        nursery.start_soon(trio.sleep_forever)
                        {}["key"]
                async for due in user.pace("20/s"):
                    await ws.request({}, name="ask", reply="id", due=due)
        """,
        4,
    )
    users = report["users"]
    assert (users["finished"], users["failed"]) == (2, 2)
    assert users["failed_by"] == {"LookupError at chat.py:8": 1, "KeyError at chat.py:12": 1}
    assert "no such thing" in users["tracebacks"]["LookupError at chat.py:8"]
    assert 'raise LookupError("no such thing")' in users["tracebacks"]["LookupError at chat.py:8"]
    assert report["steps"][0]["ok"] == 20
    assert report["connections"]["closed"]["clean"] == 4
    assert report["verdict"] == "failed"
    assert any("2 of 4 users failed" in reason for reason in report["verdict_reasons"])


async def test_a_closed_loop_ends_with_the_load(run, server):
    report = await run(
        """
        @scenario
        async def user(user: User) -> None:
            async with user.connect("/mute") as ws:
                await ws.request({}, name="ask", reply="id")
                user.count("asked")
                await user.ready()
                while user.in_load:
                    await ws.request({}, name="ask", reply="id")
                    user.count("asked")
        """,
        3,
    )
    assert report["users"]["finished"] == 3
    messages, asked = columns(report), report["counters"]["asked"]
    assert messages["sent"] == messages["echoed"] == server.counts["received"] == asked


async def test_a_script_that_never_ends_is_cut_off_and_loses_nothing_by_it(run):
    report = await run(
        """
        @scenario
        async def user(user: User) -> None:
            async with user.connect("/mute") as ws:
                await user.ready()
                while True:
                    await ws.request({"wait_s": 0.02}, name="ask", reply="id")
        """,
        stop_timeout_s=6.0,  # a machine that is held up for a part of it loses no reply
    )
    assert report["users"]["interrupted"] == 1
    assert columns(report)["sent"] == columns(report)["echoed"]
    assert report["connections"]["closed"]["clean"] == 1


async def test_journeys_are_made_again_and_again_until_the_load_ends(run, server):
    report = await run(
        """
        @scenario
        async def journey(user: User) -> None:
            async with user.connect("/chat") as ws:
                await ws.expect(type="welcome")
                await ws.request({"wait_s": 0.05}, name="ask", reply="id")
            user.count("journeys")
        """,
        3,
    )
    journeys = report["counters"]["journeys"]
    assert report["users"]["finished"] == report["users"]["requested"] == 3
    assert journeys > 3
    server.wait_closed()
    assert server.counts["opened"] == report["connections"]["opened"] == journeys
    assert report["connections"]["closed"]["clean"] == journeys


async def test_users_arrive_at_their_rate_and_no_more_than_count_are_at_work(run):
    report = await run(
        """
        @scenario
        async def journey(user: User) -> None:
            user.count(f"user {user.number}")
            async with user.connect("/mute") as ws:
                await ws.request({"wait_s": 3600 if user.number < 2 else 0}, reply="id", timeout=2)
        """,
        2,
        arrive=20.0,
        duration_s=1.0,
    )
    users = report["users"]
    assert users["requested"] == 20
    assert users["failed_by"] == {"LostReply at chat.py:8": 2}
    assert users["not_started"] == 18
    assert report["counters"] == {"user 0": 1, "user 1": 1}


async def test_users_that_fell_due_while_the_loop_was_held_up_are_counted_as_not_started(run):
    report = await run(
        """
        import time

        @scenario
        async def journey(user: User) -> None:
            time.sleep(1.5)
        """,
        20,
        arrive=20.0,
        duration_s=1.0,
    )
    users = report["users"]
    assert (users["requested"], users["not_started"]) == (20, 19)


async def test_the_code_that_holds_everybody_up_is_named_by_its_step(run):
    report = await run(
        """
        import time

        @scenario
        async def user(user: User) -> None:
            async with user.connect("/mute") as ws:
                async for due in user.pace("20/s"):
                    await ws.request({}, name="quick", reply="id", due=due)
                    if due.number % 2:
                        time.sleep(0.05)
                    await ws.request({}, name="slow", reply="id")
        """,
        2,
        duration_s=2.0,
    )
    assert report["verdict"] == "generator-limited"
    assert any("at step slow" in reason for reason in report["verdict_reasons"])
    # A reply that waited for the script was stamped by the kernel before.
    steps = {step["name"]: step["service"] for step in report["steps"]}
    assert min(steps["quick"]["p50"], steps["slow"]["p50"]) < report["latency"]["script_lag"]["max"]
    assert report["latency"]["script_lag"]["max"] >= 20
