"""Trends are computed by another process, one at a time, and kept while the file stays as it is."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trio

from echo_trio.console import trends
from echo_trio.console.trends import TIMEOUT_S, NoTrends, TrendReader


class Generator:
    """The generator's command, as it is run."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.at_once = self.most_at_once = 0
        self.takes_s = 1.0
        self.code, self.errors = 0, b""
        self.raises: OSError | None = None

    async def run(self, command: list[str], **how: Any) -> Any:
        assert how["check"] is False
        assert how["capture_stdout"] is how["capture_stderr"] is True
        assert (command[1:6], command[6], command[8]) == (
            ["-P", "-m", "loadgen", "history", command[5]], "--json=-", "--last=100",
        )  # fmt: skip
        name = command[7].removeprefix("--name=")
        if self.raises is not None:
            raise self.raises
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await trio.sleep(self.takes_s)
        finally:
            self.at_once -= 1
        self.asked.append(name)
        return SimpleNamespace(returncode=self.code, stdout=name.encode(), stderr=self.errors)


@pytest.fixture
def generator(monkeypatch: pytest.MonkeyPatch) -> Generator:
    made = Generator()
    monkeypatch.setattr(trends.trio, "run_process", made.run)

    async def run_sync(call: Any) -> Any:
        await trio.lowlevel.checkpoint()
        return call()

    monkeypatch.setattr(trends.trio.to_thread, "run_sync", run_sync)
    return made


async def test_each_name_is_asked_for_once_while_the_file_stays_as_it_is(
    generator: Generator, tmp_path: Path, autojump_clock
) -> None:
    path = tmp_path / "runs.db"
    path.write_text("a")
    os.utime(path, ns=(0, 1000))
    reader = TrendReader(path)
    async with trio.open_nursery() as nursery:
        for name in ("a", "-b", "a"):
            nursery.start_soon(reader.read, name)
    assert (sorted(generator.asked), generator.most_at_once) == (["-b", "a"], 1)
    assert await reader.read("-b") == b"-b"
    os.utime(path, ns=(0, 1001))
    assert await reader.read("a") == b"a"
    path.write_text("ab")
    os.utime(path, ns=(0, 1001))
    assert await reader.read("a") == b"a"
    assert len(generator.asked) == 4


async def test_the_answers_that_were_read_first_are_forgotten_first(
    generator: Generator, tmp_path: Path, autojump_clock
) -> None:
    (tmp_path / "runs.db").write_text("a")
    reader = TrendReader(tmp_path / "runs.db")
    for number in range(8):
        await reader.read(str(number))
    await reader.read("0")
    assert len(generator.asked) == 8
    await reader.read("8")
    await reader.read("1")
    assert generator.asked[8:] == ["8"]
    await reader.read("0")
    assert generator.asked[8:] == ["8", "0"]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"code": 2, "errors": b"first\nloadgen: it is none\n"}, "it is none"),
        ({"code": 3}, "it ended with 3"),
        ({"takes_s": TIMEOUT_S + 1}, "the history took longer than 60 s to read"),
        ({"raises": OSError(11, "too many")}, "can't start a process: too many"),
    ],
)
async def test_why_there_are_none_is_told_and_asked_again(
    generator: Generator, tmp_path: Path, autojump_clock, changes: dict[str, Any], says: str
) -> None:
    (tmp_path / "runs.db").write_text("a")
    reader = TrendReader(tmp_path / "runs.db")
    for name, value in changes.items():
        setattr(generator, name, value)
    with pytest.raises(NoTrends, match=says):
        await reader.read("a")
    for name, value in {"code": 0, "takes_s": 1.0, "raises": None}.items():
        setattr(generator, name, value)
    assert await reader.read("a") == b"a"


async def test_a_file_that_is_gone_is_told(generator: Generator, tmp_path: Path) -> None:
    with pytest.raises(NoTrends, match="the history can't be read: No such file"):
        await TrendReader(tmp_path / "gone").read("a")


async def test_an_answer_that_was_read_anew_is_forgotten_last(
    generator: Generator, tmp_path: Path, autojump_clock
) -> None:
    path = tmp_path / "runs.db"
    path.write_text("a")
    reader = TrendReader(path)
    for number in range(8):
        await reader.read(str(number))
    path.write_text("ab")
    await reader.read("0")
    await reader.read("8")
    generator.asked.clear()
    await reader.read("0")
    assert generator.asked == []
