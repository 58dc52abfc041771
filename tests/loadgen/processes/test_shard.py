"""What a shard says, and when it goes on; its process is a matter of the integration tests."""

import time
from types import SimpleNamespace

import pytest
import trio

from loadgen.engine.running import Phase
from loadgen.processes import messages
from loadgen.processes.shard import MAX_WAITING, Shard
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
    for t_s in (1.0, 2.0, 3.0):
        shard.engine.series.append(second(t_s))
        if t_s != 2.0:
            shard._note()
    assert [[each.t_s for each in word.record.seconds] for word in outbox.words] == [
        [1.0], [2.0, 3.0]
    ]  # fmt: skip


async def test_of_a_reader_that_has_stopped_the_next_seconds_are_told_together(shard, outbox):
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
