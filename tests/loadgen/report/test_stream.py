import json
from types import SimpleNamespace

import trio

from loadgen.report import stream


class FakeEngine(SimpleNamespace):
    """An engine that books a second as soon as somebody waits for it."""

    def __init__(self, result):
        super().__init__(phase="load", result=result, interrupted=trio.Event())

    async def wait_for_second(self):
        await trio.lowlevel.checkpoint()

    def result_so_far(self):
        return self.result

    def interrupt(self):
        self.interrupted.set()


def test_a_snapshot_is_one_line_with_the_agreed_keys(result_of):
    line = stream.encode(stream.take_snapshot("load", result_of()))
    assert line.count(b"\n") == 1
    snapshot = json.loads(line)
    assert list(snapshot) == [
        "type", "phase", "t_s", "connections", "messages", "latency", "second"
    ]  # fmt: skip
    assert (snapshot["type"], snapshot["phase"], snapshot["t_s"]) == ("snapshot", "load", 1.0)
    assert set(snapshot["connections"]) == {
        "requested", "opened", "open", "opening", "not_attempted", "failed", "closed"
    }  # fmt: skip
    assert snapshot["messages"] == {
        "sent": 20, "received": 20, "echoed": 20, "reordered": 0, "corrupt": 0, "duplicate": 0,
        "unexpected": 0, "lost": 0, "in_flight": 0, "awaited": 0,
    }  # fmt: skip
    assert set(snapshot["latency"]) == {"intended", "service", "scheduling_lag"}
    assert snapshot["second"]["sent"] == 20


async def test_each_second_booked_becomes_a_line(result_of):
    lines, enough = [], trio.Event()
    token = trio.lowlevel.current_trio_token()

    def write(line):
        lines.append(line)
        if len(lines) == 2:
            token.run_sync_soon(enough.set)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(stream.stream, FakeEngine(result_of()), write)
        await enough.wait()
        nursery.cancel_scope.cancel()
    assert {json.loads(line)["type"] for line in lines} == {"snapshot"}


async def test_a_reader_that_has_gone_ends_the_run_in_good_order(result_of):
    def write(_):
        raise BrokenPipeError

    engine = FakeEngine(result_of())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stream.stream, engine, write)
        await engine.interrupted.wait()
        nursery.cancel_scope.cancel()
