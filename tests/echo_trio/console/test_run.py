"""Follow a run: what its generator says, line by line, its changes, its end."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from echo_trio.console import run as run_module
from echo_trio.console.event_stream import event
from echo_trio.console.kept_runs import KeptRun
from echo_trio.console.run import SNAPSHOTS, Answer

from .conftest import make_run


def snapshot(second: int) -> bytes:
    return json.dumps({"type": "snapshot", "t_s": second, "second": {"t_s": second}}).encode()


def test_snapshots_and_report_are_told_apart_and_nonsense_is_nothing() -> None:
    run = make_run()
    for line in (
        b"",
        b"nonsense",
        b"[]",
        b'{"type": 5}',
        b'{"other": 1}',
        snapshot(1),
        snapshot(2),
    ):
        run.take_line(line)
    progress = json.loads(msgspec.json.encode(run.progress()))
    assert progress["snapshot"] == json.loads(snapshot(2))
    assert progress["series"] == [{"t_s": 1}, {"t_s": 2}]
    assert progress["plan"]["count"] == 1
    assert bytes(run.changes) == b"[]"
    report = b'{"schema": 1, "verdict": "valid", "changes": [{"at_s": 3.5}]}'
    run.take_line(report)
    assert (run.report, run.verdict) == (report, "valid")
    assert bytes(run.changes) == b'[{"at_s": 3.5}]'


def test_a_run_is_told_with_all_that_is_known_of_it() -> None:
    run = make_run()
    told = {
        "id": run.id, "state": "running", "plan": run.accepted.plan, "started_at": run.started_at,
        "ended_at": None, "exit_code": None, "verdict": None, "error": None, "name": "",
        "note": "", "kept": None, "changes": [], "page": False,
    }  # fmt: skip
    sofar = {"snapshot": None, "series": [], "load": None}
    assert json.loads(msgspec.json.encode(run.summary())) == told
    assert json.loads(msgspec.json.encode(run.progress())) == told | sofar
    run.name, run.note, run.kept = "nightly", "why", 7
    load = {"rate": 5, "changes": [{"t_s": 1}]}
    run.take_line(snapshot(1))
    run.take_line(json.dumps({"type": "steered", "id": 1, "load": load}).encode())
    told |= {"name": "nightly", "note": "why", "kept": 7, "changes": load["changes"]}
    sofar = {"snapshot": json.loads(snapshot(1)), "series": [{"t_s": 1}], "load": load}
    assert json.loads(msgspec.json.encode(run.progress())) == told | sofar


async def test_a_run_of_the_history_has_ended_and_reads_its_report_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    history, plan = Path("/nowhere/runs.db"), {"count": 3, "url": "ws://x/"}
    monkeypatch.setattr(
        run_module.kept_runs, "read_report", lambda *asked: asked == (history, 7) and b"report"
    )
    kept = KeptRun(
        id=7, started_at="then", ended_at="later", verdict="failed", exit_code=1, name="nightly",
        note="why", plan=plan, changes='[{"t_s":1}]',
    )  # fmt: skip
    run = run_module.run_of_history(history, kept)
    assert json.loads(msgspec.json.encode(run.summary())) == {
        "id": "7", "state": "done", "plan": plan, "started_at": "then", "ended_at": "later",
        "exit_code": 1, "verdict": "failed", "error": None, "name": "nightly", "note": "why",
        "kept": 7, "changes": [{"t_s": 1}], "page": False,
    }  # fmt: skip
    assert (run.over, run.number, run.html, run.report) == (True, "7", None, None)
    assert await run.find_report() == b"report"


async def test_of_a_long_run_the_last_hour_is_kept() -> None:
    run = make_run()
    for second in range(SNAPSHOTS + 5):
        run.take_line(snapshot(second))
    run.report = b'{"schema": 1}'
    run.close()
    emitted: list[bytes] = []

    async def emit(chunk: bytes) -> None:
        await trio.lowlevel.checkpoint()
        emitted.append(chunk)

    await run.follow(emit)
    text = b"".join(emitted)
    assert text.count(b"event: snapshot\n") == SNAPSHOTS
    assert text.endswith(b'event: report\ndata: {"schema": 1}\n\n')
    assert b'"t_s": 4,' not in text


@pytest.mark.parametrize(
    ("cancelled", "says"),
    [(True, "cancelled before"), (False, "loadgen left no report, and ended with 1")],
)
async def test_a_run_without_a_report_has_failed_and_says_why(cancelled: bool, says: str) -> None:
    run = make_run()
    if cancelled:
        run.cancel()
        assert run.state == "cancelling"
    run.exit_code = 1
    run.close()
    assert run.state == "failed"
    assert run.error is not None
    assert says in run.error
    run.cancel()
    assert run.state == "failed"


@pytest.mark.parametrize("exit_code", [0, 1, 3, 130])
async def test_a_run_is_done_if_it_has_reported_whatever_its_exit_code(exit_code: int) -> None:
    told, silent = make_run(), make_run()
    told.take_line(b'{"schema": 1, "verdict": "failed"}')
    for run in (told, silent):
        run.exit_code, run.error = exit_code, "a complaint"
        run.close()
    assert (told.state, told.error) == ("done", None)
    assert (silent.state, silent.error) == ("failed", "a complaint")


@pytest.mark.parametrize("has_report", [True, False])
def test_who_waits_for_a_change_when_the_run_ends_is_told_that_it_is_over(has_report: bool) -> None:
    run = make_run()
    answers = run.answers = {1: Answer(), 2: Answer()}
    run.take_line(b'{"type": "steered", "id": 1, "load": {"rate": 7}}')
    if has_report:
        run.take_line(b'{"schema": 1, "verdict": "valid"}')
    run.close()
    assert [answers[number].error for number in sorted(answers)] == ["the load is over"]


async def test_each_change_is_answered_once_and_told_to_who_follows_if_it_was_made() -> None:
    run, emitted = make_run(), list[bytes]()
    first, second = Answer(), Answer()
    run.answers = {1: first, 2: second}
    run.take_line(b'{"type": "steered", "id": 2, "error": "no rate", "field": "rate", "load": {}}')
    assert (second.error, second.at_fault, second.has_come.is_set()) == ("no rate", "rate", True)
    assert (first.has_come.is_set(), run.changes_seen) == (False, 0)
    for number in (1, 2, 3):  # The second time nobody waits for it.
        run.take_line(b'{"type": "steered", "id": %d, "load": {"rate": %d}}' % (number, number))
    assert (first.error, run.changes_seen, run.answers) == (None, 3, {})

    async def emit(chunk: bytes) -> None:
        await trio.lowlevel.checkpoint()
        emitted.append(chunk)

    run.close()
    await run.follow(emit)
    assert emitted[0] == b'event: load\ndata: {"rate": 3}\n\n'
    assert b"event: failed" in emitted[1]
    assert len(emitted) == 2


async def test_who_follows_gets_each_snapshot_once(nursery: trio.Nursery) -> None:
    run, emitted = make_run(), bytearray()

    async def emit(chunk: bytes) -> None:
        await trio.lowlevel.checkpoint()
        emitted.extend(chunk)

    run.take_line(snapshot(1))
    run.take_line(snapshot(2))
    nursery.start_soon(run.follow, emit)
    await wait_all_tasks_blocked()
    run.take_line(snapshot(3))
    await wait_all_tasks_blocked()
    assert re.findall(rb'"t_s": (\d), "second"', bytes(emitted)) == [b"1", b"2", b"3"]
    nursery.cancel_scope.cancel()


async def test_a_run_that_is_asked_to_end_has_its_own_time_and_some_more(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    done = list[tuple[str, float]]()

    def note(what: str) -> Callable[[], None]:
        return lambda: done.append((what, trio.current_time()))

    run = make_run()
    process: Any = SimpleNamespace(interrupt=note("interrupted"), kill=note("killed"))
    nursery.start_soon(run_module._stop_when_asked, run, process)
    await trio.sleep(1000)
    assert done == []
    run.cancel()
    asked_s = trio.current_time()
    await trio.sleep(1000)
    limit_s = run.accepted.stop_timeout_s + run_module.STOP_GRACE_S
    assert done == [("interrupted", asked_s), ("killed", pytest.approx(asked_s + limit_s))]


class Process:
    """A process that ends at once, and whose output comes a little later, or never ends."""

    def __init__(self, says_after_s: float) -> None:
        self.says_after_s = says_after_s
        self.exit_code: int | None = None
        self.complaint = bytearray()
        self.lines = self._say()

    async def _say(self) -> Any:
        await trio.sleep(self.says_after_s)
        yield b'{"schema": 1, "verdict": "valid"}'
        await trio.sleep_forever()

    async def read_complaint(self) -> None:
        self.complaint += b"first\nlast\n"
        await trio.sleep_forever()

    async def wait(self) -> None:
        await trio.lowlevel.checkpoint()

    async def see_off(self) -> None:
        await trio.lowlevel.checkpoint()
        self.exit_code = 99

    def interrupt(self) -> None:
        raise AssertionError


@pytest.mark.parametrize(("says_after_s", "is_heard"), [(0.0, True), (1.9, True), (2.1, False)])
async def test_what_a_process_has_left_to_say_is_awaited_for_a_while(
    autojump_clock: MockClock, says_after_s: float, is_heard: bool
) -> None:
    run, process = make_run(), Process(says_after_s)
    began_s = trio.current_time()
    await run_module.conduct(run, process)  # type: ignore[arg-type]
    assert trio.current_time() - began_s == pytest.approx(run_module.LAST_WORDS_S) == 2
    assert ((run.report is not None), run.verdict) == (is_heard, "valid" if is_heard else None)
    assert (run.exit_code, run.error) == (99, "last")


async def test_the_report_is_the_last_that_who_follows_gets(nursery: trio.Nursery) -> None:
    run, emitted = make_run(), list[bytes]()

    async def emit(chunk: bytes) -> None:
        await trio.lowlevel.checkpoint()
        emitted.append(chunk)

    nursery.start_soon(run.follow, emit)
    run.take_line(b'{"schema": 1, "verdict": "valid"}')
    run.wake()
    await wait_all_tasks_blocked()
    assert emitted == []
    run.take_line(snapshot(1))
    run.close()
    await wait_all_tasks_blocked()
    assert [chunk.split(b"\n")[0] for chunk in emitted] == [b"event: snapshot", b"event: report"]


async def test_what_comes_while_a_slow_reader_takes_the_rest_reaches_it_as_well() -> None:
    run, emitted = make_run(), list[bytes]()
    report = b'{"schema": 1, "verdict": "valid"}'

    async def emit(text: bytes) -> None:
        if not emitted:
            for line in (snapshot(3), snapshot(4), report):
                run.take_line(line)
            run.close()
        emitted.append(text)

    for second in (1, 2):
        run.take_line(snapshot(second))
    await run.follow(emit)
    assert emitted == [
        event("snapshot", snapshot(1)) + event("snapshot", snapshot(2)),
        event("snapshot", snapshot(3)) + event("snapshot", snapshot(4)),
        event("report", report),
    ]
