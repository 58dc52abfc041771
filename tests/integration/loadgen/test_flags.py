"""What each flag does, as `python -m loadgen` against a server of the `websockets` library."""

import asyncio
import json
import os
import subprocess
import sys
import time

import pytest
from websockets.asyncio.server import ServerConnection

QUICK = ("--duration", "300ms")
#: A phase that is much longer than the quarter of a second between two looks at it.
VISIBLE = ("--duration", "2s")


@pytest.fixture
def heard():
    """What the server has received, in order."""
    return []


@pytest.fixture
def echo(serve_websockets, heard):
    async def handle(connection: ServerConnection, counts):
        counts["now"] += 1
        counts["most"] = max(counts["most"], counts["now"])
        async for message in connection:
            heard.append(message)
            await connection.send(f"{message} 1")
        counts["now"] -= 1

    return serve_websockets(handle)


@pytest.fixture
def plain(serve_websockets):
    async def handle(connection: ServerConnection, counts):
        async for message in connection:
            await connection.send(message)

    return serve_websockets(handle)


def test_all_sockets_are_open_together(loadgen, echo):
    run = loadgen("50", echo.url, *QUICK, "--connect-concurrency", "7")
    assert echo.counts["most"] == run.connections["peak_open"] == 50
    assert run.connections["all_open_after_s"] > 0


def test_no_more_handshakes_are_in_flight_than_the_limiter_lets(loadgen, serve_websockets):
    shaking = {"now": 0, "most": 0}
    four_are_there = asyncio.Event()

    async def shake_in_fours(connection, request):
        nonlocal four_are_there
        mine = four_are_there
        shaking["now"] += 1
        shaking["most"] = max(shaking["most"], shaking["now"])
        if shaking["now"] == 4:
            await asyncio.sleep(0.05)  # for a fifth to come, if it may
            four_are_there, shaking["now"] = asyncio.Event(), 0
            mine.set()
        await mine.wait()

    async def hold(connection, counts):
        await connection.wait_closed()

    server = serve_websockets(hold, process_request=shake_in_fours)
    run = loadgen("20", server.url, *QUICK, "--rate-per-conn", "0/s", "--connect-concurrency", "4")
    assert run.connections["opened"] == 20
    assert shaking["most"] == 4


def test_an_idle_crowd_is_held_and_sends_nothing(loadgen, echo, heard):
    run = loadgen("5", echo.url, *QUICK, "--rate-per-conn", "0/s")
    assert heard == []
    assert run.messages == {}
    assert run.closed == {"clean": 5}
    assert run.target_did_right


def test_rate_times_duration_is_the_number_of_messages(loadgen, echo, heard):
    began = time.monotonic()
    run = loadgen("4", echo.url, "--rate-per-conn", "10/s", "--duration", "500ms")
    whole_s = time.monotonic() - began
    assert run.messages["sent"] == len(heard) == 20
    # The phase lasts half a second or longer, on a busy machine much longer: within the whole.
    assert 20 / whole_s <= run.report["messages"]["sent_per_s"] <= 40


def test_messages_end_the_load_when_all_are_answered(loadgen, serve_websockets):
    async def answer_late(connection: ServerConnection, counts):
        async for message in connection:
            await asyncio.sleep(0.8)
            await connection.send(f"{message} 1")

    # All together take longer than the timeout, which begins anew with each.
    run = loadgen("2", serve_websockets(answer_late).url, "--messages", "6",
                  "--rate-per-conn", "100/s", "--stop-timeout", "4s")  # fmt: skip
    assert run.messages == {"sent": 12, "echoed": 12, "received": 12}
    assert run.target_did_right


@pytest.mark.parametrize(
    "loop", [("--rate-per-conn", "20/s"), ("--closed-loop",)], ids=["open-loop", "closed-loop"]
)
def test_a_swallowed_reply_does_not_hold_the_load_for_ever(loadgen, serve_websockets, loop):
    async def swallow_the_second(connection: ServerConnection, counts):
        async for message in connection:
            counts["received"] += 1
            if counts["received"] != 2:
                await connection.send(f"{message} 1")

    run = loadgen("2", serve_websockets(swallow_the_second).url, *loop, "--messages", "2",
                  "--stop-timeout", "8s")  # fmt: skip
    assert run.messages["lost"] == 1
    assert run.code == 1


def test_in_a_closed_loop_no_message_leaves_before_the_reply_to_the_last(loadgen, serve_websockets):
    async def one_at_a_time(connection: ServerConnection, counts):
        async for message in connection:
            await asyncio.sleep(0.005)
            counts["too early"] += len(connection.recv_messages.frames)
            await connection.send(f"{message} 1")

    server = serve_websockets(one_at_a_time)
    run = loadgen("3", server.url, "--closed-loop", "--messages", "5")
    assert server.counts["too early"] == 0
    assert run.messages == {"sent": 15, "echoed": 15, "received": 15}
    assert run.target_did_right


def test_a_closed_loop_ends_with_its_duration(loadgen, echo, heard):
    run = loadgen("3", echo.url, "--closed-loop", *QUICK)
    # How many there are is up to the machine.
    assert run.messages["sent"] == run.messages["echoed"] == len(heard) >= 3
    assert run.closed == {"clean": 3}


def test_thinking_spaces_the_messages_of_a_closed_loop(loadgen, serve_websockets):
    gaps = []

    async def handle(connection: ServerConnection, counts):
        answered = None
        async for message in connection:
            if answered is not None:
                gaps.append(time.monotonic() - answered)
            answered = time.monotonic()
            await connection.send(f"{message} 1")

    run = loadgen("2", serve_websockets(handle).url, "--closed-loop", "--think", "100ms",
                  "--messages", "4")  # fmt: skip
    assert run.messages["echoed"] == 8
    assert len(gaps) == 6
    assert min(gaps) >= 0.099


def test_the_same_seed_sends_the_same_payloads(loadgen, echo, heard):
    def sent_with(seed):
        heard.clear()
        loadgen("4", echo.url, "--messages", "3", "--rate-per-conn", "50/s", "--message",
                "{conn}:{seq}:{random}", "--seed", seed)  # fmt: skip
        return sorted(heard)

    first, again, other = sent_with("1"), sent_with("1"), sent_with("2")
    assert len(first) == 12
    assert first == again != other


def test_an_exact_echo_is_verified_as_such(loadgen, plain):
    run = loadgen("3", plain.url, *QUICK, "--rate-per-conn", "10/s", "--verify", "exact")
    assert run.target_did_right


def test_an_exact_echo_is_corrupt_where_a_suffix_is_due(loadgen, plain):
    run = loadgen("3", plain.url, *QUICK, "--rate-per-conn", "10/s")
    assert run.messages == {"sent": 9, "corrupt": 9, "received": 9}
    assert run.code == 1


def test_unverified_what_comes_is_counted_and_nothing_is_called_an_answer(
    loadgen, serve_websockets
):
    async def say_ok(connection: ServerConnection, counts):
        async for _ in connection:
            await connection.send(b"ok")

    run = loadgen("3", serve_websockets(say_ok).url, *QUICK, "--rate-per-conn", "10/s",
                  "--verify", "off")  # fmt: skip
    # Nothing is awaited, so the sockets may be closed before the last frames come.
    assert run.messages["sent"] == run.messages["one_way"] == 9
    assert 0 < run.messages["received"] == run.messages["ignored"] <= 9
    assert set(run.messages) == {"sent", "one_way", "received", "ignored"}
    assert run.report["latency"]["intended"]["p99"] is None
    assert run.target_did_right


def test_messages_are_padded_to_the_size(loadgen, echo, heard):
    run = loadgen("2", echo.url, "--messages", "1", "--rate-per-conn", "20/s", "--size", "1KiB")
    assert [len(message) for message in heard] == [1024, 1024]
    assert run.report["messages"]["sent_bytes"] == 2048
    assert run.report["messages"]["received_bytes"] == 2048 + 2 * len(" 1")


def test_bytes_are_counted_and_not_letters(loadgen, echo):
    run = loadgen("1", echo.url, "--messages", "1", "--rate-per-conn", "20/s", "--message", "ä€😀")
    assert run.report["messages"]["sent_bytes"] == 9
    assert run.messages["echoed"] == 1


def test_with_json_on_stdout_there_is_nothing_else(start_loadgen, echo):
    run = start_loadgen("2", echo.url, *VISIBLE, "--json", "-").finish()
    report = json.loads(run.stdout)
    assert report["connections"]["opened"] == 2
    assert "load" in run.stderr


def test_quiet_shows_no_progress(loadgen, echo):
    run = loadgen("2", echo.url, *QUICK, "--quiet")
    assert run.stderr == ""
    assert "2 requested = 2 opened" in run.stdout


def test_progress_is_plain_lines_where_there_is_no_terminal(loadgen, echo):
    run = loadgen("2", echo.url, *VISIBLE)
    assert "\x1b" not in run.stderr
    assert "load" in [line.split()[2] for line in run.stderr.splitlines()]


def test_the_report_survives_a_reader_that_has_seen_enough(echo):
    command = f"{sys.executable} -m loadgen 2 {echo.url} --duration 0s --quiet | true"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"], capture_output=True, text=True, check=False
    )
    assert done.returncode in {0, 3}
    assert done.stderr == ""


def test_a_full_disk_is_one_line(echo):
    with open("/dev/full", "w") as full:  # noqa: PTH123
        done = subprocess.run(
            [sys.executable, "-m", "loadgen", "2", echo.url, "--duration", "0s", "--quiet",
             "--journal", "off"],
            stdout=full, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr == "loadgen: can't write the report: No space left on device\n"


def test_a_stdout_that_knows_only_ascii_gets_the_report_too(loadgen, echo):
    run = loadgen("2", echo.url, *QUICK, env=os.environ | {"PYTHONIOENCODING": "ascii"})
    assert "2 requested = 2 opened" in run.stdout


def test_the_series_is_a_second_each(loadgen, echo):
    run = loadgen("2", echo.url, "--duration", "3500ms", "--rate-per-conn", "10/s")
    *seconds, rest = run.report["series"]
    # Those for which the generator was held up are one: `tests/loadgen/engine/test_engine.py` has
    # the same on a clock that nothing holds up.
    ended = [int(second["t_s"]) for second in seconds]
    assert ended == sorted(set(ended))
    assert 1 <= len(seconds) <= rest["t_s"]
    assert rest["t_s"] >= 3.5
    assert max(second["open"] for second in seconds) == 2
    busiest = max(run.report["series"], key=lambda second: second["received"])
    assert busiest["received"] > 0
    assert busiest["p50_ms"] > 0


def test_our_own_server_is_loaded_without_a_fault(start_server, loadgen):
    server = start_server()
    run = loadgen("100", server.url, "--duration", "1s", "--rate-per-conn", "5/s")
    assert run.messages == {"sent": 500, "echoed": 500, "received": 500}
    assert run.closed == {"clean": 100}
    assert run.target_did_right


def test_the_stream_is_a_line_a_second_and_the_report_last(start_loadgen, echo):
    run = start_loadgen("2", echo.url, "--duration", "3500ms", "--stream", "--rate-per-conn",
                        "10/s").finish()  # fmt: skip
    *snapshots, report = [json.loads(line) for line in run.stdout.splitlines()]
    assert {snapshot["type"] for snapshot in snapshots} == {"snapshot"}
    # A reader, or a machine, that was held up may miss one.
    booked = [report["series"].index(snapshot["second"]) for snapshot in snapshots]
    assert booked == sorted(set(booked))
    sent = [second["sent"] for second in report["series"]]
    for number, snapshot in zip(booked, snapshots, strict=True):
        # The run so far: a message may go out between the end of a second and its line.
        so_far = sum(sent[: number + 1])
        assert so_far <= snapshot["messages"]["sent"] <= so_far + sum(sent[number + 1 : number + 2])
    assert report == run.report


def test_a_run_whose_stream_nobody_reads_any_more_ends_in_good_order(echo):
    command = f"{sys.executable} -m loadgen 2 {echo.url} --duration 1h --quiet --stream | head -1"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (130, "")
    assert json.loads(done.stdout)["type"] == "snapshot"
    echo.wait_closed()
    assert echo.counts["closed 1000"] == 2


def test_a_threshold_that_holds_is_exit_code_99_and_in_the_report(loadgen, echo):
    run = loadgen("2", echo.url, *QUICK, "--fail-if", "messages.sent<1k", "--fail-if",
                  "messages.lost>0")  # fmt: skip
    assert run.code in {3, 99}
    assert [one["breached"] for one in run.report["thresholds"]] == [True, False]


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_stream_that_is_closed_is_no_reason_not_to_report(echo, tmp_path, closed):
    report = tmp_path / "report.json"
    command = f"{sys.executable} -m loadgen 2 {echo.url} --duration 0s --json {report} {closed}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode in {0, 3}
    assert "Traceback" not in done.stderr
    assert json.loads(report.read_text())["connections"]["closed"]["clean"] == 2


def test_what_needs_stdout_is_told_before_the_run_that_it_is_closed(echo):
    command = f"{sys.executable} -m loadgen 2 {echo.url} --json - >&-"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("loadgen: --json - needs stdout, which is closed")
    assert not echo.counts["opened"]
