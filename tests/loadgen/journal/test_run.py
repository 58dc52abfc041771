import dataclasses
import json
import os
from collections import Counter
from types import SimpleNamespace

import jsonschema
import msgspec
import pytest
import trio

from loadgen.journal import run
from loadgen.report import json as report_json
from loadgen.report.build import plan_as_run
from loadgen.results import record
from loadgen.results.ledger import Ending, Failure, Ledger
from loadgen.results.scenario import ScenarioBooks
from loadgen.results.verify import Verdict
from loadgen.workload.misbehaviour import Kind


@pytest.fixture
def killed(result_of):
    """A run in mid-load: 4 of 10 sockets open, 2 being opened, 1 message unanswered."""
    ledger = Ledger(
        10,
        opened=5,
        peak_open=5,
        failed=Counter({Failure.REJECTED: 3}),
        failed_status=Counter({503: 3}),
        closed=Counter({Ending.BY_PEER: 1}),
        close_codes=Counter({1001: 1}),
        early=Counter({(Ending.BY_PEER, 1001): 1}),
        sent=20,
        received=19,
        verdicts=Counter({Verdict.ECHOED: 18, Verdict.DUPLICATE: 1}),
        abandoned=1,
    )
    return result_of(ledger, apart={Kind.HALF_OPEN: Ledger(3, opened=2)})


class FakeEngine(SimpleNamespace):
    """An engine that books a second as soon as somebody waits for it, and so many of them."""

    def __init__(self, result, seconds):
        super().__init__(phase="load", result=result, left=seconds, done=trio.Event())

    async def wait_for_second(self):
        await trio.lowlevel.checkpoint()
        if not self.left:
            self.done.set()
            await trio.sleep_forever()
        self.left -= 1
        second = msgspec.structs.replace(self.result.series[-1], t_s=self.result.series[-1].t_s + 1)
        self.result.series.append(second)

    def result_so_far(self):
        return self.result


async def keep(path, result, seconds=3):
    """Write the journal of so many seconds, and leave it as a killed process does."""
    kept = run.Journal(path, result.plan)
    engine = FakeEngine(result, seconds)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(kept.keep, engine)
        await engine.done.wait()
        nursery.cancel_scope.cancel()
    return kept


async def test_what_a_killed_run_had_measured_is_in_its_journal(killed, tmp_path):
    kept = await keep(tmp_path / "run.journal", killed)
    kept.close()
    report = run.recover(kept.path)
    jsonschema.validate(msgspec.json.decode(report_json.encode(report)), report_json.make_schema())
    assert report.interrupted
    assert report.verdict == "failed"
    assert report.verdict_reasons[0] == (
        "the generator was killed after 4 s, in its load phase: "
        "4 open and 2 not yet open sockets are unaccounted for"
    )
    connections, messages, incomplete = report.connections, report.messages, report.incomplete
    assert (incomplete.open, incomplete.opening) == (4, 2)
    failed = sum(msgspec.structs.astuple(connections.failed))
    closed = sum(msgspec.structs.astuple(connections.closed))
    assert connections.requested == connections.opened + failed + incomplete.opening
    assert connections.opened == closed + incomplete.open
    assert connections.failed_status == {"503": 3}
    assert messages.sent == messages.echoed + messages.in_flight == 20
    assert report.misbehaving["half-open"].opened == 2
    assert report.latency.intended == killed.intended.summary()
    assert report.plan == json.loads(msgspec.json.encode(plan_as_run(killed)))
    assert [second.t_s for second in report.series] == [1, 2, 3, 4]


async def test_a_run_that_still_writes_its_journal_is_not_called_killed(killed, tmp_path):
    kept = await keep(tmp_path / "run.journal", killed)
    told = [run.recover(kept.path).verdict_reasons[0]]
    kept.close()
    told.append(run.recover(kept.path).verdict_reasons[0])
    assert [each.partition(" after 4 s, in its load phase: 4 open and ")[0] for each in told] == [
        "the run has not ended: this is its state", "the generator was killed",
    ]  # fmt: skip


@pytest.mark.parametrize(("missed", "told"), [(0, 7), (9, 9)])
async def test_what_had_fallen_due_and_was_not_sent_is_missed(killed, tmp_path, missed, told):
    killed.ledger.due, killed.ledger.missed = killed.ledger.sent + 7, missed
    kept = await keep(tmp_path / "run.journal", killed)
    kept.close()
    assert run.recover(kept.path).messages.missed == told


async def test_users_that_were_at_work_are_interrupted_and_their_calls_in_flight(killed, tmp_path):
    books = ScenarioBooks.of_users(5)
    books.users.finished = 2
    step = books.step("ask", "request")
    step.count, step.ok = 7, 4
    kept = await keep(tmp_path / "run.journal", dataclasses.replace(killed, scenario=books))
    kept.close()
    report = run.recover(kept.path)
    (asked,) = report.steps
    assert (asked.count, asked.ok, asked.lost, asked.in_flight) == (7, 4, 0, 3)
    users = report.users
    assert (users.requested, users.finished, users.failed, users.interrupted) == (5, 2, 0, 3)
    assert users.not_started == 0


async def test_half_a_line_at_the_end_is_left_out(killed, tmp_path):
    kept = await keep(tmp_path / "run.journal", killed)
    kept.close()
    whole = kept.path.read_bytes()
    for cut in (1, 100, len(whole.splitlines()[-1])):
        kept.path.write_bytes(whole[:-cut])
        assert [second.t_s for second in run.recover(kept.path).series] in (
            [1, 2, 3], [1, 2, 3, 4]
        )  # fmt: skip


async def test_what_comes_after_a_line_that_is_damaged_is_left_out(killed, tmp_path):
    kept = await keep(tmp_path / "run.journal", killed)
    kept.close()
    head, first, second, third = kept.path.read_bytes().splitlines(keepends=True)
    kept.path.write_bytes(head + first + second[: len(second) // 2] + b"\n" + third)
    report = run.recover(kept.path)
    # With a second missing in its middle it would pass for a whole run.
    assert [second.t_s for second in report.series] == [1, 2]
    assert report.incomplete.t_s == 2


async def test_a_long_journal_is_replaced_by_a_short_one_that_knows_as_much(
    killed, tmp_path, monkeypatch
):
    monkeypatch.setattr(run, "MAX_BYTES", 5000)
    kept = await keep(tmp_path / "run.journal", killed, seconds=200)
    kept.close()
    assert kept.path.stat().st_size < 5000 + 40_000  # one record over, with all seconds in it
    assert [second.t_s for second in run.recover(kept.path).series] == list(range(1, 202))
    assert [path.name for path in tmp_path.iterdir()] == ["run.journal"]


async def test_of_a_very_long_run_the_last_seconds_are_kept(killed, tmp_path, monkeypatch):
    monkeypatch.setattr(run, "MAX_BYTES", 0)  # Each record replaces the file.
    monkeypatch.setattr(run, "MAX_SECONDS", 4)
    kept = await keep(tmp_path / "run.journal", killed, seconds=9)
    kept.close()
    report = run.recover(kept.path)
    assert [second.t_s for second in report.series] == [7, 8, 9, 10]
    assert report.incomplete.t_s == 10
    assert report.messages.sent == 20  # Sums are of the whole run.


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        pytest.param(b"", "is no journal", id="empty"),
        pytest.param(b"\xff\xfe\n", "is no journal", id="bytes"),
        pytest.param(b'{"schema": 1}\n', "is no journal", id="a-report"),
    ],
)
def test_what_is_no_journal_is_said_to_be_none(tmp_path, content, problem):
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(run.Unreadable, match=problem):
        run.recover(tmp_path / "x")


async def test_a_run_that_died_at_once_has_nothing_to_tell(killed, tmp_path):
    kept = await keep(tmp_path / "run.journal", killed)
    kept.close()
    kept.path.write_bytes(kept.path.read_bytes().splitlines(keepends=True)[0])
    with pytest.raises(run.Unreadable, match="died before its first second"):
        run.recover(kept.path)


def test_a_file_that_is_not_there_is_one_line(tmp_path):
    with pytest.raises(run.Unreadable, match="No such file"):
        run.recover(tmp_path / "none")


async def test_a_full_disk_ends_the_journal_and_says_so_and_not_the_run(
    killed, tmp_path, files_of_at_most
):
    kept = run.Journal(tmp_path / "run.journal", killed.plan)
    engine = FakeEngine(killed, 3)
    with files_of_at_most(100):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(kept.keep, engine)
            with trio.move_on_after(60):
                while kept.problem is None:
                    await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()
    kept.close()
    assert kept.problem == "File too large"


async def test_a_disk_that_fills_up_leaves_what_was_written_before(
    killed, tmp_path, files_of_at_most
):
    kept = await keep(tmp_path / "run.journal", killed)
    with files_of_at_most(kept.path.stat().st_size + 10), pytest.raises(OSError, match="large"):
        kept._append(b"x" * 100)
    kept.close()
    assert [second.t_s for second in run.recover(kept.path).series] == [1, 2, 3, 4]


@pytest.mark.parametrize("at_fault", [None, "the run's", "those that misbehave"])
def test_all_books_of_a_record_are_checked(killed, at_fault):
    made = record.make("load", killed, [])
    if at_fault == "the run's":
        made = msgspec.structs.replace(made, ledger={})
    elif at_fault is not None:
        made = msgspec.structs.replace(made, apart={Kind.HALF_OPEN: {}})
    if at_fault is None:
        run._check(made)
    else:
        with pytest.raises(run.Malformed, match="requested"):
            run._check(made)


async def test_a_journal_whose_books_cannot_be_is_said_to_be_damaged(killed, tmp_path):
    path = tmp_path / "run.journal"
    (await keep(path, killed)).close()
    run.recover(path)
    path.write_bytes(path.read_bytes().replace(b'"requested"', b'"requester"'))
    with pytest.raises(run.Unreadable, match="damaged: its books don't say how many sockets"):
        run.recover(path)


@pytest.mark.parametrize("max_bytes", [8 * 2**20, 0])
async def test_its_head_tells_of_the_run_also_when_it_was_begun_anew(
    killed, tmp_path, monkeypatch, max_bytes
):
    monkeypatch.setattr(run, "MAX_BYTES", max_bytes)
    path = tmp_path / "run.journal"
    (await keep(path, killed)).close()
    head = msgspec.json.decode(path.read_bytes().partition(b"\n")[0], type=run.Head)
    assert head == run.Head(
        pid=os.getpid(),
        started_at=killed.started_at,
        url=killed.plan.shown_url,
        count=10,
        plan=msgspec.json.decode(msgspec.json.encode(run.plan_as_run(killed))),
    )
