"""Bound what a server may send and what is kept, so that no server can use up this machine.

A message that is still arriving is kept until it is whole. Its length is bounded for each socket;
the bytes kept for all sockets of a run are bounded together (`echo_trio.wire.budget`): above that
the socket that holds most is closed.
"""

from __future__ import annotations

from typing import Final

from echo_trio.wire import process
from echo_trio.wire.budget import Budget
from echo_trio.wire.limits import Limits
from loadgen.workload.payloads import Payloads
from loadgen.workload.plan import Plan

#: The largest message: larger than those that servers send unasked. Our own may be larger, and may
#: come back with what the server adds.
MAX_MESSAGE_BYTES: Final = 16 * 2**20
#: The bytes held for all sockets, of messages that have not arrived whole: with copies of some
#: while they become text, this is less than 128 MiB of memory.
MAX_HELD_BYTES: Final = 48 * 2**20
#: The bytes that each of many sockets may hold beyond that, if the machine has four times as much.
HELD_BYTES_PER_SOCKET: Final = 2**20
MEMORY_SHARE: Final = 4


def make_limits(plan: Plan, payloads: Payloads) -> Limits:
    """Make the limits of each connection of a plan."""
    return Limits(
        max_message_bytes=max(MAX_MESSAGE_BYTES, 2 * _largest(payloads)),
        close_timeout_s=plan.stop_timeout_s,
    )


def make_budget(plan: Plan, payloads: Payloads) -> Budget:
    """Make the budget of bytes that all connections of a plan may hold together.

    Each may hold a reply to one of our messages, however large that is: a plan with a thousand
    messages of a megabyte at once asks for that memory, too (see preflight).
    """
    spare = min(plan.count * HELD_BYTES_PER_SOCKET, process.machine_memory_bytes() // MEMORY_SHARE)
    own = plan.count * 2 * _largest(payloads)
    return Budget(max(MAX_HELD_BYTES, spare) + own, counts_unsent=False)


def _largest(payloads: Payloads) -> int:
    message = payloads.render(0, 0)
    size = len(message) if isinstance(message, bytes) else len(message.encode())
    return size + 1024  # Numbers that get longer, and what a server adds.
