"""A generator as a child process: its first line, its lines, its end."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
import trio
from trio.testing import memory_stream_one_way_pair

from echo_trio.console import run_process
from echo_trio.console.run_process import (
    LineReader,
    NoAnswer,
    RunAccepted,
    RunProcess,
    RunRefused,
    last_line,
)


async def lines_of(*chunks: bytes) -> list[bytes]:
    sending, receiving = memory_stream_one_way_pair()

    async def send() -> None:
        for chunk in chunks:
            await sending.send_all(chunk)
        await sending.aclose()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send)
        return [line async for line in LineReader(receiving)]


async def test_lines_are_put_together_however_they_come() -> None:
    whole = b"one\ntwo\n\nthree\n"
    assert await lines_of(whole) == [b"one", b"two", b"", b"three"]
    pieces = [whole[at : at + 1] for at in range(len(whole))]
    assert await lines_of(*pieces) == [b"one", b"two", b"", b"three"]


async def test_a_line_that_is_too_long_is_thrown_away_and_the_next_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(run_process, "MAX_LINE_BYTES", 5)
    assert await lines_of(b"12345\n123456\n1\n") == [b"12345", b"1"]
    assert await lines_of(b"1234", b"567", b"89\n1\n") == [b"1"]
    assert await lines_of(b"1234567", b"\n", b"12", b"345", b"6\n1\n") == [b"1"]


def test_of_what_it_complains_about_the_last_line_is_told() -> None:
    assert last_line(b"x" * 10_000 + b"\nloadgen: the reason\n\n") == "loadgen: the reason"
    assert last_line(b"\n\xff \n") == "\N{REPLACEMENT CHARACTER}"
    assert last_line(b"") is None


ORDER = {
    "settings": {"count": "1"},
    "url": "ws://127.0.0.1:1/",
    "targets": [["127.0.0.1", 1]],
    "max_count": 1,
    "html": "",
}


async def test_a_generator_answers_an_order_with_its_first_line_and_is_gone_when_seen_off() -> None:
    process = await RunProcess.open({**ORDER, "settings": {"count": "1", "duration": "10m"}})
    try:
        answer = await process.answer()
        assert isinstance(answer, RunAccepted)
        assert (answer.plan["count"], answer.target) == (1, "127.0.0.1:1")
    finally:
        await process.see_off()
    assert process.exit_code is not None
    assert not psutil.pid_exists(process._process.pid)


async def test_a_generator_that_refuses_names_the_field_and_ends_with_2() -> None:
    process = await RunProcess.open({**ORDER, "settings": {"count": "1", "think": "1s"}})
    try:
        answer = await process.answer()
        await process.wait()
    finally:
        await process.see_off()
    assert isinstance(answer, RunRefused)
    assert (answer.field, answer.elsewhere, process.exit_code) == ("think", False, 2)


async def test_a_generator_that_dies_at_its_start_is_told_by_its_last_line() -> None:
    process = await RunProcess.open({"nonsense": 1})
    try:
        with pytest.raises(NoAnswer, match="nonsense"):
            await process.answer()
    finally:
        await process.see_off()


async def test_a_generator_that_no_signal_reaches_is_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The system refuses this one, as it does each where a service of Windows has no console.
    monkeypatch.setattr(run_process, "_INTERRUPT", 9999)
    process = await RunProcess.open(ORDER)
    try:
        process.interrupt()
        await process.wait()
    finally:
        await process.see_off()
    assert process.exit_code == -signal.SIGKILL


async def test_of_its_stderr_the_end_is_kept() -> None:
    child = await trio.lowlevel.open_process(
        ["sh", "-c", "yes complaint | head -c 100000 >&2; echo last >&2"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        process_group=0,
    )
    process = RunProcess(child, {})
    try:
        await process.read_complaint()
    finally:
        await process.see_off()
    assert len(process.complaint) == run_process.ERROR_BYTES
    assert last_line(process.complaint) == "last"


async def test_a_line_within_the_bound_behind_one_beyond_it_is_taken_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(run_process, "MAX_LINE_BYTES", 5)
    assert await lines_of(b"123456789", b"0\n123\n12", b"345\n") == [b"123", b"12345"]
    assert await lines_of(b"12345", b"6", b"7\n", b"1\n2\n") == [b"1", b"2"]


def test_a_run_inherits_the_machines_settings_and_none_of_the_servers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ECHO_TRIO_CONSOLE_TOKEN", "hush")
    monkeypatch.setenv("ECHO_TRIO_PORT", "1")
    monkeypatch.setenv("LANG_OF_THE_MACHINE", "C")
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    environment = run_process.make_environment()
    assert not [name for name in environment if name.startswith("ECHO_TRIO_")]
    assert "hush" not in environment.values()
    assert environment["LANG_OF_THE_MACHINE"] == "C"
    first, *rest = environment["PYTHONPATH"].split(":")
    assert (Path(first) / "loadgen" / "__main__.py").exists()
    assert rest == ["/elsewhere"]


@pytest.mark.parametrize(
    ("text", "line"),
    [(b"", None), (b"one\ntwo\n", "two"), (b"one\n\n  \n", "one"), (b"half", "half")],
)
def test_why_it_failed_is_the_last_line_of_its_complaint(text: bytes, line: str | None) -> None:
    assert run_process.last_line(text) == line


def test_a_run_is_asked_to_end_once_however_often_somebody_asks() -> None:
    signals: list[int] = []
    process = RunProcess.__new__(RunProcess)
    process._interrupted = False
    process._process = SimpleNamespace(send_signal=signals.append)  # type: ignore[assignment]
    for _ in range(3):
        process.interrupt()
    assert signals == [signal.SIGINT]


class Child:
    """A process that ends so long after it was interrupted."""

    def __init__(self, ends_s: float | None) -> None:
        self.pid, self.returncode = 4711, None if ends_s else 0
        self.done: list[tuple[str, float]] = []
        self.stdin, self.stdout = memory_stream_one_way_pair()
        self.closed, self.stderr = memory_stream_one_way_pair()
        self._ends_s = ends_s
        self._interrupted = trio.Event()

    def note(self, what: str) -> None:
        self.done.append((what, trio.current_time()))

    def send_signal(self, _: int) -> None:
        self.note("interrupt")
        self._interrupted.set()

    async def wait(self) -> None:
        if self.returncode is None:
            await self._interrupted.wait()
            await trio.sleep(self._ends_s or 0)
            self.returncode = 1
        self.note("over")


@pytest.mark.parametrize(
    ("ends_s", "done"),
    [
        (None, [("kill", 0), ("over", 0)]),
        (0.5, [("interrupt", 0), ("over", 0.5), ("kill", 0.5), ("over", 0.5)]),
        (3.0, [("interrupt", 0), ("kill", 1), ("over", 1)]),
    ],
)
async def test_it_is_seen_off_within_its_grace_with_all_that_it_has_started(
    monkeypatch: pytest.MonkeyPatch, autojump_clock, ends_s: float | None, done: list[Any]
) -> None:
    child = Child(ends_s)

    def kill(pid: int, number: int) -> None:
        assert (pid, number) == (4711, signal.SIGKILL)
        child.note("kill")
        child.returncode = -9

    monkeypatch.setattr(run_process.os, "killpg", kill)
    process = RunProcess(child, {})  # type: ignore[arg-type]
    with trio.CancelScope() as scope:
        scope.cancel()  # It has to wait.
        await process.see_off()
    assert child.done == done
    with pytest.raises(trio.ClosedResourceError):
        await child.stdin.send_all(b"x")
    for stream in (child.stdout, child.stderr):
        with pytest.raises(trio.ClosedResourceError):
            await stream.receive_some(1)


class Stuck:
    """A stream that takes one line, and half of the next."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []
        self.is_closed = False

    async def send_all(self, data: bytes) -> None:
        if self.is_closed:
            raise trio.ClosedResourceError
        self.taken.append(data)
        if len(self.taken) == 2:
            await trio.sleep_forever()

    async def aclose(self) -> None:
        self.is_closed = True
        await trio.lowlevel.checkpoint()


async def test_a_line_that_was_cut_half_way_is_the_last(autojump_clock) -> None:
    child, stream = Child(None), Stuck()
    child.stdin = stream  # type: ignore[assignment]
    process = RunProcess(child, {})  # type: ignore[arg-type]
    await process.tell({"id": 1})
    with trio.move_on_after(1) as waiting:
        await process.tell({"id": 2})
    assert waiting.cancelled_caught
    await process.tell({"id": 3})
    assert (stream.taken, stream.is_closed) == ([b'{"id":1}\n', b'{"id":2}\n'], True)
