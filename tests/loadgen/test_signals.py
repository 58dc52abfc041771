import os

import pytest

from loadgen import signals


def test_the_cursor_is_shown_again_before_the_end(monkeypatch):
    controller, terminal = os.openpty()
    with os.fdopen(terminal, "w") as stderr:
        monkeypatch.setattr(signals.sys, "stderr", stderr)
        signals.INTERRUPTS._last_words(2)
        assert os.read(controller, 100).startswith(b"\x1b[?25h")
    os.close(controller)


def test_nothing_is_shown_where_there_is_no_terminal(monkeypatch, tmp_path):
    with (tmp_path / "stderr").open("w") as stderr:
        monkeypatch.setattr(signals.sys, "stderr", stderr)
        signals.show_cursor()
    assert (tmp_path / "stderr").read_bytes() == b""


@pytest.mark.parametrize("journal", [None, "/x/run.journal"])
def test_the_last_words_give_the_terminal_back_and_say_where_the_measurements_are(
    monkeypatch, tmp_path, journal
):
    words, told, lengths = signals.LastWords(), tmp_path / "stderr", []
    with told.open("w") as stderr:
        monkeypatch.setattr(signals.sys, "stderr", stderr)
        # Before anything is said: it is said on that terminal.
        words.give_back_terminal = lambda: lengths.append(told.stat().st_size)
        words.journal = lambda: journal
        words(2)
    assert lengths == [0]
    line = f"loadgen: ended at once; what was measured is in {journal}: loadgen recover\n"
    assert told.read_text() == (line if journal else "")
