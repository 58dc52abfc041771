"""Each frame is a line: when it was sent or came, since the trace began, and what claims it."""

from __future__ import annotations

import io
import time

import pytest

from loadgen.scenario.trace import TEXT_LENGTH, Trace


def test_times_count_from_the_beginning_and_of_a_frame_from_when_it_came(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now_s = [100.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now_s[0])
    trace = Trace(stream := io.StringIO())
    now_s[0] = 101.5
    trace.sent("request ask", "hi")
    now_s[0] = 109.0
    trace.received("echoed", {"a": 1}, 102_250_000)
    trace.received("ignored", b"\x1b[2J", 103_000_000)
    trace.note("user 0 has finished")
    assert stream.getvalue().splitlines() == [
        "   1.5000 s → request ask        hi",
        "   2.2500 s ← echoed             {'a': 1}",
        "   3.0000 s ← ignored            b'\\x1b[2J'",
        "   9.0000 s · user 0 has finished",
    ]


def test_a_long_message_is_cut_and_nothing_in_it_reaches_the_terminal() -> None:
    trace = Trace(stream := io.StringIO())
    trace.sent("send", "x" * 1000)
    trace.sent("send", "a\x1b[2J\nb")
    long, odd = stream.getvalue().splitlines()
    assert long.count("x") <= TEXT_LENGTH
    assert "\x1b" not in odd
