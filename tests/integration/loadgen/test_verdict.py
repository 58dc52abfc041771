"""A generator that was held up says so, whatever its averages are."""

import signal
import threading

import pytest
from websockets.asyncio.server import ServerConnection

pytestmark = pytest.mark.alone


@pytest.fixture
def echo(serve_websockets):
    async def handle(connection: ServerConnection, counts):
        async for message in connection:
            counts["received"] += 1
            await connection.send(f"{message} 1")

    return serve_websockets(handle)


@pytest.mark.parametrize(
    "load",
    [("--rate-per-conn", "5/s"), ("--rate-per-conn", "0/s")],
    ids=["open-loop", "idle"],
)
def test_a_stop_of_two_seconds_in_mid_run_is_found(start_loadgen, echo, load):
    run = start_loadgen("4", echo.url, *load, "--duration", "6s")
    run.wait_for("load")
    run.signal(signal.SIGSTOP)
    threading.Event().wait(2)  # the stop itself
    run.signal(signal.SIGCONT)
    done = run.finish()
    assert done.code == 3
    assert done.report["verdict"] == "generator-limited"
    (reason,) = [r for r in done.report["verdict_reasons"] if "stood still" in r]
    assert float(reason.split()[-2]) >= 1.5
    assert done.report["generator"]["loop_lag"]["p99"] > 1000


def test_more_than_the_generator_can_do_is_called_so(loadgen, echo):
    # The load phase hands out 256 in a millisecond at most: on no machine are these on time.
    run = loadgen("10", echo.url, "--rate", "1m/s", "--duration", "100ms", "--stop-timeout", "5s")
    assert run.report["verdict"] != "valid"
    assert any("late" in reason for reason in run.report["verdict_reasons"])
