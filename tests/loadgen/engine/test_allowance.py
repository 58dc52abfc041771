"""What a server may send is bounded by the plan, and never to less than a reply to our own."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from echo_trio.wire import process
from loadgen.engine.allowance import make_budget, make_limits
from loadgen.workload.plan import Plan

MIB = 2**20
#: What a message gets longer by: numbers of more digits, and what a server adds.
SPARE = 1024


def payloads_of(message: str | bytes) -> Any:
    """Make payloads whose first message is this: to read a large template takes seconds."""
    return SimpleNamespace(render=lambda conn, seq: message if (conn, seq) == (0, 0) else "")


@pytest.mark.parametrize(
    ("own", "most"),
    [
        (32, 16 * MIB),
        (8 * MIB - SPARE, 16 * MIB),
        (8 * MIB - SPARE + 2, 16 * MIB + 4),
        (10 * MIB, 20 * MIB + 2 * SPARE),
    ],
)
@pytest.mark.parametrize("letter", ["x", "é", b"\xff"])
def test_a_message_of_a_server_may_be_twice_as_long_as_ours_and_16_mib(own, most, letter):
    times = own // len(letter if isinstance(letter, bytes) else letter.encode())
    limits = make_limits(Plan(1, stop_timeout_s=7.5), payloads_of(letter * times))
    assert (limits.max_message_bytes, limits.close_timeout_s) == (most, 7.5)


@pytest.mark.parametrize("count", [1, 47, 48, 49, 1000])
@pytest.mark.parametrize("memory_mib", [64, 192, 196, 10_000])
def test_all_sockets_hold_48_mib_or_one_each_up_to_a_quarter_of_the_machine_and_their_replies(
    monkeypatch, count, memory_mib
):
    monkeypatch.setattr(process, "machine_memory_bytes", lambda: memory_mib * MIB)
    budget = make_budget(Plan(count), payloads_of("x" * 100))
    shared_mib = max(48, min(count, memory_mib / 4))
    assert budget.max_bytes == shared_mib * MIB + count * 2 * (100 + SPARE)
    assert not budget.counts_unsent
