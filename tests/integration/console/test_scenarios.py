"""Scenarios that runs from the console may have, from a folder of the server's owner."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

SCENARIO = """
from loadgen.scenario import User, check, scenario

@scenario
async def talker(user: User) -> None:
    async with user.connect() as ws:
        await user.ready()
        reply = await ws.request("hello", name="say")
        check("it echoes", reply.startswith("hello "))
"""


ARRIVING = """
from loadgen.scenario import User, rows, scenario

people = rows("people.csv")

@scenario
async def visitor(user: User) -> None:
    assert people[user].name
"""


def test_a_run_has_the_scenario_of_the_folder_and_no_other_file(
    tmp_path: Path, start_server: Callable[..., Any]
) -> None:
    folder = tmp_path / "scenarios"
    folder.mkdir()
    for file in (folder / "talk.py", folder / "_part.py", tmp_path / "outside.py"):
        file.write_text(SCENARIO)
    (folder / "link.py").symlink_to(tmp_path / "outside.py")
    server = start_server(f"--scenario-dir={folder}", console=True)
    with httpx.Client(
        base_url=server.console, headers={"Content-Type": "application/json"}, timeout=60
    ) as client:
        assert client.get("api/scenarios").json() == {"scenarios": ["talk.py"]}
        for escape in ("../outside.py", str(tmp_path / "outside.py"), "link.py"):
            answer = client.post("api/runs", json={"count": 1, "scenario": escape})
            assert (answer.status_code, answer.json()["field"]) == (422, "scenario")
        order = {"count": 3, "scenario": "talk.py", "duration": "1s"}
        answer = client.post("api/runs", json=order)
        assert answer.status_code == 202, answer.text
        with client.stream("GET", f"api/runs/{answer.json()['id']}/live") as live:
            for _ in live.iter_lines():
                pass
        report = client.get(f"api/runs/{answer.json()['id']}").json()
        # More users than there are rows for are refused while it goes, and the load stays as it is.
        rows = "name\n" + "somebody\n" * 900
        (folder / "people.csv").write_text(rows)
        (folder / "arrive.py").write_text(ARRIVING)
        for more, field in (
            ({"arrive": "2/s"}, "arrive"),
            ({"count": 901, "duration": "1s"}, "count"),
        ):
            order = {"count": 9, "scenario": "arrive.py", "duration": "10m"} | more
            answer = client.post("api/runs", json=order)
            assert (answer.status_code, answer.json()["field"]) == (422, field)
            assert "people.csv has 900 rows" in answer.json()["error"]
        order = {"count": 9, "scenario": "arrive.py", "arrive": "1/s", "duration": "10m"}
        answer = client.post("api/runs", json=order)
        assert answer.status_code == 202, answer.text
        run = f"api/runs/{answer.json()['id']}"
        while (refused := client.patch(run, json={"rate": "100/s"})).status_code == 409:
            pass  # Its load has not begun.
        assert (refused.status_code, refused.json()["field"]) == (422, "rate")
        assert "people.csv has 900 rows" in refused.json()["error"]
        assert client.patch(run, json={"rate": "1.01/s"}).json()["load"]["rate"] == 1.01
        assert client.delete(run).status_code == 202
    assert report["users"]["finished"] == 3
    assert [check["failed"] for check in report["checks"]] == [0]
    assert report["plan"]["scenario"] == "talk.py"
