"""One async function is one user: what becomes of it and its frames, against `websockets`.

The server counts what it receives and sends; the generator's columns have to be these.
"""

import asyncio
import json
import textwrap
from contextlib import suppress

import msgspec
import pytest
import trio
from websockets.exceptions import ConnectionClosed

from loadgen import api
from loadgen.studies import compare
from loadgen.workload.plan import Plan

from ..books import check_report

HEAD = """\
from loadgen.scenario import LostReply, SocketClosed, User, check, rows, scenario
import trio
"""


#: Who is in which room of the server.
rooms = {}


async def until_closed(connection):
    with suppress(ConnectionClosed):
        async for text in connection:
            yield text


async def chat(connection, counts):
    """Welcome, answer by id, and do as the message says."""

    async def say(message):
        counts["sent"] += 1
        with suppress(ConnectionClosed):
            await connection.send(message if isinstance(message, bytes) else json.dumps(message))

    async def tick():
        for seq in range(1_000_000):
            await say({"type": "tick", "seq": seq})
            await asyncio.sleep(0.02)

    path = connection.request.path
    if path.startswith("/room/"):
        members = rooms.setdefault(path, set())
        members.add(connection)
        await say({"type": "joined"})
        async for text in connection:
            counts["received"] += 1
            asked = json.loads(text)
            if asked.get("type") == "swallow":
                asked["swallowed"] = True
            counts["sent"] += len(members)
            for member in members:
                if not (asked.get("swallowed") and member is connection):
                    await member.send(text)
        members.discard(connection)
        return
    if path != "/mute":
        await say({"type": "welcome", "path": path})
    async with asyncio.TaskGroup() as tasks:
        waiting = [tasks.create_task(tick())] if path == "/ticks" else []
        async for text in until_closed(connection):
            counts["received"] += 1
            asked = json.loads(text)
            reply = {"type": "reply", "id": asked.get("id"), "echo": asked}

            async def answer(asked=asked, reply=reply):
                await asyncio.sleep(asked.get("wait_s", 0))
                for _ in range(asked.get("times", 1)):
                    await say(json.dumps(reply).encode() if asked.get("binary") else reply)

            if "close" in asked:
                await connection.close(4000, "enough")
                break
            for frame in asked.get("first", []):
                await say(frame)
            waiting.append(tasks.create_task(answer()))
        for task in waiting:
            task.cancel()


@pytest.fixture
def server(serve_websockets):
    return serve_websockets(chat)


@pytest.fixture
def run(tmp_path, server):
    """Runs a script against the server; returns the report as users read it, checked."""

    async def begin(script, count=1, *, stop=None, after=None, **settings):
        file = tmp_path / "chat.py"
        file.write_text(HEAD + textwrap.dedent(script))
        settings = {"duration_s": 0.5, "stop_timeout_s": 60.0} | settings
        plan = Plan(count, server.url, scenario=str(file), **settings)
        report = await api.run(plan, stop=stop)
        whole = json.loads(msgspec.json.encode(report))
        check_report(whole)
        return whole

    return begin


def columns(report):
    return {
        key: n
        for key, n in report["messages"].items()
        if n and not key.endswith(("_bytes", "_per_s"))
    }


async def test_every_frame_is_where_the_script_says_and_the_server_counts_the_same(run, server):
    report = await run(
        """
        @scenario(weight=2)
        async def talker(user: User) -> None:
            async with user.connect("/chat") as ws:
                welcome = await ws.expect(type="welcome", name="welcome")
                check("path", welcome["path"] == "/chat")
                await ws.request({"type": "login"}, name="login", reply="id")
                ws.ignore(type="news")
                async for due in user.pace("20/s"):
                    said = {"n": due.number, "first": [{"type": "news"}]}
                    reply = await ws.request(said, name="say", reply="id", due=due)
                    check("mine", reply["echo"]["n"] == due.number)
                    user.count("said")
                await ws.send({"type": "bye", "times": 0}, name="bye")

        @scenario
        async def listener(user: User) -> None:
            async with user.connect("/ticks") as ws:
                await ws.expect(type="welcome")
                async for push in ws.stream("ticks", type="tick", order="seq"):
                    check("in order", push["seq"] >= 0)
        """,
        3,
        duration_s=1.0,
    )
    assert report["verdict_reasons"] == [] or report["verdict"] == "generator-limited"
    users, messages = report["users"], columns(report)
    assert (users["requested"], users["finished"]) == (3, 3)
    server.wait_closed()
    assert report["connections"]["closed"]["clean"] == 3
    assert messages["sent"] == server.counts["received"]
    assert messages["received"] <= server.counts["sent"]
    assert messages["one_way"] == 2
    assert messages["expected"] == 3
    assert messages["echoed"] == messages["sent"] - 2
    assert messages["ignored"] == report["counters"]["said"] == messages["echoed"] - 2
    steps = {step["name"]: step for step in report["steps"]}
    assert list(steps) == ["welcome", "login", "say", "bye"]
    assert [steps[name]["kind"] for name in steps] == ["expect", "request", "request", "send"]
    assert steps["say"]["ok"] == steps["say"]["count"] == 2 * 20 * 1
    assert steps["say"]["intended"]["count"] == 40
    assert steps["login"]["intended"] is None
    assert steps["login"]["service"]["count"] == steps["login"]["ok"] == 2
    (ticks,) = report["streams"]
    assert ticks["received"] == messages["streamed"] > 0
    assert (ticks["gaps"], ticks["reordered"], ticks["duplicate"]) == (0, 0, 0)
    checks = {each["name"]: (each["passed"], each["failed"]) for each in report["checks"]}
    assert checks["mine"] == (40, 0)
    assert checks["path"] == (2, 0)


async def test_replies_overtake_each_other_and_each_has_its_own_latency(run):
    report = await run(
        """
        @scenario
        async def user(user: User) -> None:
            async with user.connect("/mute") as ws:
                async with trio.open_nursery() as nursery:
                    async def ask(name: str, wait_s: float) -> None:
                        reply = await ws.request({"wait_s": wait_s}, name=name, reply="id")
                        check("its own", reply["echo"]["wait_s"] == wait_s)
                    nursery.start_soon(ask, "slow", 0.3)
                    nursery.start_soon(ask, "quick", 0)
                await user.ready()
        """
    )
    steps = {step["name"]: step for step in report["steps"]}
    assert report["checks"] == [{"name": "its own", "passed": 2, "failed": 0}]
    assert steps["slow"]["service"]["min"] >= 300 > steps["quick"]["service"]["max"]
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
    assert report["latency"]["scheduling_lag"]["p50"] < 290


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
                    await ws.request({}, name="ask", reply="id")
        """,
        stop_timeout_s=6.0,  # a machine that is held up for a part of it loses no reply
    )
    assert report["users"]["interrupted"] == 1
    assert columns(report)["sent"] == columns(report)["echoed"]
    assert report["connections"]["closed"]["clean"] == 1


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
        stop_timeout_s=1.0,
    )
    assert report["counters"] == {"lost": 1}
    assert columns(report) == {"sent": 1, "lost": 1}
    assert report["users"]["failed_by"] == {"LostReply at chat.py:9": 1}
    assert report["connections"]["closed"]["clean"] == 1


async def test_a_duplicate_a_wrong_opcode_and_a_stray_each_have_their_column(run):
    report = await run(
        """
        @scenario
        async def user(user: User) -> None:
            async with user.connect("/mute") as ws:
                await ws.request({"times": 2}, name="twice", reply="id")
                await ws.request({"binary": True}, name="binary", reply="id")
                await ws.request({"first": [{"type": "stray"}]}, name="stray", reply="id")
                await ws.request({"id": "a", "times": 2}, name="own key", reply="id")
                await ws.request({}, name="last", reply="id")
                await user.ready()
        """
    )
    assert columns(report) == {
        "sent": 5, "echoed": 4, "corrupt": 1, "received": 8, "duplicate": 2, "unexpected": 1,
    }  # fmt: skip
    assert {step["name"]: step["failed"] for step in report["steps"]}["binary"] == 1


@pytest.mark.parametrize("pause_s", [0, 0.2], ids=["at once", "when all has come"])
async def test_what_a_frame_is_depends_on_the_order_of_calls_not_on_chance(run, pause_s):
    report = await run(
        f"""
        @scenario
        async def user(user: User) -> None:
            async with user.connect("/mute") as ws:
                frames = [{{"type": name}} for name in ("a", "early", "b", "c", "d")]
                await ws.send({{"first": frames, "times": 0}})
                await user.sleep({pause_s})
                await ws.expect(type="a")
                await ws.expect(type="b")  # "early" is passed by, and may still be claimed
                ws.ignore(type="early")
                await ws.expect(type="d")  # "c" is passed by
                await ws.request({{}}, reply="id")
                await user.ready()
        """
    )
    assert columns(report) == {
        "sent": 2, "one_way": 1, "echoed": 1, "received": 6, "expected": 3, "ignored": 1,
        "unexpected": 1,
    }  # fmt: skip


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
    run, server, nursery, body
):
    stop, sent = trio.Event(), 4 if "request" in body else 2

    async def interrupt():
        await trio.to_thread.run_sync(server.wait_until, lambda: server.counts["received"] == sent)
        stop.set()

    nursery.start_soon(interrupt)
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
        stop=stop,
        duration_s=3600.0,
    )
    assert report["interrupted"]
    assert report["users"]["interrupted"] == 2
    assert report["counters"] == {"cancelled": 2, "finally": 2}
    assert report["connections"]["closed"]["clean"] == 2
    assert columns(report).get("lost", 0) == 0
    if "request" in body:
        assert columns(report)["in_flight"] == 2


async def test_a_frame_that_an_interrupted_user_could_not_claim_any_more_is_not_the_servers_fault(
    run, server, nursery
):
    stop = trio.Event()

    async def interrupt():
        await trio.to_thread.run_sync(server.wait_until, lambda: server.counts["sent"] == 6)
        stop.set()

    nursery.start_soon(interrupt)
    report = await run(
        """
        @scenario
        async def user(user: User) -> None:
            async with user.connect("/mute") as ws:
                await ws.request({"first": [{"n": 0}, {"n": 1}]}, name="ask", reply="id")
                await ws.request({}, name="pass by", reply="id")
                await ws.request({"first": [{"n": 2}]}, name="ask", reply="id")
                await trio.sleep_forever()
                await ws.expect(n=2)
        """,
        stop=stop,
        duration_s=3600.0,
    )
    assert columns(report) == {
        "sent": 3, "echoed": 3, "received": 6, "unexpected": 2, "ignored": 1,
    }  # fmt: skip


async def test_users_whose_turn_to_open_has_not_come_were_not_started(run, server, nursery):
    stop = trio.Event()

    async def interrupt():
        await trio.to_thread.run_sync(server.wait_until, lambda: server.counts["received"] == 2)
        stop.set()

    nursery.start_soon(interrupt)
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
        stop=stop,
        connect_concurrency=2,
    )
    users = report["users"]
    assert (users["interrupted"], users["not_started"]) == (2, 3)
    assert report["connections"]["requested"] == report["connections"]["closed"]["clean"] == 2


async def test_what_a_user_shields_gets_half_the_stop_timeout_and_no_more(run, server, nursery):
    stop = trio.Event()

    async def interrupt():
        await trio.to_thread.run_sync(server.wait_until, lambda: server.counts["opened"] == 2)
        stop.set()

    nursery.start_soon(interrupt)
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
        stop=stop,
        duration_s=3600.0,
        stop_timeout_s=2.0,
    )
    assert report["counters"] == {"through": 1}
    assert {step["name"]: step["ok"] for step in report["steps"]} == {"goodbye": 2}
    assert report["users"]["interrupted"] == 2
    assert report["connections"]["closed"]["clean"] == 2


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


async def test_what_is_published_is_owed_to_all_who_subscribed_and_a_swallowed_copy_is_missing(run):
    report = await run(
        """
        @scenario
        async def member(user: User) -> None:
            room = f"/room/{user.number % 2}"
            async with user.connect(room) as ws:
                await ws.expect(type="joined")
                ws.subscribe(room, copy="id")
                async for due in user.pace("10/s"):
                    kind = "swallow" if user.number == 5 and due.number == 1 else "say"
                    said = {"type": kind, "id": f"{user.number}-{due.number}"}
                    await ws.publish(said, topic=room, name="say", due=due, copy="id")
        """,
        6,
        stop_timeout_s=2.0,
    )
    fan_out, sent = report["fan_out"], 6 * 5
    assert (fan_out["published"], fan_out["owed"]) == (sent, sent * 3)
    assert (fan_out["delivered"], fan_out["missing"]) == (sent * 3 - 1, 1)
    assert columns(report) == {
        "sent": sent, "published": sent, "received": sent * 3 - 1 + 6, "expected": 6,
        "copies": sent * 3 - 1,
    }  # fmt: skip
    assert report["steps"][0]["kind"] == "publish"
    assert report["steps"][0]["intended"]["count"] == sent


WHO = """
people = rows("people.csv")

@scenario(weight=2)
async def talker(user: User) -> None:
    async with user.connect("/mute") as ws:
        async for due in user.pace("5/s"):
            said = {"row": people[user].name, "lot": user.random.randrange(1000)}
            await ws.request(said, name="say", reply="id", due=due)
            user.count(f"{user.number} {user.scenario} {said['row']} {said['lot']}")

@scenario
async def other(user: User) -> None:
    async with user.connect("/mute") as ws:
        await user.ready()
        user.count(f"{user.number} {user.scenario} {people[user].name}")
"""


def test_one_process_and_three_run_the_same_users(tmp_path, server, start_loadgen):
    (tmp_path / "people.csv").write_text("name\n" + "".join(f"p{n}\n" for n in range(9)))
    (tmp_path / "who.py").write_text(HEAD + WHO)
    arguments = ("9", server.url, "--scenario", str(tmp_path / "who.py"), "--duration", "1s")
    runs = [
        start_loadgen(*arguments).finish(),
        start_loadgen(*arguments, "--workers", "3").finish(),
    ]
    one, three = [run.report for run in runs]
    assert [run.faults for run in runs] == [[], []]
    assert one["counters"] == three["counters"]
    assert len(one["counters"]) == 6 * 5 + 3
    assert one["users"] == three["users"]
    assert columns(one) == columns(three)
    assert [(step["name"], step["ok"]) for step in three["steps"]] == [("say", 30)]
    server.wait_closed()
    assert server.counts["closed 1000"] == 18


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


def test_a_trace_says_of_every_frame_what_claims_it(tmp_path, server, start_loadgen):
    (tmp_path / "one.py").write_text(
        HEAD
        + """
@scenario
async def one(user: User) -> None:
    async with user.connect("/chat") as ws:
        await ws.expect(type="welcome")
        ws.ignore(type="news")
        await ws.request({"first": [{"type": "news"}]}, name="ask", reply="id")
        await user.ready()
"""
    )
    run = start_loadgen(
        "1", server.url, "--scenario", str(tmp_path / "one.py"), "--trace", "--duration", "100ms"
    ).finish()
    lines = [line.split(" s ", 1)[1].split() for line in run.stderr.splitlines() if " s " in line]
    told = [(direction, claim) for direction, claim, *_ in lines]
    assert told == [("←", "expected"), ("→", "request"), ("←", "ignored"), ("←", "echoed")]


def test_a_search_raises_the_pace_of_a_scenario_and_two_reports_are_compared_by_step(
    tmp_path, server, start_loadgen
):
    (tmp_path / "pace.py").write_text(
        HEAD
        + """
@scenario
async def talker(user: User) -> None:
    async with user.connect("/mute") as ws:
        async for due in user.pace("5/s"):
            await ws.request({}, name="say", reply="id", due=due)
"""
    )
    arguments = ("4", server.url, "--scenario", str(tmp_path / "pace.py"), "--duration", "1s")
    search = start_loadgen(*arguments, "--find-capacity", "--fail-if", "messages.sent>50")
    search.process.communicate(timeout=100)
    search._errors.close()
    found = json.loads(search.report_path.read_text())
    rates = [step["rate_per_s"] for step in found["steps"]]
    assert rates[0] == 20
    assert rates[1] in {40, 10}  # which of them depends on whether this machine is busy
    for step, rate in zip(found["steps"], rates[:2], strict=False):
        assert sum(second["sent"] for second in step["series"]) == rate
    runs = [start_loadgen(*arguments) for _ in range(2)]
    for run in runs:
        run.finish()
    compared = compare.compare(
        *({str(n): json.loads(run.report_path.read_text())} for n, run in enumerate(runs))
    )
    assert compared.plan_differences == []
    assert {"say: service p99", "say: intended p99"} <= {each.name for each in compared.changes}


async def test_a_function_that_raises_for_a_frame_from_before_leaves_every_frame_counted(run):
    report = await run(
        """
        @scenario
        async def user(user: User) -> None:
            async with user.connect("/mute") as ws:
                await ws.request({"first": [{"n": 0}, {"n": 1}]}, name="ask", reply="id")
                await ws.expect(lambda frame: frame["n"] > 1 / frame["n"])
        """,
    )
    assert report["users"]["failed"] == 1
    assert columns(report) == {"sent": 1, "echoed": 1, "received": 3, "unexpected": 2}
