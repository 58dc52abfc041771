"""A connection may hold as much as it needs to go on, and not much more."""

from __future__ import annotations

import pytest

from echo_trio.wire.limits import Limits


@pytest.mark.parametrize(("message", "held"), [(0, 65536), (1, 65538), (2**20, 2**21 + 65536)])
def test_a_connection_may_hold_a_message_each_way_and_a_read(message: int, held: int) -> None:
    assert Limits(max_message_bytes=message).max_held_bytes == held
