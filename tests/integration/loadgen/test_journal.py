"""A generator that is killed leaves what it has measured."""

import json
import os
import signal
import subprocess
import sys

from websockets.asyncio.server import ServerConnection

from .. import starter


async def echo(connection: ServerConnection, counts):
    async for message in connection:
        counts["echoed"] += 1
        await connection.send(f"{message} 1")


def recover(*arguments, env=None):
    return starter.run("loadgen", "recover", *arguments, env=env)


def test_after_sigkill_what_had_been_measured_is_recovered(
    serve_websockets, start_loadgen, tmp_path
):
    server = serve_websockets(echo)
    state = os.environ | {"XDG_STATE_HOME": str(tmp_path / "state")}
    run = start_loadgen("5", server.url, "--rate-per-conn", "10/s", "--duration", "1h", "--stream",
                        env=state)  # fmt: skip
    snapshot, *_ = [json.loads(run.process.stdout.readline()) for _ in range(3)]
    assert "no run has died here" in recover(env=state).stderr
    run.signal(signal.SIGKILL)
    run.process.communicate()
    run._errors.close()
    done = recover("--json", "-", env=state)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["incomplete"]["open"] == 5
    # Two seconds later that had long been written down.
    assert report["messages"]["sent"] >= snapshot["messages"]["sent"]
    assert report["messages"]["echoed"] > 0
    assert "5 open sockets are unaccounted for" in report["verdict_reasons"][0]
    assert "killed after" in recover(env=state).stdout


def test_a_run_that_ends_leaves_no_journal(serve_websockets, loadgen, tmp_path):
    state = os.environ | {"XDG_STATE_HOME": str(tmp_path / "state")}
    run = loadgen("2", serve_websockets(echo).url, "--duration", "0s", env=state)
    assert run.target_did_right
    assert list((tmp_path / "state" / "loadgen").iterdir()) == []


def test_a_journal_that_cannot_be_written_is_known_before_the_run(tmp_path, loadgen):
    run = loadgen("1", "--journal", str(tmp_path / "none" / "x"))
    assert run.code == 2
    assert "can't write the journal" in run.stderr


def test_a_report_that_cannot_be_written_leaves_the_journal_to_recover_it(
    serve_websockets, tmp_path
):
    journal = tmp_path / "run.journal"
    with open("/dev/full", "w") as full:  # noqa: PTH123
        done = subprocess.run(
            [sys.executable, "-m", "loadgen", "2", serve_websockets(echo).url, "--duration",
             "3500ms", "--quiet", "--journal", str(journal)],
            stdout=full, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "loadgen: can't write the report: No space left on device",
        f"loadgen: what was measured is in {journal}: loadgen recover",
    ]
    assert "2 opened" in recover(str(journal)).stdout
