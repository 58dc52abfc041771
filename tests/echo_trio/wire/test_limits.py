"""A connection may hold as much as it needs to go on, and not much more."""

from __future__ import annotations

import pytest

from echo_trio.wire.limits import BULK_RECEIVE_BYTES, RECEIVE_BYTES, Limits


@pytest.mark.parametrize(("message", "held"), [(0, 65536), (1, 65538), (2**20, 2**21 + 65536)])
def test_a_connection_may_hold_a_message_each_way_and_a_read(message: int, held: int) -> None:
    assert Limits(max_message_bytes=message).max_held_bytes == held


def test_a_connection_is_allowed_what_nobody_has_set_otherwise() -> None:
    assert Limits() == Limits(
        max_message_bytes=1_048_576, write_timeout_s=10.0, close_timeout_s=10.0,
        ping_interval_s=0.0, ping_timeout_s=0.0, idle_timeout_s=0.0,
    )  # fmt: skip


def test_one_read_takes_a_message_of_64_kib_with_its_header_or_its_echo_with_its_own() -> None:
    payload, header, mask, suffix = 65_536, 10, 4, len(" 999999")
    assert payload + max(header + mask, header + suffix) <= RECEIVE_BYTES
    assert RECEIVE_BYTES - payload < 100
    assert 4 * payload == BULK_RECEIVE_BYTES
