"""Keys of a terminal change a load, and the terminal is given back as it was."""

import io
import os
import pty
import signal
import sys
import termios
from types import SimpleNamespace

import pytest
import trio

from loadgen.cli import keys as keys_module
from loadgen.cli.keys import NOTE_S, Keys, find_keys
from loadgen.signals import LAST_WORDS
from loadgen.workload.lever import Lever, NotLoading
from loadgen.workload.plan import Plan

#: A hang guard, nothing else.
PATIENCE_S = 60.0


class Run:
    """A run in its load, or one that is over."""

    def __init__(self, plan=None, *, is_over=False):
        self.lever = Lever(plan or Plan(10, rate_per_conn=2.0))
        self.is_over = is_over

    def steer(self, wanted):
        if self.is_over:
            raise NotLoading("the load is over")
        self.lever.pull(wanted, t_s=1.0, load_s=1.0)


@pytest.fixture
def interrupts(monkeypatch):
    """The signals that a key has stood for."""
    taken = []
    monkeypatch.setattr(keys_module.signals, "INTERRUPTS", SimpleNamespace(take=taken.append))
    return taken


@pytest.fixture
def terminal():
    """Both ends of a terminal: whose keys are typed, and whose are read."""
    ends = list(pty.openpty())
    yield ends
    for end in ends:
        if end >= 0:
            os.close(end)


@pytest.mark.parametrize(
    ("pressed", "factor", "paused"),
    [
        ("+", 1.1, False),
        ("=", 1.1, False),
        ("-", 0.9, False),
        ("++-", 1.1, False),
        (" ", 1.0, True),
        ("  ", 1.0, False),
        ("x\n", 1.0, False),
    ],
)
def test_each_key_does_what_the_display_says(interrupts, pressed, factor, paused):
    keys, run = Keys(-1), Run()
    for key in pressed:
        keys.press(key, run)
    assert (run.lever.factor, run.lever.is_paused) == (pytest.approx(factor), paused)
    assert interrupts == []


@pytest.mark.parametrize("key", ["q", "Q"])
def test_q_is_as_good_as_an_interrupt(interrupts, key):
    Keys(-1).press(key, Run())
    assert interrupts == [signal.SIGINT]


def test_what_a_key_could_not_do_is_told_for_some_seconds_or_until_one_can(monkeypatch):
    now_s = [100.0]
    monkeypatch.setattr(keys_module, "time", SimpleNamespace(monotonic=lambda: now_s[0]))
    keys, run = Keys(-1), Run(is_over=True)
    assert keys.note == ""
    keys.press("+", run)
    assert keys.note == "the load is over"
    now_s[0] += NOTE_S - 0.001
    assert keys.note == "the load is over"
    now_s[0] = 100.0 + NOTE_S
    assert keys.note == ""
    keys.press("+", run)
    run.is_over = False
    keys.press("+", run)
    assert keys.note == ""


@pytest.mark.parametrize(
    ("plan", "hint"),
    [
        (Plan(10), "+ - rate, space pauses, q stops"),
        (Plan(10, closed_loop=True), "space pauses, q stops"),
    ],
)
def test_a_hint_has_the_keys_that_do_something(plan, hint):
    keys, run = Keys(-1), Run(plan)
    assert keys.hint(run) == hint
    keys.press(" ", run)
    assert keys.hint(run) == hint.replace("space pauses", "space goes on")


def test_each_key_comes_at_once_within_and_the_terminal_is_as_it_was_afterwards(
    monkeypatch, terminal
):
    slave = terminal[1]
    numbers = (signal.SIGTSTP, signal.SIGQUIT, signal.SIGCONT)
    handlers = [signal.getsignal(number) for number in numbers]
    before = termios.tcgetattr(slave)
    keys = Keys(slave)
    monkeypatch.setattr(keys, "_is_ours", lambda: True)
    with keys.taken():
        mode = termios.tcgetattr(slave)
        assert not mode[3] & (termios.ICANON | termios.ECHO)
        assert mode[3] | termios.ICANON | termios.ECHO == before[3]
        assert (mode[6][termios.VMIN], mode[6][termios.VTIME]) in {(0, 0), (b"\0", b"\0")}
        assert [mode[:3], mode[4:6]] == [before[:3], before[4:6]]
        assert [signal.getsignal(number) for number in numbers] != handlers
        LAST_WORDS.give_back_terminal()
        assert termios.tcgetattr(slave) == before
        monkeypatch.setattr(sys, "stderr", shown := io.StringIO())
        shown.fileno = lambda: terminal[1]
        keys._go_on(signal.SIGCONT, None)  # as after Ctrl-Z and fg
        assert termios.tcgetattr(slave)[3] == mode[3]
        keys._go_on(signal.SIGCONT, None)  # as after kill -STOP, before which nothing is given back
    assert termios.tcgetattr(slave) == before
    assert [signal.getsignal(number) for number in numbers] == handlers
    LAST_WORDS.give_back_terminal()


def test_an_ignored_signal_stays_ignored(monkeypatch, terminal):
    monkeypatch.setattr(Keys, "_is_ours", lambda _: True)
    before = signal.signal(signal.SIGTSTP, signal.SIG_IGN)
    try:
        with Keys(terminal[1]).taken():
            assert signal.getsignal(signal.SIGTSTP) == signal.SIG_IGN
            assert signal.getsignal(signal.SIGQUIT) != signal.SIG_DFL
        assert signal.getsignal(signal.SIGTSTP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTSTP, before)


def test_a_terminal_that_is_anothers_is_left_alone(terminal):
    before = termios.tcgetattr(terminal[1])
    keys = Keys(terminal[1])  # which no terminal of ours is
    assert not keys._is_ours()
    with keys.taken():
        assert termios.tcgetattr(terminal[1]) == before


async def test_keys_are_obeyed_as_they_are_typed_until_the_terminal_is_gone(
    monkeypatch, terminal, interrupts, nursery
):
    monkeypatch.setattr(Keys, "_is_ours", lambda _: True)
    keys, run, over = Keys(terminal[1]), Run(), trio.Event()

    async def obey():
        await keys.obey(run)
        over.set()

    with trio.fail_after(PATIENCE_S), keys.taken():
        nursery.start_soon(obey)
        # Of what arrows and other keys send nothing is taken for a key of ours.
        os.write(terminal[0], b"+\x1b[A+\x1b[1;5C\x1bOq\x1b \xff+")
        while run.lever.factor < 1.25:
            await trio.sleep(0.01)
        assert (run.lever.factor, run.lever.is_paused) == (pytest.approx(1.3), False)
        os.write(terminal[0], b"q")
        while not interrupts:
            await trio.sleep(0.01)
        assert not over.is_set()

        def fail(*_):
            raise OSError

        monkeypatch.setattr(keys_module.os, "read", fail)
        os.write(terminal[0], b"+")
        await over.wait()
        assert run.lever.factor == pytest.approx(1.3)


async def test_while_the_terminal_is_anothers_keys_are_its_own(
    monkeypatch, terminal, autojump_clock, nursery
):
    is_ours, takes = [False], []
    keys, run = Keys(terminal[1]), Run()
    monkeypatch.setattr(keys, "_is_ours", lambda: is_ours[0])
    monkeypatch.setattr(keys, "_take", lambda: takes.append(trio.current_time()))
    nursery.start_soon(keys.obey, run)
    os.write(terminal[0], b"+\x1b[A+\x1b[1;5C\x1bOq\x1b \xff+")
    await trio.sleep(10)
    assert (run.lever.factor, takes) == (1.0, [])
    is_ours[0] = True
    await trio.sleep(10)
    assert len(takes) == 1


class Stream:
    """A standard stream, of a terminal or not."""

    def __init__(self, *, is_terminal):
        self._is_terminal = is_terminal

    def isatty(self):
        return self._is_terminal


@pytest.mark.parametrize(
    ("available", "stdin", "stderr", "from_stdin", "found"),
    [
        (True, True, True, False, True),
        (False, True, True, False, False),
        (True, False, True, False, False),
        (True, True, False, False, False),
        (True, None, True, False, False),
        (True, True, True, True, False),
    ],
)
def test_there_are_keys_where_there_is_a_terminal_that_nothing_else_is_read_from(
    monkeypatch, tmp_path, available, stdin, stderr, from_stdin, found
):
    (tmp_path / "messages").write_text("m")
    monkeypatch.setattr(keys_module, "AVAILABLE", available)
    streams = {"stdin": stdin, "stderr": stderr}
    for name, is_terminal in streams.items():
        stream = None if is_terminal is None else Stream(is_terminal=is_terminal)
        monkeypatch.setattr(sys, name, stream)
    monkeypatch.setattr(keys_module.os.path, "samestat", lambda *_: from_stdin)
    for file in (tmp_path / "messages", tmp_path / "gone"):
        plan = SimpleNamespace(message_file=file)
        made = find_keys(plan)
        assert (made is not None) is (found or (file.name == "gone" and from_stdin))
    made = find_keys(SimpleNamespace(message_file=None))
    assert (made is not None) is (found or from_stdin)
