import pytest
from hypothesis import given
from hypothesis import strategies as st

from echo_trio.printable import printable, printable_lines

TEXTS = st.text(st.characters(codec=None), max_size=50)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param("plain – ünïcode 日本 🎉", "plain – ünïcode 日本 🎉", id="plain"),
        pytest.param("\x1b[2J\x1b]0;owned\x07", r"\x1b[2J\x1b]0;owned\x07", id="escape-sequences"),
        pytest.param("\x9b31m", r"\x9b31m", id="an-8-bit-escape-sequence"),
        pytest.param("one\r\nERROR two", r"one\r\nERROR two", id="a-forged-line"),
        pytest.param("a\u2028b\x85c", r"a\u2028b\x85c", id="line-ends-of-unicode"),
        pytest.param("user\u202egnp.exe", r"user\u202egnp.exe", id="a-bidirectional-override"),
        pytest.param("a\u200bb\ufeff", r"a\u200bb\ufeff", id="of-no-width"),
        pytest.param("\udcff", r"\udcff", id="bytes-that-were-no-text"),
    ],
)
def test_what_a_terminal_would_obey_is_written_out(text, shown):
    assert printable(text) == shown


def test_a_long_text_is_cut_and_marked():
    assert printable("abcdef", at_most=3) == "abc…"
    assert printable("abc", at_most=3) == "abc"


@given(TEXTS)
def test_every_text_becomes_one_line_of_characters_that_are_shown(text):
    assert printable(text).isprintable()
    assert printable(printable(text)) == printable(text)
    assert printable_lines(text).count("\n") == text.count("\n")
