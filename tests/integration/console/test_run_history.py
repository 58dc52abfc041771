"""Runs of the console that are kept in a file: over a restart, with a name and a note."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from echo_trio.settings import Settings
from loadgen.history import file

JSON = {"Content-Type": "application/json"}


STEERED = [
    {"t_s": 2.0, "load_s": 1.0, "what": "rate", "unit": "rate", "old": 1.0, "new": 2.0,
     "paused_s": None}
]  # fmt: skip


def client_of(server: Any) -> httpx.Client:
    return httpx.Client(base_url=server.console, headers=JSON, timeout=60)


def run_to_its_end(client: httpx.Client, **order: Any) -> str:
    answer = client.post("api/runs", json=order)
    assert answer.status_code == 202, answer.text
    run = answer.json()["id"]
    # It ends with the run.
    assert "event: report" in client.get(f"api/runs/{run}/live").text
    return f"api/runs/{run}"


def add_nights(history: Path, report: dict[str, Any]) -> None:
    """Add 24 runs to the file, of which the last twelve sent half as much a second."""
    with closing(sqlite3.connect(history)) as database, database:
        for night in range(24):
            report["started_at"] = f"2027-01-{night + 1:02}T02:00:00+00:00"
            report["messages"]["sent_per_s"] = (1_000 if night < 12 else 500) + night % 3
            report["changes"] = STEERED if night == 23 else []
            row = (report["started_at"], "valid", "nightly", "{}", json.dumps(report))
            database.execute(
                "INSERT INTO runs (started_at, verdict, name, plan, report) VALUES (?, ?, ?, ?, ?)",
                row,
            )


def test_runs_their_names_and_notes_are_there_after_a_restart(
    start_server: Callable[..., Any], tmp_path: Path
) -> None:
    history = tmp_path / "runs.db"
    server = start_server(f"--history={history}", console=True)
    with client_of(server) as client:
        named = {"name": "before the change", "note": "two lines\nof it"}
        run = run_to_its_end(client, count=2, duration="0.1s", **named)
        plain = run_to_its_end(client, count=1, duration="0.1s", url=f"{server.url}status/503")
        newest, before = client.get("api/runs").json()["runs"]
        report = client.get(run).json()
        assert (before["changes"], report["changes"]) == ([], [])
        for note in ("for a moment", "for once"):
            assert client.patch(plain, json={"note": note}).json()["note"] == note
        for wrong in ({"note": 1}, {"name": "a\nb"}, {"name": "a\0"}, {"count": 1}, []):
            assert client.patch(plain, json=wrong).status_code == 422
        foreign = client.patch(plain, json={}, headers={"Origin": "http://evil.example"})
        assert foreign.status_code == 403
    assert {key: before[key] for key in named} == named
    # Each is known by its number in the file as well, which is what stays.
    assert (before["kept"], newest["kept"]) == (1, 2)
    server.stop()

    server = start_server(f"--history={history}", console=True)
    with client_of(server) as client:
        again = client.get("api/runs").json()["runs"]
        changed = {"id": "1", "page": False}
        # The generator's clock is that of its report.
        times = {key: again[1][key] for key in ("started_at", "ended_at")}
        assert again[1] == before | changed | times
        assert (again[0]["id"], again[0]["note"], again[0]["name"]) == ("2", "for once", "")
        assert (again[0]["exit_code"], again[0]["verdict"]) == (69, newest["verdict"])
        assert client.get("api/runs/1").json() == report
        assert client.get("api/runs/1/live").text.startswith("event: report\n")
        assert client.get("api/runs/1/report.html").status_code == 404
        assert client.delete("api/runs/1").status_code == 409
        # It goes on where it was: a run has the number after theirs.
        run_to_its_end(client, count=1, duration="0.1s")
        assert client.get("api/runs").json()["runs"][0]["kept"] == 3
        # How runs went over time is told of all that the file has, in the list or not.
        add_nights(history, report)
        assert client.get("api/runs/28").status_code == 404
        assert client.get("api/runs/27").json()["started_at"] == "2027-01-24T02:00:00+00:00"
        told = client.get("api/runs/27/trends")
        (line,) = told.json()["lines"]
        assert (line["name"], [each["id"] for each in line["runs"]]) == ("nightly", [*range(4, 28)])
        (change,) = next(
            trend["changes"] for trend in line["trends"] if trend["name"] == "sent per second"
        )
        assert (change["run"], change["call"]) == (16, "worse")
        # One that was changed by hand is marked, and is not counted.
        assert client.patch("api/runs/27", json={"note": "by hand"}).json()["changes"] == STEERED
        assert [each["changes"] for each in line["runs"][-2:]] == [[], STEERED]
        assert [each["counted"] for each in line["runs"][-2:]] == [True, False]
        # Nothing is measured beside a process that looks for changes.
        going_on = client.post("api/runs", json={"count": 1, "duration": "1h"}).json()["id"]
        assert client.get("api/runs/27/trends").status_code == 409
        assert client.get(f"api/runs/{going_on}/trends").status_code == 409
        assert client.delete(f"api/runs/{going_on}").status_code == 202
        assert "event: report" in client.get(f"api/runs/{going_on}/live").text
        assert client.get("api/runs/27/trends").json() == told.json()
        # The answer is as new as the file.
        add_nights(history, report)
        (line,) = client.get("api/runs/27/trends").json()["lines"]
        assert len(line["runs"]) == 48
    server.stop()
    # `loadgen history` reads the same file.
    names = {kept.id: kept.name for kept in file.read(history, last=100)}
    assert names[1] == "before the change"
    assert names[2].endswith("/status/503")


def test_a_file_of_somebody_else_is_refused_and_stays(tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    with sqlite3.connect(other) as database:
        database.execute("CREATE TABLE mine (x)")
    before = other.read_bytes()
    with pytest.raises(ValueError, match=r"--history: .* is no history of runs; it is left"):
        Settings(history=other)
    assert other.read_bytes() == before
    with pytest.raises(ValueError, match="--history: there is no folder"):
        Settings(history=tmp_path / "nowhere" / "runs.db")
