"""A terminal gets what was drawn for it; anything else gets plain lines of 80 columns."""

from __future__ import annotations

import io
import re

import pytest
from rich.padding import Padding
from rich.text import Text

from loadgen.report.terminal import WIDTH, paper


class Stream(io.StringIO):
    """A stream that may be a terminal, and counts how often it was flushed."""

    def __init__(self, *, is_terminal: bool) -> None:
        super().__init__()
        self.is_terminal, self.flushed = is_terminal, 0

    def isatty(self) -> bool:
        return self.is_terminal

    def flush(self) -> None:
        self.flushed += 1


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "50")
    monkeypatch.delenv("NO_COLOR", raising=False)


def written(text: str, *, is_terminal: bool, color: bool = True) -> str:
    stream = Stream(is_terminal=is_terminal)
    with paper(stream, color=color) as console:
        console.print(Padding(Text(text, "bold red"), (1, 0, 1, 2)))
        console.print("7 of 9")
        assert is_terminal or not stream.getvalue()
    assert stream.flushed
    return stream.getvalue()


def test_a_pipe_gets_80_columns_of_plain_text_without_spaces_behind():
    lines = written("x" * 100, is_terminal=False).split("\n")
    assert WIDTH == 80
    assert lines == ["", f"  {'x' * 78}", f"  {'x' * 22}", "", "7 of 9", ""]


@pytest.mark.parametrize("color", [True, False])
def test_a_terminal_gets_its_own_width_and_colour_only_if_that_is_wanted(color):
    text = written("x" * 100, is_terminal=True, color=color)
    assert ("\x1b[1;31m" in text) is color
    plain = re.sub(r"\x1b\[[0-9;]*m", "", text)
    assert max(map(len, plain.split("\n"))) == 50
    assert "7 of 9" in text  # Numbers are not drawn as rich likes to.


@pytest.mark.parametrize("is_terminal", [True, False])
def test_no_text_is_obeyed(is_terminal):
    text = written("\x1b]0;owned \u202e", is_terminal=is_terminal)
    assert "\\x1b]0;owned \\u202e" in text
    assert "\u202e" not in text
    assert "\x1b]" not in text
