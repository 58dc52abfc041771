"""The search for capacity, against a real server."""

import json
import signal
import subprocess
import sys
import time

import jsonschema
import msgspec
import pytest
from websockets.asyncio.server import ServerConnection

from loadgen.studies import capacity_text as found_report
from loadgen.studies.capacity import SearchOutcome, Step, restore

from .conftest import PATIENCE_S


@pytest.fixture
def echo(serve_websockets):
    async def handle(connection: ServerConnection, counts):
        async for message in connection:
            counts["received"] += 1
            await connection.send(f"{message} 1")

    return serve_websockets(handle)


SEARCH = ("--find-capacity", "--rate", "20/s", "--json", "-")


def test_rates_rise_until_a_threshold_breaks(start_loadgen, echo):
    run = start_loadgen("2", echo.url, *SEARCH, "--duration", "400ms", "--fail-if",
                        "messages.sent>30")  # fmt: skip
    stdout, _ = run.process.communicate(timeout=PATIENCE_S)
    run._errors.close()
    found = json.loads(stdout)
    steps = [msgspec.convert(step, Step) for step in found["steps"]]
    sent = [sum(second.sent for second in step.series) for step in steps]
    assert steps[0].rate_per_s == 20
    # Each rate follows from how the steps before have ended, however that was on this machine.
    assert [step.rate_per_s for step in steps] == [
        restore(steps[:at]).next_rate() or steps[0].rate_per_s for at in range(len(steps))
    ]
    assert restore(steps).next_rate() is None
    for step, count in zip(steps, sent, strict=True):
        if step.outcome is SearchOutcome.HELD:
            assert (count <= 30, step.reasons) == (True, [])
        if step.outcome is SearchOutcome.BROKE:
            assert (count > 30, step.reasons) == (True, [f"messages.sent>30: {count}"])
        assert count <= step.rate_per_s * 0.4 + 1
    search = restore(steps)
    assert (found["held_per_s"], found["broke_per_s"]) == (search.held, search.broke)
    # A generator that can't keep up on a busy machine says so, and ends the search.
    if SearchOutcome.LIMITED not in {step.outcome for step in steps}:
        assert (max(sent) > 30, found["broke_per_s"] is not None) == (True, True)
    assert run.process.returncode == (1 if found["held_per_s"] is None else 0)


def test_a_search_is_interrupted_in_good_order(start_loadgen, echo):
    run = start_loadgen("2", echo.url, *SEARCH, "--duration", "1h")
    while not echo.counts["received"] and run.process.poll() is None:
        time.sleep(0.01)
    run.signal(signal.SIGINT)
    stdout, _ = run.process.communicate(timeout=PATIENCE_S)
    run._errors.close()
    assert run.process.returncode == 130
    assert json.loads(stdout)["interrupted"]
    echo.wait_closed()
    assert echo.counts["closed 1000"] == 2


def test_where_no_socket_can_be_opened_there_is_no_search(start_loadgen, nobody):
    run = start_loadgen("2", f"ws://127.0.0.1:{nobody}/", *SEARCH)
    stdout, _ = run.process.communicate(timeout=PATIENCE_S)
    run._errors.close()
    assert run.process.returncode == 69
    assert len(json.loads(stdout)["steps"]) == 1
    assert "Nothing listens there; start a server: python -m echo_trio" in run.errors


def test_after_sigkill_the_steps_that_were_over_are_recovered_with_the_targets_side(
    start_server, start_loadgen, tmp_path
):
    server, journal = start_server(console=True), tmp_path / "search.journal"
    run = start_loadgen("2", server.url, *SEARCH, "--duration", "4s", "--console",
                        server.console, "--journal", str(journal))  # fmt: skip
    run.wait_for("target")
    run.signal(signal.SIGKILL)
    run.process.communicate()
    run._errors.close()
    recover = [sys.executable, "-m", "loadgen", "recover", str(journal)]
    done = subprocess.run([*recover, "--json", "-"], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    jsonschema.validate(found, json.loads(found_report.SCHEMA_PATH.read_text()))
    assert (found["interrupted"], found["incomplete"]) == (True, True)
    step = found["steps"][0]
    assert step["rate_per_s"] == 20
    assert step["target"]["source"] == server.console
    assert step["target"]["connections"] == 2
    assert {look["t_s"] for look in step["target"]["series"]} <= {
        second["t_s"] for second in step["series"]
    }
    told = subprocess.run(recover, capture_output=True, text=True, check=True).stdout
    assert "20/s" in told
    assert "Recovered from its journal: the search was not over." in told
    refused = subprocess.run([*recover, "--csv", "-"], capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert "is of a search, which made many runs, and --csv is of one" in refused.stderr


def test_a_search_that_is_over_leaves_no_journal(start_loadgen, nobody, tmp_path):
    journal = tmp_path / "search.journal"
    run = start_loadgen("2", f"ws://127.0.0.1:{nobody}/", *SEARCH, "--journal", str(journal))
    run.process.communicate(timeout=PATIENCE_S)
    run._errors.close()
    assert not journal.exists()
