"""A title takes the place of the command line, and no byte beside it."""

from __future__ import annotations

import errno
import os
from types import SimpleNamespace
from typing import Any

import pytest

from echo_trio.forks import title as title_module
from echo_trio.forks.title import set_title

#: Where the command line is, in /proc/self/stat of a process whose name is "a) b (c".
BEGIN, END = 5000, 5020
FIELDS = ["S", *(str(number) for number in range(4, 48)), str(BEGIN), str(END), "0"]
STAT = f"77 (a) b (c) {' '.join(FIELDS)}\n"


class Memory:
    """A process's own memory, and what is written to it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, stat: str = STAT) -> None:
        self.written, self.closed = list[Any](), list[int]()
        self.failure: OSError | None = None
        monkeypatch.setattr(
            title_module, "Path", lambda _: SimpleNamespace(read_text=lambda *_: stat)
        )
        system = SimpleNamespace(
            O_RDWR=os.O_RDWR, open=lambda *_: 99, pwrite=self._write, close=self.closed.append
        )
        monkeypatch.setattr(title_module, "os", system)

    def _write(self, descriptor: int, data: bytes, at: int) -> None:
        if self.failure is not None:
            raise self.failure
        self.written.append((descriptor, data, at))


@pytest.mark.parametrize(
    ("title", "shown"),
    [
        ("", b""),
        ("a worker", b"a worker"),
        ("x" * 17, b"x" * 17),
        ("x" * 18, b"x" * 18),
        ("x" * 19, b"x" * 18),
        ("é" * 3, "é".encode() * 3),
    ],
)
def test_a_title_is_shown_up_to_the_length_of_the_command_line(
    monkeypatch, title: str, shown: bytes
) -> None:
    """Behind it is a 0, and the last byte is none: so the kernel ends it at the first 0."""
    memory = Memory(monkeypatch)
    set_title(title)
    assert memory.written == [(99, shown.ljust(END - BEGIN - 1, b"\0") + b".", BEGIN)]
    assert memory.closed == [99]


def test_where_it_is_not_allowed_nothing_happens(monkeypatch) -> None:
    memory = Memory(monkeypatch)
    memory.failure = PermissionError(errno.EPERM, "not allowed")
    set_title("a worker")
    assert (memory.written, memory.closed) == ([], [99])


@pytest.mark.parametrize("stat", ["", "77 (a) S 1 2", STAT.replace(str(BEGIN), "x")])
def test_what_is_no_command_line_is_left_alone(monkeypatch, stat: str) -> None:
    memory = Memory(monkeypatch, stat)
    set_title("a worker")
    assert (memory.written, memory.closed) == ([], [])
