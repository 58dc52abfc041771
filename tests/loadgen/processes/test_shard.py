"""What a shard says, and when it goes on; its process is a matter of the integration tests."""

import os
import socket
import time
from types import SimpleNamespace

import pytest
import trio

from echo_trio.process_channel import Channel
from echo_trio.wire import process
from loadgen.engine.running import Phase
from loadgen.preflight.check import Refused
from loadgen.processes import messages
from loadgen.processes import shard as shard_module
from loadgen.processes.shard import MAX_WAITING, Shard
from loadgen.results.fan_out import Joined
from loadgen.results.ledger import Failure
from loadgen.results.record import load_ledger
from loadgen.results.series import Second
from loadgen.workload.plan import Plan


class Said(SimpleNamespace):
    """An outbox in which so many messages still wait."""

    def __init__(self):
        super().__init__(waiting=0, words=[])

    def put(self, message):
        self.words.append(messages.decode_word(message))


@pytest.fixture
def outbox():
    return Said()


@pytest.fixture
async def shard(outbox):
    return Shard(Plan(1), outbox)


def second(t_s):
    return Second(**dict.fromkeys(Second.__struct_fields__, 0) | {"t_s": t_s})


async def test_each_second_is_told_of_once(shard, outbox):
    for t_s in (1.0, 2.0, 3.0, 4.0, 5.0):
        shard.engine.series.append(second(t_s))
        if t_s != 2.0:
            shard._note()
    assert [[each.t_s for each in word.record.seconds] for word in outbox.words] == [
        [1.0], [2.0, 3.0], [4.0], [5.0]
    ]  # fmt: skip


async def test_of_a_reader_that_has_stopped_the_next_seconds_are_told_together(shard, outbox):
    assert MAX_WAITING == 4
    outbox.waiting = MAX_WAITING
    shard.engine.series.append(second(1.0))
    shard._note()
    assert outbox.words == []
    outbox.waiting = MAX_WAITING - 1
    shard.engine.series.append(second(2.0))
    shard._note()
    assert [[each.t_s for each in word.record.seconds] for word in outbox.words] == [[1.0, 2.0]]


async def test_a_phase_begins_at_the_moment_that_was_said(shard, outbox, autojump_clock, nursery):
    for phase, later_s in ((Phase.OPEN, 5.0), (Phase.CLOSE, -5.0)):
        began = trio.current_time()
        shard.obey(messages.Proceed(phase, time.perf_counter() + later_s))
        await shard._gate(phase)
        assert trio.current_time() - began == pytest.approx(max(later_s, 0), abs=1)
    assert [word.phase for word in outbox.words] == [Phase.OPEN, Phase.CLOSE]


async def test_it_tells_the_time_and_stops_when_it_is_told_to(shard, outbox):
    before = time.perf_counter()
    shard.obey(messages.AskClock(7.0))
    (answer,) = outbox.words
    assert answer.asked_s == 7.0
    assert before <= answer.clock_s <= time.perf_counter()
    shard.obey(messages.Interrupt())
    assert shard.engine.interrupted


@pytest.mark.parametrize("phase", [Phase.OPEN, Phase.LOAD, Phase.CLOSE])
async def test_before_the_load_it_tells_what_it_has_measured_up_to_that_moment(
    shard, outbox, phase, autojump_clock
):
    books = shard.engine.all_books[0]
    for _ in range(3):
        shard.engine.ledger.count_opened()
        books.connect.record(5000)
    shard.obey(messages.Proceed(phase, time.perf_counter()))
    await shard._gate(phase)
    noted = [word.record for word in outbox.words if isinstance(word, messages.Noted)]
    assert len(noted) == (phase is Phase.LOAD)
    for record in noted:
        assert record.ledger["opened"] == 3
        assert sum(record.histograms["connect"].counts.values()) == 3
    assert isinstance(outbox.words[-1], messages.Waiting)


async def test_a_change_of_the_load_is_passed_on_to_who_sends_it(shard):
    shard.obey(messages.Steer(2.5, 0.5))
    assert shard.engine.steering.speeds.steps == ((2.5, 0.5),)


async def test_what_happens_in_rooms_is_told_while_it_waits_and_each_event_once(
    outbox, autojump_clock, nursery
):
    shard = Shard(Plan(2, verify="fan-out"), outbox)
    joined = [Joined(number, 0, number) for number in range(3)]
    shard.engine.events.take(joined[0])
    nursery.start_soon(shard._gate, Phase.CLOSE)
    await trio.sleep(0.02)
    assert [type(word) for word in outbox.words] == [messages.Happened, messages.Waiting]
    shard.engine.events.take(joined[1])
    await trio.sleep(0.05)
    shard.obey(messages.Proceed(Phase.CLOSE, 0.0))
    shard.engine.events.take(joined[2])
    await trio.sleep(1.0)
    happened = [word for word in outbox.words if isinstance(word, messages.Happened)]
    assert [event for word in happened for event in word.events] == joined
    assert [len(word.events) for word in happened][:2] == [1, 1]
    assert all(word.until_us > 0 for word in happened)


async def test_before_its_result_it_tells_what_has_happened_in_rooms_at_last(outbox, monkeypatch):
    shard = Shard(Plan(1, verify="fan-out"), outbox)
    joined = Joined(7, 0, 0)

    async def run():
        await trio.lowlevel.checkpoint()
        shard.engine.events.take(joined)

    monkeypatch.setattr(shard.engine, "run", run)
    await shard.run()
    happened, finished = outbox.words
    assert happened.events == [joined]
    assert isinstance(finished, messages.Finished)


@pytest.mark.parametrize("refusal", [None, "no ports"])
async def test_in_the_end_it_tells_its_whole_result_or_why_there_is_none(
    shard, outbox, monkeypatch, refusal
):
    async def run():
        await trio.lowlevel.checkpoint()
        if refusal:
            raise Refused(refusal)
        shard.engine.series.append(second(1.0))

    monkeypatch.setattr(shard.engine, "run", run)
    await shard.run()
    (last,) = outbox.words
    if refusal:
        assert last == messages.Refusal(refusal)
    else:
        assert [each.t_s for each in last.record.seconds] == [1.0]
        assert isinstance(last, messages.Finished)


# -- Its process, as far as that is a function -----------------------------------------------------


@pytest.fixture
async def served(monkeypatch, nursery):
    """A shard that is served over a socket: the coordinator's end of it, and what was prepared."""
    prepared, ended = [], trio.Event()
    for name in ("raise_file_limit", "keep_large_buffers", "spare_long_lived_objects",
                 "return_free_memory"):  # fmt: skip
        monkeypatch.setattr(process, name, lambda name=name: prepared.append(name))
    ours, theirs = socket.socketpair()

    async def serve():
        await shard_module.serve(theirs)
        ended.set()

    nursery.start_soon(serve)
    channel = Channel(ours, messages.encode, messages.decode_word)
    assert await channel.hear() == messages.Hello(os.getpid())
    yield SimpleNamespace(channel=channel, prepared=prepared, ended=ended)
    ours.close()


async def hear(served):
    with trio.fail_after(60):
        return await served.channel.hear()


async def test_a_shard_goes_through_the_phases_as_it_is_told_and_then_ends(served):
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # Nobody listens there.
        plan = Plan(2, f"ws://127.0.0.1:{bound.getsockname()[1]}/")
        await served.channel.say(messages.Begin(plan))
        said = []
        while (word := await hear(served)) is not None:
            said.append(word)
            if isinstance(word, messages.Waiting):
                await served.channel.say(messages.Proceed(word.phase, time.perf_counter()))
    waiting = [word.phase for word in said if isinstance(word, messages.Waiting)]
    assert waiting == [Phase.OPEN, Phase.LOAD, Phase.CLOSE]
    assert isinstance(said[-1], messages.Finished)
    assert load_ledger(said[-1].record.ledger).failed == {Failure.REFUSED: 2}
    with trio.fail_after(60):
        await served.ended.wait()
    assert served.prepared == [
        "raise_file_limit", "keep_large_buffers", "spare_long_lived_objects", "return_free_memory"
    ]  # fmt: skip


async def test_a_script_that_can_not_be_loaded_here_is_refused(served):
    files = (("talk.py", b"1 /"),)
    await served.channel.say(messages.Begin(Plan(1, scenario="talk.py", scenario_files=files)))
    refusal = await hear(served)
    assert isinstance(refusal, messages.Refusal)
    assert "talk.py" in refusal.problem
    assert await hear(served) is None


@pytest.mark.parametrize("order", [None, messages.Interrupt()])
async def test_who_is_not_told_to_begin_does_nothing(served, order):
    if order is not None:
        await served.channel.say(order)
    else:
        served.channel._sock.shutdown(socket.SHUT_WR)
    assert await hear(served) is None
    with trio.fail_after(60):
        await served.ended.wait()


@pytest.mark.parametrize("is_told_before", [False, True])
async def test_a_shard_whose_coordinator_is_gone_ends_in_good_order_or_at_once_if_it_was_ending(
    served, monkeypatch, is_told_before
):
    exits = []
    monkeypatch.setattr(os, "_exit", exits.append)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        plan = Plan(2, f"ws://127.0.0.1:{listening.getsockname()[1]}/")
        await served.channel.say(messages.Begin(plan))
        assert isinstance(await hear(served), messages.Waiting)
        if is_told_before:
            await served.channel.say(messages.Interrupt())
        served.channel._sock.shutdown(socket.SHUT_WR)
        said = []
        while (word := await hear(served)) is not None:
            said.append(word)
    assert isinstance(said[-1], messages.Finished)
    assert said[-1].record.interrupted
    assert len(exits) <= is_told_before
