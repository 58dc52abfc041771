"""Change a load by keys while it runs on a terminal: + and -, space, q.

The terminal is asked to hand over each key at once, and not to show it; signals of Ctrl-C and
Ctrl-Z stay as they are. It is given back in every end of the process that a process can notice,
also in a second Ctrl-C, and while the process is stopped by Ctrl-Z.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

import trio

from loadgen import signals
from loadgen.engine.running import Running
from loadgen.workload.lever import BadChange, NotLoading, Wanted

if TYPE_CHECKING:
    from loadgen.workload.plan import Plan

try:
    import termios
except ImportError:  # Windows, whose terminals are others.
    AVAILABLE = False
else:
    AVAILABLE = hasattr(os, "tcgetpgrp")

#: What a key that is not to be had now says is shown so long.
NOTE_S: Final = 3.0
#: The interval of looking whether the terminal is ours again, when it is not.
AWAY_S: Final = 0.2
_STDIN: Final = 0
#: The index of the local modes in what `tcgetattr` returns, and of the special characters.
_LOCAL, _CHARACTERS = 3, 6
#: What arrows and other keys send that are none of ours: letters and signs are among it.
_SEQUENCE: Final = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|O.|.)?", re.DOTALL)
_HIDE_CURSOR: Final = b"\x1b[?25l"
_SHOW_CURSOR: Final = b"\x1b[?25h"


def find_keys(plan: Plan) -> Keys | None:
    """Make the keys of a run, if there is a terminal that they can come from."""
    if not AVAILABLE or not (sys.stdin and sys.stdin.isatty() and sys.stderr.isatty()):
        return None
    if plan.message_file is not None:
        with suppress(OSError):
            if os.path.samestat(os.stat(plan.message_file), os.fstat(_STDIN)):  # noqa: PTH116
                return None  # Its messages come from there.
    return Keys(_STDIN)


class Keys:
    """The keys of a terminal, while `taken` lasts.

    :ivar note: what a key could not do, for some seconds; empty for nothing.
    """

    def __init__(self, descriptor: int) -> None:
        self._terminal = descriptor
        self._saved: list[Any] | None = None
        self._note = ""
        self._noted_s = 0.0

    # -- The terminal ------------------------------------------------------------------------

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Have each key at once within this block; to be entered in the main thread."""
        handlers: dict[int, Callable[[int, FrameType | None], None]] = {}
        if sys.platform != "win32":
            handlers = {
                signal.SIGTSTP: self._pass_on,
                signal.SIGQUIT: self._pass_on,
                signal.SIGCONT: self._go_on,
            }
        # Leave an ignored signal ignored: a shell without job control asks for it.
        before = {
            number: signal.signal(number, handler)
            for number, handler in handlers.items()
            if signal.getsignal(number) != signal.SIG_IGN
        }
        signals.LAST_WORDS.give_back_terminal = self._give_back
        self._take()
        try:
            yield
        finally:
            signals.LAST_WORDS.give_back_terminal = lambda: None
            self._give_back()
            for number, handler in before.items():
                signal.signal(number, handler)

    def _is_ours(self) -> bool:
        """Tell whether this process is in the terminal's foreground: others would be stopped."""
        if sys.platform != "win32":
            with suppress(OSError):  # The terminal is gone.
                return os.tcgetpgrp(self._terminal) == os.getpgrp()
        return False

    def _take(self) -> None:
        if sys.platform != "win32" and self._is_ours():
            with suppress(termios.error):
                mode = termios.tcgetattr(self._terminal)
                if self._saved is None:
                    self._saved = [*mode[:_CHARACTERS], [*mode[_CHARACTERS]]]
                mode[_LOCAL] &= ~(termios.ICANON | termios.ECHO)
                # A read never blocks, whoever else takes the key.
                mode[_CHARACTERS][termios.VMIN] = mode[_CHARACTERS][termios.VTIME] = 0
                # Now, not when the output has drained: Ctrl-S may keep it from that.
                termios.tcsetattr(self._terminal, termios.TCSANOW, mode)

    def _give_back(self) -> None:
        if sys.platform != "win32" and self._saved is not None and self._is_ours():
            with suppress(termios.error):
                termios.tcsetattr(self._terminal, termios.TCSANOW, self._saved)

    def _pass_on(self, number: int, _: FrameType | None) -> None:
        """Stop, or end, as the signal says, with the terminal as it was."""
        self._give_back()
        self._show(_SHOW_CURSOR)
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
        # Here it goes on after SIGCONT.
        signal.signal(number, self._pass_on)
        self._go_on(number, None)

    def _go_on(self, _: int, __: FrameType | None) -> None:
        """Take the terminal again, if the shell has given it to this process."""
        self._take()
        if self._is_ours():
            self._show(_HIDE_CURSOR)

    @staticmethod
    def _show(sequence: bytes) -> None:
        with suppress(OSError):
            os.write(sys.stderr.fileno(), sequence)

    # -- What the keys do --------------------------------------------------------------------

    def hint(self, run: Running) -> str:
        """Say what the keys do."""
        rate = "" if run.lever.unit is None else "+ - rate, "
        return f"{rate}space {'goes on' if run.lever.is_paused else 'pauses'}, q stops"

    @property
    def note(self) -> str:
        """Return what a key could not do a moment ago."""
        return self._note if time.monotonic() < self._noted_s + NOTE_S else ""

    async def obey(self, run: Running) -> None:
        """Do what each key says, until the terminal is gone or this is cancelled."""
        is_away = False
        while True:
            if not self._is_ours():
                is_away = True
                await trio.sleep(AWAY_S)
                continue
            if is_away:
                is_away = False
                self._take()
            try:
                await trio.lowlevel.wait_readable(self._terminal)
            except OSError:  # kqueue does not know every terminal; a read never waits.
                await trio.sleep(AWAY_S)
            if not self._is_ours():
                continue
            try:
                pressed = os.read(self._terminal, 64)
            except OSError:
                return
            if not pressed:  # Somebody else took it, or the terminal is gone.
                await trio.sleep(AWAY_S)
            for key in _SEQUENCE.sub(b"", pressed).decode("ascii", "ignore"):
                self.press(key, run)

    def press(self, key: str, run: Running) -> None:
        """Do what a key says; one without a meaning does nothing."""
        match key:
            case "+" | "=":  # The same key, where + takes Shift.
                self._steer(run, run.lever.step(1))
            case "-":
                self._steer(run, run.lever.step(-1))
            case " ":
                self._steer(run, Wanted(paused=not run.lever.is_paused))
            case "q" | "Q":
                signals.INTERRUPTS.take(signal.SIGINT)

    def _steer(self, run: Running, wanted: Wanted) -> None:
        try:
            run.steer(wanted)
        except (BadChange, NotLoading) as exc:
            self._note, self._noted_s = str(exc), time.monotonic()
        else:
            self._note = ""
