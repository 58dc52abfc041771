import os
import signal

import pytest

from loadgen import signals
from loadgen.signals import Interrupts


class Left(Exception):
    """The process has ended."""


@pytest.fixture
def exits(monkeypatch):
    """The codes with which the process would have ended."""
    codes = []

    def leave(code):
        codes.append(code)
        raise Left

    monkeypatch.setattr(os, "_exit", leave)
    return codes


@pytest.fixture
def listening():
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    caught = Interrupts()
    caught.listen()
    yield caught
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_stops_the_run(listening, exits, number):
    stopped = []
    with listening.stopping(lambda: stopped.append("run")):
        signal.raise_signal(number)
    assert stopped == ["run"]
    assert exits == []


def test_a_signal_before_the_run_is_kept_for_it(listening):
    signal.raise_signal(signal.SIGINT)
    stopped = []
    with listening.stopping(lambda: stopped.append("run")):
        assert stopped == ["run"]


def test_a_first_signal_after_the_run_changes_nothing(listening, exits):
    stopped = []
    with listening.stopping(lambda: stopped.append("run")):
        pass
    signal.raise_signal(signal.SIGINT)
    assert (stopped, exits) == ([], [])


def test_the_second_signal_ends_the_process_at_once(listening, exits):
    stopped = []
    with listening.stopping(lambda: stopped.append("run")):
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(Left):
            signal.raise_signal(signal.SIGTERM)
    assert stopped == ["run"]
    assert exits == [130]


def test_the_cursor_is_shown_again_before_the_end(exits, monkeypatch):
    controller, terminal = os.openpty()
    with os.fdopen(terminal, "w") as stderr:
        monkeypatch.setattr(signals.sys, "stderr", stderr)
        caught = Interrupts()
        caught.take()
        with pytest.raises(Left):
            caught.take()
        assert os.read(controller, 100).startswith(b"\x1b[?25h")
    os.close(controller)
    assert exits == [130]
