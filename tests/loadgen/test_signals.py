import os

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
