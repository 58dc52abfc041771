"""Sockets of a user: on a virtual clock, and a wire whose server repeats all or is mute."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from .wires import Bench


@pytest.fixture
async def echo(autojump_clock: MockClock, nursery: trio.Nursery) -> Bench:
    return Bench(nursery, is_mute=False)


@pytest.fixture
async def mute(autojump_clock: MockClock, nursery: trio.Nursery) -> Bench:
    return Bench(nursery, is_mute=True)


@pytest.fixture
async def rpc(autojump_clock: MockClock, nursery: trio.Nursery) -> Bench:
    """A server that repeats JSON."""
    return Bench(nursery, is_mute=False, json=True)
