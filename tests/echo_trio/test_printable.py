import json
import re
import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from echo_trio.printable import disarm, printable, printable_lines

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


#: What GitHub's runner looks for (`ActionCommand.cs`): the first anywhere in a line, the second at
#: its beginning, spaces aside.
RUNNER = re.compile(
    r"##\[(\w[\w-]*)[^]]*\]|^\s*::(add-mask|debug|echo|error|group|set-env|stop-commands)\b.*?::",
    re.MULTILINE,
)
COMMANDS = st.sampled_from(
    ["##[error]", "##[add-mask]x", "::error::", "::group::", "::stop-commands::", "#", "[", ":"]
)
FORGED = st.lists(st.one_of(COMMANDS, st.text("a #:[]-\n", max_size=5))).map("".join)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("##[error]you", r"\x23#[error]you"),
        ("###[add-mask]a", r"#\x23#[add-mask]a"),
        ("##vso[task.setvariable]", r"\x23#vso[task.setvariable]"),
        ("::error title=x::you", r"\x3a:error title=x\x3a:you"),
        (":::set-env name=PATH::x", r":\x3a:set-env name=PATH\x3a:x"),
        ("ends with ##", r"ends with \x23#"),
        ("## a heading, C##, fe80::1, [::1]:80, ::ffff:1.2.3.4, a::", None),
    ],
)
def test_what_the_log_of_a_ci_job_would_obey_is_written_out(text, shown):
    assert printable(text) == shown or (shown is None and printable(text) == text)


@given(FORGED)
def test_no_line_of_a_shown_text_is_a_command_however_it_is_wrapped(text):
    for shown in (printable(text), printable_lines(text)):
        assert not RUNNER.search(shown)
        assert not RUNNER.search(textwrap.fill(shown, 9, initial_indent="  "))
    assert printable(printable(text)) == printable(text)


@given(FORGED)
def test_json_that_is_disarmed_says_the_same(text):
    line = disarm(json.dumps({"text": text}), r"\u00")
    assert json.loads(line) == {"text": text}
    assert not RUNNER.search(line)
