"""Start runs, one at a time; remember the last of them, steer and annotate them."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trio
import trio.testing
from trio.testing import MockClock, memory_stream_one_way_pair

from echo_trio.console import runs
from echo_trio.console.run import Run
from echo_trio.console.run_process import RunProcess, RunRefused
from echo_trio.console.run_settings import RunSettings
from echo_trio.console.run_target import Targets
from echo_trio.console.runs import Runs

from .conftest import make_run


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


async def test_settings_that_are_refused_are_charged_for_as_long_as_that_took(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    charged, seen_off = list[float](), list[str]()

    class Refusing:
        """A generator that refuses its settings, and takes its time to say so."""

        @classmethod
        async def open(cls, _: dict[str, Any]) -> Any:
            await trio.sleep(1)
            return cls()

        async def answer(self) -> RunRefused:
            await trio.sleep(2)
            return RunRefused("no", "count")

        async def see_off(self) -> None:
            await trio.sleep(3)
            seen_off.append("yes")

    monkeypatch.setattr(runs, "RunProcess", Refusing)
    targets = Targets.of("ws://127.0.0.1:9000/", "127.0.0.1")
    kept: Any = Runs(targets, 10, None, lambda *_: None)
    kept._nursery = kept._folder = tmp_path
    monkeypatch.setattr(kept._checks, "charge", charged.append)
    with pytest.raises(runs.BadSettings, match="no"):
        await kept.start(RunSettings({}, {}))
    assert charged == pytest.approx([3])
    assert (seen_off, kept._process, list(kept)) == (["yes"], None, [])


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


async def test_with_the_console_the_files_of_its_runs_are_gone(
    nursery: trio.Nursery, tmp_path: Path
) -> None:
    kept: Any = Runs(Targets.of("ws://127.0.0.1:9000/", "127.0.0.1"), 10, None, lambda *_: None)
    folder = tmp_path / "runs"
    folder.mkdir()
    (folder / "run.html").touch()
    async with trio.open_nursery() as serving:
        await serving.start(kept.serve)
        kept._folder = folder
        serving.cancel_scope.cancel()
    assert not folder.exists()


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
