"""A process ends when it is asked to, also one that is stuck."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from trio.testing import wait_all_tasks_blocked

from echo_trio import signals

STUCK = """
import sys, time, trio
from echo_trio import signals

async def main():
    with signals.stopping(
        drain=lambda name, late_s: None,
        reload=lambda: None,
        give_up=lambda why: print(why, flush=True),
        budget_s=float(sys.argv[1]),
    ):
        print("stuck", flush=True)
        time.sleep(600)

trio.run(main)
"""


@pytest.mark.parametrize(
    ("budget_s", "numbers", "why"),
    [
        ("0.05", [signal.SIGTERM], "the drain hangs"),
        ("1e300", [signal.SIGTERM, signal.SIGINT], "a second signal"),
    ],
    ids=["time", "a second signal"],
)
def test_a_stuck_loop_is_ended_with_status_1(
    budget_s: str, numbers: list[signal.Signals], why: str
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", STUCK, budget_s], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "stuck\n"
        # A first signal between the line and the sleep would be heard only after the sleep.
        while Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] != "S":
            os.sched_yield()
        for number in numbers:
            process.send_signal(number)
        assert process.communicate(timeout=60) == (f"{why}\n", None)
        assert process.returncode == 1
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    ("terminal", "ignored", "hang_up"),
    [
        ([False, False], False, "reload"),
        ([True, True], False, "reload"),
        ([True, False], False, "SIGHUP"),
        ([True, False], True, "reload"),
    ],
    ids=["none", "there", "lost", "lost, with nohup"],
)
async def test_each_signal_is_what_it_means_and_its_handler_is_given_back(
    monkeypatch: pytest.MonkeyPatch, terminal: list[bool], ignored: bool, hang_up: str
) -> None:
    now_s, told = [100.0], list[object]()
    monkeypatch.setattr(signals, "_has_terminal", lambda: terminal.pop(0) if terminal else False)
    monkeypatch.setattr(signals, "time", SimpleNamespace(monotonic=lambda: now_s[0]))
    at_first = signal.getsignal(signal.SIGHUP)
    signal.signal(signal.SIGHUP, signal.SIG_IGN if ignored else signal.SIG_DFL)
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM)
    before = [signal.getsignal(number) for number in numbers]
    try:
        with signals.stopping(
            drain=lambda name, late_s: told.append((name, late_s)),
            reload=lambda: told.append("reload"),
            give_up=told.append,
            budget_s=1e300,
        ):
            signal.raise_signal(signal.SIGHUP)
            await wait_all_tasks_blocked()
            assert told == ["reload" if hang_up == "reload" else ("SIGHUP", 0.0)]
            if hang_up == "reload":
                signal.raise_signal(signal.SIGTERM)
                now_s[0] = 102.5
                await wait_all_tasks_blocked()
                assert told == ["reload", ("SIGTERM", 2.5)]
            beat_s = signal.getitimer(signal.ITIMER_REAL)[1]
            assert beat_s == pytest.approx(0.25)
            del told[:]
            signal.raise_signal(signal.SIGHUP)
            await wait_all_tasks_blocked()
            assert told == []
        assert [signal.getsignal(number) for number in numbers] == before
        assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    finally:
        signal.signal(signal.SIGHUP, at_first)


def test_a_hang_up_does_not_end_a_process_that_wants_to_outlive_it() -> None:
    at_first = signal.getsignal(signal.SIGHUP)
    try:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        signals.outlive_hang_ups()
        signal.raise_signal(signal.SIGHUP)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does, for its children too
        signals.outlive_hang_ups()
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, at_first)


@pytest.mark.parametrize("after_s", [0.0, 0.125, 5.0])
def test_an_alarm_rings_when_its_time_is_up_and_is_looked_at_in_a_beat(
    monkeypatch: pytest.MonkeyPatch, after_s: float
) -> None:
    now_s, rung = [100.0], list[float]()
    monkeypatch.setattr(signals, "time", SimpleNamespace(monotonic=lambda: now_s[0]))
    alarm = signals._Alarm(lambda: rung.append(now_s[0]))
    (handler,) = alarm.listen().values()
    beats = list[tuple[float, float]]()
    monkeypatch.setattr(signal, "setitimer", lambda _, *beat: beats.append(beat))
    try:
        alarm.set(after_s)
        assert beats == [(min(max(after_s, 0.001), 0.25), 0.25)]
        if after_s:
            now_s[0] += after_s - 0.001
            signal.raise_signal(signal.SIGALRM)
            assert rung == []
        now_s[0] = 100.0 + after_s
        signal.raise_signal(signal.SIGALRM)
        assert rung == [now_s[0]]
        alarm.cancel()
        assert beats[1:] == [(0,)]
    finally:
        signal.signal(signal.SIGALRM, handler)
