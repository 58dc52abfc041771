"""Runs that are kept in a history, and what the command says of them."""

from __future__ import annotations

import json
import sqlite3

from loadgen.cli import load


async def echo(connection, counts):
    async for message in connection:
        await connection.send(f"{message} 7")


ONE = ("--messages", "1", "--rate-per-conn", "10/s")


def test_two_runs_at_once_are_both_in_the_history_that_the_command_shows(
    start_loadgen, serve_websockets, tmp_path, capfd
):
    url, path = serve_websockets(echo).url, str(tmp_path / "runs.db")
    both = [start_loadgen("1", url, *ONE, "--history", path, "--name", name) for name in ("a", "b")]
    reports = {name: run.finish().report for name, run in zip("ab", both, strict=True)}
    command = ["history", path, "--json", "-", "--html", str(tmp_path / "page.html")]
    assert load.main([*command, "--metric", "messages.echoed"]) == 0
    out = capfd.readouterr().out
    lines = {line["name"]: line for line in json.loads(out)["lines"]}
    assert lines.keys() == {"a", "b"}
    with sqlite3.connect(path) as database:
        kept = dict(database.execute("SELECT name, report FROM runs").fetchall())
    database.close()
    assert {name: json.loads(report) for name, report in kept.items()} == reports
    assert "messages.echoed" in (tmp_path / "page.html").read_text()


def test_a_file_of_somebody_elses_ends_the_run_before_it_dials(loadgen, serve_websockets, tmp_path):
    server, path = serve_websockets(echo), tmp_path / "notes.txt"
    path.write_text("mine")
    run = loadgen("1", server.url, *ONE, "--history", str(path))
    assert run.code == 2
    assert "is no history of runs; it is left as it is" in run.stderr
    assert path.read_text() == "mine"
    assert server.counts["opened"] == 0
