"""Say how a socket has ended, from what its connection knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from echo_trio.printable import printable
from echo_trio.wire.close_codes import ABNORMAL_CLOSURE, MESSAGE_TOO_BIG
from loadgen.results.ledger import Ending

if TYPE_CHECKING:
    from echo_trio.wire.connection import Connection


def ending_of(connection: Connection) -> Ending:
    """Say how a socket that had opened has ended."""
    if connection.failure is not None or connection.evicted:
        return Ending.ABNORMAL
    if connection.closed_first == "peer":
        return Ending.BY_PEER
    if connection.clean:
        return Ending.CLEAN
    if connection.timed_out is not None:
        return Ending.TIMEOUT
    return Ending.ABNORMAL


def close_code_of(connection: Connection) -> int:
    """Return the peer's code; ours, if the peer broke the protocol; 1006 without a close frame."""
    if connection.evicted:
        return MESSAGE_TOO_BIG  # All that it sent at once, that is.
    if connection.failure is not None:
        return connection.close_code
    return ABNORMAL_CLOSURE if connection.close_received is None else connection.close_received


def show_code_of(connection: Connection) -> str:
    """Write the peer's close code, and its reason, if it gave one."""
    closed = connection.closed
    reason = None if closed is None else closed.reason
    return f"{close_code_of(connection)}{f': {printable(reason, at_most=200)}' if reason else ''}"
