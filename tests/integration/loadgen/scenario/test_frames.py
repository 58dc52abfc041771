"""Find every frame of a user where the script says, and where the server counts it."""

import pytest

from .conftest import HEAD, columns


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


async def test_a_frame_that_an_interrupted_user_could_not_claim_any_more_is_not_the_servers_fault(
    run, stop_at
):
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
        stop=stop_at("sent", 6),
        duration_s=3600.0,
    )
    assert columns(report) == {
        "sent": 3, "echoed": 3, "received": 6, "unexpected": 2, "ignored": 1,
    }  # fmt: skip


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
