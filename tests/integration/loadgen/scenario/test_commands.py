"""Run scripts by the command line: in several processes, in a search, for a comparison."""

import json

from loadgen.studies import compare

from .conftest import HEAD, columns

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


def test_a_search_sends_no_more_users_than_a_scenario_has_rows_for(tmp_path, server, start_loadgen):
    (tmp_path / "people.csv").write_text("name\n" + "somebody\n" * 30)
    (tmp_path / "visit.py").write_text(
        HEAD
        + """
people = rows("people.csv")

@scenario
async def visit(user: User) -> None:
    async with user.connect("/mute") as ws:
        await ws.request({"from": people[user].name}, name="say", reply="id")
"""
    )
    arguments = ("30", server.url, "--scenario", str(tmp_path / "visit.py"), "--duration", "1s")
    search = start_loadgen(
        *arguments, "--arrive", "20/s", "--find-capacity", "--fail-if", "users.failed>0"
    )
    search.process.communicate(timeout=100)
    search._errors.close()
    found = json.loads(search.report_path.read_text())
    steps = found["steps"]
    beyond = [step for step in steps if step["rate_per_s"] > 30]
    # The step after the first is beyond, unless this machine was too busy for the first.
    assert bool(beyond) == (steps[0]["outcome"] == "held")
    assert {(step["outcome"], step["reasons"][0][:24]) for step in beyond} <= {
        ("generator-limited", "people.csv has 30 rows f")
    }
    # What ran had a row for each user: no run broke.
    assert "broke" not in {step["outcome"] for step in steps}
    assert found["limited_by"] == "generator"
