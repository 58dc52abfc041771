"""The course of runs, from the order to the last line of the log, with generators of the test."""

from __future__ import annotations

import json
import math
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trio
from structlog.testing import LogCapture
from trio.testing import MockClock, wait_all_tasks_blocked

from echo_trio.console import runs
from echo_trio.console.kept_runs import KeptRun
from echo_trio.console.run_process import NoAnswer, RunAccepted, RunRefused
from echo_trio.console.run_settings import BadSettings, RunSettings
from echo_trio.console.run_target import Targets
from echo_trio.console.runs import (
    ANSWER_TIMEOUT_S,
    CHECKS_BURST_S,
    CHECKS_SHARE,
    CannotRun,
    Runs,
)
from echo_trio.console.trends import NoTrends
from echo_trio.run_history import NotAHistory

from ..conftest import log_to

#: A hang guard, nothing else.
PATIENCE_S = 60.0
PLAN = {"count": 3, "url": "ws://127.0.0.1:9000/"}
ACCEPTED = RunAccepted(PLAN, "127.0.0.1:9000", stop_timeout_s=5.0, page=True)
REPORT = {"schema": 1, "verdict": "valid", "started_at": "then", "changes": [{"t_s": 1}]}


class Generator:
    """A generator that does what the test says."""

    def __init__(self, order: dict[str, Any], answer: Any) -> None:
        self.order, self._answer = order, answer
        self.told = list[dict[str, Any]]()
        self.done = list[str]()
        self.exit_code: int | None = None
        self.complaint = bytearray()
        self._ended = trio.Event()
        self._say, self.lines = trio.open_memory_channel[bytes](math.inf)

    async def answer(self) -> Any:
        await trio.lowlevel.checkpoint()
        answer = await self._answer() if callable(self._answer) else self._answer
        if isinstance(answer, Exception):
            raise answer
        return answer

    def say(self, **line: Any) -> None:
        self._say.send_nowait(json.dumps(line).encode())

    def end(self, exit_code: int = 0, complaint: bytes = b"") -> None:
        self.exit_code, self.complaint = exit_code, bytearray(complaint)
        self._say.close()
        self._ended.set()

    async def tell(self, what: dict[str, Any]) -> None:
        await trio.lowlevel.checkpoint()
        self.told.append(what)

    async def read_complaint(self) -> None:
        await trio.lowlevel.checkpoint()

    async def wait(self) -> None:
        await self._ended.wait()

    def interrupt(self) -> None:
        self.done.append("interrupt")

    def kill(self) -> None:
        self.done.append("kill")

    async def see_off(self) -> None:
        self.done.append("see off")


class Console:
    """Runs that are served, and their generators."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path, **more: Any) -> None:
        self.logged, self.failures = LogCapture(), list[Any]()
        self.generators = list[Generator]()
        self.answer: Any = ACCEPTED
        self.on_open: Exception | None = None
        targets = Targets.of("ws://127.0.0.1:9000/", "127.0.0.1", ["a.example:1"])
        self.runs = Runs(
            targets, 77, log_to(self.logged), lambda *why: self.failures.append(why), **more
        )
        monkeypatch.setattr(runs, "RunProcess", self)
        monkeypatch.setattr(runs.tempfile, "mkdtemp", lambda **_: str(folder))

    async def open(self, order: dict[str, Any]) -> Generator:
        await trio.lowlevel.checkpoint()
        if self.on_open is not None:
            raise self.on_open
        self.generators.append(Generator(order, self.answer))
        return self.generators[-1]

    async def start(self, **values: Any) -> Any:
        settings = {"values": {"count": "3"}, "written": {"count": "Count"}}
        return await self.runs.start(RunSettings(**{**settings, **values}))

    async def over(self) -> None:
        with trio.fail_after(PATIENCE_S):
            while not all(run.over for run in self.runs):
                await trio.lowlevel.checkpoint()
        assert self.runs._process is None

    def log(self) -> list[dict[str, Any]]:
        return [dict(line) for line in self.logged.entries]


@pytest.fixture
async def console(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[Console]:
    console = Console(monkeypatch, tmp_path)
    async with trio.open_nursery() as serving:
        await serving.start(console.runs.serve)
        yield console
        serving.cancel_scope.cancel()
    assert console.failures == []


async def test_a_run_is_ordered_with_all_that_its_generator_has_to_know(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    scenarios, history = str(tmp_path), tmp_path / "runs.db"
    console = Console(monkeypatch, tmp_path, scenario_dir=scenarios, history=history)
    monkeypatch.setattr(runs.kept_runs, "last", lambda *_: [])
    async with trio.open_nursery() as serving:
        await serving.start(console.runs.serve)
        run = await console.start(name="nightly", note="why")
        order = {
            "settings": {"count": "3"}, "url": "ws://127.0.0.1:9000/", "max_count": 77,
            "targets": sorted(
                [("127.0.0.1", 9000), ("localhost", 9000), ("::1", 9000), ("a.example", 1)]
            ),
            "scenario_dir": scenarios, "html": str(tmp_path / f"{run.id}.html"),
            "history": str(history), "name": "nightly",
        }  # fmt: skip
        assert console.generators[0].order == order
        assert (run.accepted, run.name, run.note, run.state) == (
            ACCEPTED, "nightly", "why", "running",
        )  # fmt: skip
        serving.cancel_scope.cancel()
    assert console.generators[0].done == ["see off"]


async def test_a_run_goes_from_its_order_to_its_report_and_the_next_can_begin(
    console: Console,
) -> None:
    run = await console.start()
    (generator,) = console.generators
    assert (generator.order["name"], generator.order["history"]) == (None, None)
    assert [*console.runs] == [run]
    assert console.runs.get(run.id) is run
    assert await console.runs.find("0123") is None
    with pytest.raises(CannotRun, match="a run goes on") as refused:
        await console.start()
    assert refused.value.status == 409
    generator.say(**REPORT)
    generator.end(99, b"a word\n")
    await console.over()
    assert (run.state, run.exit_code, run.verdict, run.error) == ("done", 99, "valid", None)
    assert json.loads(run.report) == REPORT
    assert (run.kept, generator.done) == (None, ["see off"])
    with pytest.raises(CannotRun, match="the load is over") as refused:
        await console.runs.steer(run, {"paused": True})
    assert (refused.value.status, generator.told) == (409, [])
    started, ended = console.log()
    assert started == {
        "event": "a run has started", "log_level": "info", "run": run.id, "sockets": 3,
        "target": "127.0.0.1:9000",
    }  # fmt: skip
    summary = run.summary()
    del summary["plan"], summary["name"], summary["note"], summary["page"]
    assert ended == {"event": "a run has ended", "log_level": "info", **summary}
    second = await console.start()
    assert [*console.runs] == [second, run]
    console.generators[1].end(3, b"first\nlast\n")
    await console.over()
    assert (second.state, second.exit_code, second.error) == ("failed", 3, "last")


async def test_a_drain_ends_the_run_in_good_order_and_no_other_begins(console: Console) -> None:
    run = await console.start()
    console.runs.drain()
    assert (run.state, run.stop.is_set()) == ("cancelling", True)
    await wait_all_tasks_blocked()
    (generator,) = console.generators
    assert generator.done == ["interrupt"]
    with pytest.raises(CannotRun, match="the load is over"):
        await console.runs.steer(run, {"paused": True})
    generator.end(130)
    await console.over()
    assert (run.state, run.error) == ("failed", "cancelled before it could report anything")
    with pytest.raises(CannotRun, match="the server is stopping") as refused:
        await console.start()
    assert (refused.value.status, len(console.generators)) == (503, 1)


async def test_a_run_that_is_accepted_when_the_server_stops_already_does_not_begin(
    console: Console,
) -> None:
    async def stop_first() -> RunAccepted:
        console.runs.drain()
        return ACCEPTED

    console.answer = stop_first
    with pytest.raises(CannotRun, match="the server is stopping"):
        await console.start()
    assert ([*console.runs], console.generators[0].done) == ([], ["see off"])
    assert console.runs._process is None


@pytest.mark.parametrize(
    ("answer", "on_open", "says", "status"),
    [
        (NoAnswer("no word"), None, "the generator did not start: no word", 503),
        (None, OSError(12, "no memory"), "can't start a process: no memory", 503),
    ],
)
async def test_a_generator_that_does_not_start_is_told_and_left_by_nobody(
    console: Console, answer: Any, on_open: Exception | None, says: str, status: int
) -> None:
    console.answer, console.on_open = answer, on_open
    with pytest.raises(CannotRun) as refused:
        await console.start()
    assert (str(refused.value), refused.value.status) == (says, status)
    assert [each.done for each in console.generators] == [["see off"]] * (on_open is None)
    assert console.log() == []
    console.answer, console.on_open = ACCEPTED, None
    assert [*console.runs] == [] != [await console.start()]


@pytest.mark.parametrize(
    ("refused", "status", "at_fault"),
    [
        (RunRefused("too many", "count"), 422, "Count"),
        (RunRefused("odd", "rate"), 422, "rate"),
        (RunRefused("odd"), 422, None),
        (RunRefused("not there", "url", elsewhere=True), 400, "url"),
    ],
)
async def test_a_refusal_names_the_setting_as_it_was_written(
    console: Console, refused: RunRefused, status: int, at_fault: str | None
) -> None:
    console.answer = refused
    with pytest.raises(BadSettings) as told:
        await console.start()
    assert (str(told.value), told.value.status, told.value.field) == (
        refused.error, status, at_fault,
    )  # fmt: skip


async def steer(console: Console, run: Any, change: dict[str, Any], into: list[Any]) -> None:
    try:
        into.append(await console.runs.steer(run, change))
    except (BadSettings, CannotRun) as exc:
        into.append(exc)


async def test_each_change_of_a_load_gets_its_own_answer(
    nursery: trio.Nursery, console: Console
) -> None:
    run, first, second = await console.start(), list[Any](), list[Any]()
    nursery.start_soon(steer, console, run, {"paused": True}, first)
    await wait_all_tasks_blocked()
    nursery.start_soon(steer, console, run, {"rate": "9/s"}, second)
    await wait_all_tasks_blocked()
    (generator,) = console.generators
    one, other = generator.told
    assert one["id"] != other["id"]
    assert (one["paused"], other["rate"]) == (True, "9/s")
    load = {"rate": 5.0, "changes": [{"t_s": 1.0}]}
    generator.say(type="steered", id=other["id"], error="too fast", field="rate", load=load)
    await wait_all_tasks_blocked()
    (refused,) = second
    assert isinstance(refused, BadSettings)
    assert (str(refused), refused.field, first) == ("rate: too fast", "rate", [])
    generator.say(type="steered", id=one["id"], error=None, field=None, load=load)
    await wait_all_tasks_blocked()
    (changed,) = first
    assert changed == {**run.summary(), "load": run.load}
    assert json.loads(bytes(changed["load"])) == load
    assert json.loads(bytes(changed["changes"])) == load["changes"]
    assert run.answers == {}
    generator.end()
    await console.over()


async def test_a_change_that_comes_too_late_or_finds_nobody_is_told_so(
    nursery: trio.Nursery, console: Console, autojump_clock: MockClock
) -> None:
    run, told = await console.start(), list[Any]()
    (generator,) = console.generators
    began_s = trio.current_time()
    await steer(console, run, {"paused": True}, told)
    assert trio.current_time() - began_s == pytest.approx(ANSWER_TIMEOUT_S)
    nursery.start_soon(steer, console, run, {"paused": True}, told)
    await wait_all_tasks_blocked()
    load = {"changes": []}
    generator.say(type="steered", id=2, error="it is not in its load", field=None, load=load)
    await wait_all_tasks_blocked()
    nursery.start_soon(steer, console, run, {"paused": True}, told)
    await wait_all_tasks_blocked()
    generator.end()
    await console.over()
    await wait_all_tasks_blocked()
    assert [(type(each), each.status) for each in told] == [
        (CannotRun, 503), (CannotRun, 409), (CannotRun, 409),
    ]  # fmt: skip
    assert [str(each) for each in told[1:]] == ["it is not in its load", "the load is over"]


def is_there(path: Path) -> bool:
    return path.exists()


async def test_whoever_leaves_at_once_kills_the_generator_and_leaves_no_file(
    console: Console, tmp_path: Path
) -> None:
    await console.start()
    was_there = is_there(tmp_path)
    console.runs.abandon()
    assert (console.generators[0].done, was_there, is_there(tmp_path)) == (["kill"], True, False)


async def test_a_run_is_found_in_the_history_and_its_note_put_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked = list[Any]()
    kept = SimpleNamespace(
        last=lambda *_: [],
        find=lambda *args: asked.append(("find", *args)) or 7,
        annotate=lambda *args, **more: asked.append(("annotate", *args, more)),
        default_name=runs.kept_runs.default_name,
    )
    monkeypatch.setattr(runs, "kept_runs", kept)
    history = tmp_path / "runs.db"
    console = Console(monkeypatch, tmp_path, history=history)
    async with trio.open_nursery() as serving:
        await serving.start(console.runs.serve)
        for note in ("why", ""):
            run = await console.start(note=note)
            console.generators[-1].say(**REPORT)
            console.generators[-1].end()
            await console.over()
            assert (run.kept, run.note) == (7, note)
            assert await console.runs.find("7") is not None
        run = await console.start(note="no report")
        console.generators[-1].end(1)
        await console.over()
        assert run.kept is None
        serving.cancel_scope.cancel()
    words = {"name": PLAN["url"], "note": "why"}
    assert asked == [
        ("find", history, "then"), ("annotate", history, 7, words), ("find", history, "then"),
    ]  # fmt: skip


async def test_the_runs_of_earlier_servers_are_there_the_newest_first(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    kept = [
        KeptRun(
            id=number, started_at="then", ended_at=None, verdict="valid", exit_code=0, name="",
            note="", plan=PLAN, changes="[]",
        )
        for number in (9, 8, 7)
    ]  # fmt: skip
    asked = list[Any]()
    monkeypatch.setattr(runs.kept_runs, "last", lambda *what: asked.append(what) or kept)
    console = Console(monkeypatch, tmp_path, history=tmp_path / "runs.db")
    async with trio.open_nursery() as serving:
        await serving.start(console.runs.serve)
        assert asked == [(tmp_path / "runs.db", runs.HISTORY)]
        assert [run.number for run in console.runs] == ["9", "8", "7"]
        run = await console.start()
        assert [each.id for each in console.runs] == [run.id, "9", "8", "7"]
        monkeypatch.setattr(
            runs.kept_runs, "read_run", lambda path, number: kept[0] if number == 6 else None
        )
        found = await console.runs.find("6")
        assert found is not None
        assert (found.id, found.kept, found.over) == ("9", 9, True)
        assert await console.runs.find("5") is None
        assert await console.runs.find("8") is console.runs.get("8")
        serving.cancel_scope.cancel()


@pytest.mark.parametrize("why", [NotAHistory("it is none"), OSError("it is damaged")])
async def test_a_history_that_cannot_be_read_is_told_and_the_console_goes_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, why: Exception
) -> None:
    def fail(*_: Any) -> None:
        raise why

    for name in ("last", "read_run"):
        monkeypatch.setattr(runs.kept_runs, name, fail)
    console = Console(monkeypatch, tmp_path, history=tmp_path / "runs.db")
    async with trio.open_nursery() as serving:
        await serving.start(console.runs.serve)
        assert [*console.runs] == []
        assert await console.runs.find("7") is None
        serving.cancel_scope.cancel()
    told = [(line["event"], line["log_level"], line["reason"]) for line in console.log()]
    assert told == [
        ("the runs before can't be read", "warning", str(why)),
        ("a run before can't be read", "warning", str(why)),
    ]


async def test_an_error_of_ours_ends_its_run_alone_and_is_counted(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: Any) -> None:
        await trio.lowlevel.checkpoint()
        raise KeyError("of the test")

    with monkeypatch.context() as patch:
        patch.setattr(runs, "conduct", fail)
        run = await console.start()
        await console.over()
    assert run.state == "failed"
    ((part, error),) = console.failures
    assert (part, type(error.exceptions[0])) == ("run", KeyError)
    console.failures.clear()
    await console.start()


async def test_trends_are_those_of_the_runs_own_name_or_of_its_default(
    console: Console,
) -> None:
    run = await console.start()

    async def refused() -> tuple[str, int]:
        with pytest.raises(CannotRun) as caught:
            await console.runs.read_trends(run)
        return str(caught.value), caught.value.status

    assert await refused() == ("runs are not kept: start the server with --history FILE", 404)
    asked, fails = list[str](), list[Exception]()

    async def read(name: str) -> bytes:
        await trio.lowlevel.checkpoint()
        asked.append(name)
        if fails:
            raise fails.pop()
        return b"trends"

    console.runs._trends = SimpleNamespace(read=read)  # type: ignore[assignment]
    assert await refused() == ("a run goes on: ask again at its end", 409)
    console.generators[0].end()
    await console.over()
    assert await refused() == ("this run is not in the history", 404)
    run.kept = 7
    assert await console.runs.read_trends(run) == b"trends"
    run.name = "nightly"
    assert await console.runs.read_trends(run) == b"trends"
    fails.append(NoTrends("why"))
    assert await refused() == ("why", 503)
    assert asked == [PLAN["url"], "nightly", "nightly"]
    await console.start()
    assert await refused() == ("a run goes on: ask again at its end", 409)


async def test_a_name_that_cannot_be_written_is_not_taken(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise OSError(28, "no space")

    run = await console.start(name="before", note="it was")
    run.kept = 7
    console.runs._history = Path("/nowhere")
    monkeypatch.setattr(runs.kept_runs, "annotate", fail)
    with pytest.raises(OSError, match="no space"):
        await console.runs.annotate(run, name="after", note="it is")
    assert (run.name, run.note) == ("before", "it was")
    run.kept = None
    await console.runs.annotate(run, name="after", note="it is")
    assert (run.name, run.note) == ("after", "it is")


async def test_who_has_used_up_the_time_for_checks_waits_for_more(
    console: Console, autojump_clock: MockClock
) -> None:
    console.runs._checks.charge(CHECKS_BURST_S + 1)
    began_s = trio.current_time()
    await console.start()
    assert trio.current_time() - began_s == pytest.approx(1 / CHECKS_SHARE)


@pytest.mark.parametrize("run_id", ["0", "07", "9" * 19, "-1", "1e3", ""])
async def test_what_can_be_no_number_in_the_history_is_not_looked_for_there(
    console: Console, monkeypatch: pytest.MonkeyPatch, run_id: str
) -> None:
    console.runs._history = Path("/nowhere")
    monkeypatch.setattr(runs.kept_runs, "read_run", lambda *_: pytest.fail("it is looked for"))
    assert await console.runs.find(run_id) is None
