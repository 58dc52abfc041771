"""A first signal asks, a second one ends the process."""

import os
import signal

import pytest

from echo_trio.interrupts import HANG_UPS, REQUESTS_TO_STOP, Interrupts


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
def told():
    """The signals that were told of as the last thing."""
    return []


@pytest.fixture
def listening(told):
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    caught = Interrupts(130, told.append)
    assert caught.listen(*before) == before
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


def test_the_second_signal_ends_the_process_at_once(listening, exits, told):
    stopped = []
    with listening.stopping(lambda: stopped.append("run")):
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(Left):
            signal.raise_signal(signal.SIGTERM)
    assert stopped == ["run"]
    assert (exits, told) == ([130], [signal.SIGTERM])


def test_the_process_ends_also_if_the_last_words_fail(exits):
    interrupts = Interrupts(1, lambda number: 1 / 0)
    interrupts.take(signal.SIGTERM)
    assert interrupts.received == signal.SIGTERM
    with pytest.raises(Left):
        interrupts.take(signal.SIGALRM)
    assert exits == [1]


def test_a_hang_up_counts_once_and_never_ends_the_process(listening, exits):
    stopped = []
    with listening.stopping(lambda: stopped.append("run")):
        listening.take_hang_up(signal.SIGHUP)
        listening.take_hang_up(signal.SIGHUP)
    assert (listening.received, stopped, exits) == (signal.SIGHUP, ["run"], [])


def test_a_fork_forgets_what_its_parent_was_told(listening, exits):
    stopped = []
    with listening.stopping(lambda: stopped.append("the parent's")):
        listening.forget()
        signal.raise_signal(signal.SIGINT)
    assert (listening.received, stopped, exits) == (signal.SIGINT, [], [])


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="Windows has other signals")
def test_what_asks_to_stop_and_what_hangs_up_are_known_by_their_signals():
    assert REQUESTS_TO_STOP == (signal.SIGINT, signal.SIGTERM)
    assert HANG_UPS == (signal.SIGHUP,)
