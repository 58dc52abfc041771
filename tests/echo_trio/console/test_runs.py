"""What a run says, line by line."""

from __future__ import annotations

import json
from collections import deque
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trio
import trio.testing
from trio.testing import MockClock, memory_stream_one_way_pair

from echo_trio.console import runs
from echo_trio.console.run_process import RunAccepted, RunProcess
from echo_trio.console.run_settings import RunSettings
from echo_trio.console.run_target import Targets
from echo_trio.console.runs import Run, Runs


def make_run(folder: Path = Path("/nowhere")) -> Run:
    accepted = RunAccepted(
        {"count": 1, "url": "ws://there/"}, "127.0.0.1:9000", stop_timeout_s=5.0, page=False
    )
    return Run(accepted, folder)


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
    progress = json.loads(runs.msgspec.json.encode(run.progress()))
    assert progress["snapshot"] == json.loads(snapshot(2))
    assert progress["series"] == [{"t_s": 1}, {"t_s": 2}]
    assert progress["plan"]["count"] == 1
    report = b'{"schema": 1, "verdict": "valid"}'
    run.take_line(report)
    assert (run.report, run.verdict) == (report, "valid")


async def test_of_a_long_run_the_last_hour_is_kept() -> None:
    run = make_run()
    for second in range(runs.SNAPSHOTS + 5):
        run.take_line(snapshot(second))
    run.report = b'{"schema": 1}'
    run.close()
    emitted: list[bytes] = []

    async def emit(chunk: bytes) -> None:
        await trio.lowlevel.checkpoint()
        emitted.append(chunk)

    await run.follow(emit)
    text = b"".join(emitted)
    assert text.count(b"event: snapshot\n") == runs.SNAPSHOTS
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
    answers = run.answers = {1: runs.Answer(), 2: runs.Answer()}
    run.take_line(b'{"type": "steered", "id": 1, "load": {"rate": 7}}')
    if has_report:
        run.take_line(b'{"schema": 1, "verdict": "valid"}')
    run.close()
    assert [answers[number].error for number in sorted(answers)] == ["the load is over"]


async def test_each_change_is_answered_once_and_told_to_who_follows_if_it_was_made() -> None:
    run, emitted = make_run(), list[bytes]()
    first, second = runs.Answer(), runs.Answer()
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
    assert b"event: failed" in emitted[-1]


class Silent:
    """A generator that takes every order, and answers none."""

    def __init__(self) -> None:
        self.stdin, self.stdout = memory_stream_one_way_pair()
        self.stderr = self.stdout


async def test_who_gives_up_an_order_awaits_no_answer_any_more(autojump_clock: MockClock) -> None:
    run = make_run()
    kept = Runs(Targets.of("ws://127.0.0.1:9000/", "127.0.0.1"), 10, None, lambda *_: None)
    kept._process = RunProcess(Silent(), {})  # type: ignore[arg-type]
    with trio.move_on_after(runs.ANSWER_TIMEOUT_S / 2):
        await kept.steer(run, {"paused": True})
    assert run.answers == {}


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


class Starting:
    """What starting a run needs of the runs, where each is accepted at once."""

    def __init__(self, folder: Path) -> None:
        self._one_at_a_time = trio.Lock()
        self._checks = SimpleNamespace(take=trio.lowlevel.checkpoint)
        self._nursery, self._folder = object(), folder
        self._log = SimpleNamespace(info=lambda *_, **__: None)
        self._runs = deque[Run]()

    def _check_vacancy(self) -> None: ...

    async def _begin(self, *_: object) -> Run:
        await trio.lowlevel.checkpoint()
        run = make_run(self._folder)
        assert run.html is not None
        run.html.touch()
        self._runs.appendleft(run)
        return run


async def test_of_so_many_runs_each_is_remembered_with_its_page_and_of_more_the_newest(
    tmp_path: Path,
) -> None:
    starting: Any = Starting(tmp_path)
    started = [await Runs.start(starting, RunSettings({}, {})) for _ in range(runs.HISTORY)]
    assert list(starting._runs) == started[::-1]
    started.append(await Runs.start(starting, RunSettings({}, {})))
    assert list(starting._runs) == started[:0:-1]
    assert names_in(tmp_path) == {f"{run.id}.html" for run in started[1:]}


async def test_so_many_may_wait_for_a_run_and_the_next_is_sent_away(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    starting: Any = Starting(tmp_path)
    async with trio.open_nursery() as nursery:
        await starting._one_at_a_time.acquire()
        for _ in range(runs.MAX_WAITING):
            nursery.start_soon(Runs.start, starting, RunSettings({}, {}))
            await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(runs.CannotRun, match="too many ask"):
            await Runs.start(starting, RunSettings({}, {}))
        starting._one_at_a_time.release()
    assert len(starting._runs) == min(runs.MAX_WAITING, runs.HISTORY)


@pytest.mark.parametrize("name", ["nightly", ""])
@pytest.mark.parametrize("is_kept", [False, True])
async def test_a_run_keeps_a_name_in_the_history_also_when_its_own_is_taken_away(
    monkeypatch: pytest.MonkeyPatch, is_kept: bool, name: str
) -> None:
    run, written = make_run(), list[tuple[Any, ...]]()
    run.kept = 7 if is_kept else None
    monkeypatch.setattr(
        runs.kept_runs,
        "annotate",
        lambda path, number, *, name, note: written.append((path, number, name, note)),
    )
    kept: Any = SimpleNamespace(_history=Path("/nowhere/history"))
    await Runs.annotate(kept, run, name=name, note="n")
    assert (run.name, run.note) == (name, "n")
    its_name = name or "ws://there/"
    assert written == [(kept._history, 7, its_name, "n")] * is_kept
