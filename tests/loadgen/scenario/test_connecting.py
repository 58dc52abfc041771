"""Test that a user's socket gives back its place to open; its headers go before the run's."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from loadgen.engine.gate import Gate
from loadgen.results.ledger import Failure, Ledger
from loadgen.scenario.connecting import Connecting
from loadgen.scenario.errors import ConnectFailed
from loadgen.workload.plan import Plan

TIMEOUT_S = 3.0


def make_user(**settings: Any) -> Any:
    plan = Plan(2, "ws://h:9/", scenario="s.py", connect_concurrency=1,
                connect_timeout_s=TIMEOUT_S, **settings)  # fmt: skip
    context = SimpleNamespace(
        plan=plan, gate=Gate(plan), ledger=Ledger(0),
        run=SimpleNamespace(subprotocols=plan.subprotocols, extensions=()),
    )  # fmt: skip
    return SimpleNamespace(context=context, is_awaited=False)


def connect(user: Any, headers: Any = ()) -> Connecting:
    return Connecting(user, "", headers, (), json=True)


@pytest.mark.parametrize("is_awaited", [False, True])
async def test_the_place_of_a_socket_that_opens_or_does_not_is_given_back(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock, is_awaited: bool
) -> None:
    async def open_it(connecting: Connecting, _: object) -> Any:
        assert limiter.borrowed_tokens == (0 if is_awaited else 1)  # A user may have its own.
        if outcomes.pop(0) is not None:
            raise ConnectFailed("refused")
        return connecting

    user, outcomes = make_user(), [None, "refused", None]
    user.is_awaited = is_awaited
    limiter = user.context.gate.limiter
    monkeypatch.setattr(Connecting, "_open", open_it)
    handshake: Any = None
    for fails in (False, True, False):
        one = connect(user)
        if fails:
            with pytest.raises(ConnectFailed):
                await one._open_in_time(handshake)
        else:
            assert await one._open_in_time(handshake) is one
        assert limiter.borrowed_tokens == 0


async def test_the_place_of_a_socket_that_is_called_off_is_given_back(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """While it waits for a place, for its turn to connect, and for the answer."""

    async def open_never(*_: object) -> None:
        await trio.sleep_forever()

    user, handshake = make_user(connect_rate=0.1), SimpleNamespace()
    gate = user.context.gate
    monkeypatch.setattr(Connecting, "_open", open_never)
    for waits_for in ("answer", "turn", "place"):
        if waits_for == "place":
            gate.limiter.acquire_on_behalf_of_nowait(object())
        with trio.move_on_after(1.0):
            await connect(user)._open_in_time(handshake)
        assert gate.limiter.borrowed_tokens == (waits_for == "place")
    assert user.context.ledger.failed.total() == 0


async def test_the_time_to_open_counts_from_when_a_place_was_had(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    async def open_never(*_: object) -> None:
        await trio.sleep_forever()

    async def try_one() -> None:
        with pytest.raises(ConnectFailed, match="no answer within 3 s"):
            await connect(user)._open_in_time(handshake)
        ended_s.append(trio.current_time() - began_s)

    user, handshake = make_user(), SimpleNamespace()
    began_s, ended_s = trio.current_time(), list[float]()
    monkeypatch.setattr(Connecting, "_open", open_never)
    async with trio.open_nursery() as both:
        for _ in range(2):
            both.start_soon(try_one)
        with trio.fail_after(10 * TIMEOUT_S):
            while len(ended_s) < 2:
                await trio.sleep(TIMEOUT_S / 8)
    assert ended_s == pytest.approx([TIMEOUT_S, 2 * TIMEOUT_S], abs=0.01)
    assert user.context.ledger.failed == {Failure.TIMEOUT: 2}


def test_a_scripts_own_header_takes_the_place_of_the_runs() -> None:
    user = make_user(headers=(("X-Token", "runs"), ("X-Other", "kept")), origin="https://runs")
    lines = connect(user, {"x-token": "own", "Origin": "https://own"})._shape_handshake()
    request = lines.request("KEY").decode()
    assert "x-token: own" in request
    assert "X-Other: kept" in request
    assert "runs" not in request
