"""What a run says, line by line."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import ClassVar

import pytest
import trio

from echo_trio.console import runs
from echo_trio.console.run_process import Accepted
from echo_trio.console.runs import Run


def make_run() -> Run:
    accepted = Accepted({"count": 1}, "127.0.0.1:9000", stop_timeout_s=5.0, page=False)
    return Run(accepted, Path("/nowhere"))


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


async def test_a_line_within_the_bound_behind_one_beyond_it_is_taken_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(runs, "MAX_LINE_BYTES", 5)
    assert await lines_of(b"123456789", b"0\n123\n12", b"345\n") == [b"123", b"12345"]
    assert await lines_of(b"12345", b"6", b"7\n", b"1\n2\n") == [b"1", b"2"]


def test_a_run_inherits_the_machines_settings_and_none_of_the_servers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ECHO_TRIO_CONSOLE_TOKEN", "hush")
    monkeypatch.setenv("ECHO_TRIO_PORT", "1")
    monkeypatch.setenv("LANG_OF_THE_MACHINE", "C")
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    environment = runs._environment()
    assert not [name for name in environment if name.startswith("ECHO_TRIO_")]
    assert "hush" not in environment.values()
    assert environment["LANG_OF_THE_MACHINE"] == "C"
    first, *rest = environment["PYTHONPATH"].split(":")
    assert (Path(first) / "loadgen" / "__main__.py").exists()
    assert rest == ["/elsewhere"]


async def test_a_run_is_asked_to_end_once_however_often_somebody_asks() -> None:
    class Process:
        signals: ClassVar[list[int]] = []

        def send_signal(self, number: int) -> None:
            self.signals.append(number)

    run, process = make_run(), Process()
    for _ in range(3):
        runs._interrupt(run, process)  # type: ignore[arg-type]
    assert process.signals == [signal.SIGINT]


@pytest.mark.parametrize(
    ("text", "line"),
    [(b"", None), (b"one\ntwo\n", "two"), (b"one\n\n  \n", "one"), (b"half", "half")],
)
def test_why_it_failed_is_the_last_line_of_its_complaint(text: bytes, line: str | None) -> None:
    assert runs._last_line(text) == line
