"""Test that a user's socket gives back its place to open; its headers go before the run's."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from loadgen.engine.books import Books
from loadgen.engine.gate import Gate
from loadgen.engine.proxy import ProxyRefused
from loadgen.results.ledger import Failure, Ledger
from loadgen.scenario import connecting
from loadgen.scenario.connecting import Connecting
from loadgen.scenario.errors import ConnectFailed
from loadgen.workload.plan import Plan

TIMEOUT_S = 3.0


def make_user(**settings: Any) -> Any:
    plan = Plan(2, "ws://h:9/", scenario="s.py", connect_concurrency=1,
                connect_timeout_s=TIMEOUT_S, **settings)  # fmt: skip
    context = SimpleNamespace(
        plan=plan, gate=Gate(plan), ledger=Ledger(0),
        run=SimpleNamespace(subprotocols=plan.subprotocols, extensions=(), requests=[plan.request],
                            resources=["/"], books=Books(Ledger(0))),
    )  # fmt: skip
    context.ledger = context.run.ledger = context.run.books.ledger
    return SimpleNamespace(context=context, is_awaited=False)


def connect(
    user: Any, headers: Any = (), url: str = "", subprotocols: tuple[str, ...] = ()
) -> Connecting:
    return Connecting(user, url, headers, subprotocols, json=True)


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
    ledger = user.context.ledger
    assert (ledger.failed, ledger.settled) == ({Failure.TIMEOUT: 2}, 2)


async def test_the_time_to_open_counts_from_when_it_is_its_turn_to_connect(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    async def open_late(*_: object) -> str:
        await trio.sleep(TIMEOUT_S * 0.75)
        return "connection"

    monkeypatch.setattr(Connecting, "_open", open_late)
    user, handshake = make_user(connect_rate=0.5 / TIMEOUT_S), SimpleNamespace()
    began_s = trio.current_time()
    for _ in range(3):
        opened: Any = await connect(user)._open_in_time(handshake)
        assert opened == "connection"
    assert trio.current_time() - began_s == pytest.approx(4.75 * TIMEOUT_S, abs=0.01)
    assert user.context.ledger.settled == 0


def test_a_scripts_own_header_takes_the_place_of_the_runs() -> None:
    user = make_user(headers=(("X-Token", "runs"), ("X-Other", "kept")), origin="https://runs")
    lines = connect(user, {"x-token": "own", "Origin": "https://own"})._shape_handshake()
    request = lines.request("KEY").decode()
    assert "x-token: own" in request
    assert "X-Other: kept" in request
    assert "runs" not in request


@pytest.mark.parametrize(
    ("url", "resource"),
    [("", "/"), ("/chat?a=1", "/chat?a=1"), ("room", "/room"), ("ws://h:9/x", "/x"),
     ("ws://H:9/x", "/x")],
)  # fmt: skip
def test_a_socket_may_go_to_any_path_of_the_runs_target(url: str, resource: str) -> None:
    user = make_user(subprotocols=("runs",))
    asked = connect(user, {"X": "1"}, url)._shape_handshake()
    assert (asked.resource, asked.subprotocols) == (resource, ("runs",))
    assert asked.request("KEY").decode().startswith(f"GET {resource} HTTP/1.1\r\nHost: h:9\r\n")


@pytest.mark.parametrize("url", ["ws://h:8/", "ws://h/", "wss://h:9/", "ws://other:9/"])
def test_a_socket_goes_to_no_other_host_port_or_scheme(url: str) -> None:
    with pytest.raises(ValueError, match="a run has one host, h"):
        connect(make_user(), (), url)._shape_handshake()


@pytest.mark.parametrize("name", ["Connection", "sec-websocket-key", "Content-Length"])
def test_a_script_sets_no_header_that_makes_the_handshake_one(name: str) -> None:
    with pytest.raises(ValueError, match=f"can't set {name}"):
        connect(make_user(), {name: "x"})._shape_handshake()


def test_a_sockets_own_subprotocols_are_offered_instead_of_the_runs() -> None:
    asked = connect(make_user(subprotocols=("runs",)), (), "", ("b", "a"))._shape_handshake()
    assert asked.subprotocols == ("b", "a")
    lines = asked.request("KEY").decode().split("\r\n")
    assert [line for line in lines if "Protocol" in line] == ["Sec-WebSocket-Protocol: b, a"]


async def test_a_socket_that_opens_is_counted_with_the_time_that_it_took(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def open_with(*_: object) -> tuple[str, int]:
        return "connection", 1234

    monkeypatch.setattr(connecting, "open_with", open_with)
    user, handshake = make_user(), SimpleNamespace()
    opened: Any = await connect(user)._open(handshake)
    books = user.context.run.books
    assert (opened, books.ledger.opened, books.ledger.peak_open) == ("connection", 1, 1)
    assert books.connect.end_second().sum_us == 1234


async def test_why_a_socket_did_not_open_is_said_whatever_has_failed_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def open_with(*_: object) -> None:
        raise failures.pop(0)

    failures = [ConnectionRefusedError(111, "no"), ProxyRefused("HTTP 407"), OSError(98, "used")]
    monkeypatch.setattr(connecting, "open_with", open_with)
    user, said = make_user(), []
    handshake: Any = SimpleNamespace()
    for _ in range(3):
        with pytest.raises(ConnectFailed) as caught:
            await connect(user)._open(handshake)
        said.append(str(caught.value).partition(":")[0])
    assert said == ["refused", "rejected", "address in use"]
    assert user.context.ledger.failed == {
        Failure.REFUSED: 1, Failure.REJECTED: 1, Failure.ADDRESS_IN_USE: 1
    }  # fmt: skip


async def test_a_block_has_its_own_socket_which_is_served_and_closed_with_it(
    monkeypatch: pytest.MonkeyPatch, nursery: trio.Nursery
) -> None:
    class Recorded(SimpleNamespace):
        def __init__(self, user: Any, connection: Any, conn: int, *, json: bool) -> None:
            super().__init__(made_of=(user, connection, conn, json), did=list[str]())

        async def serve(self) -> None:
            self.did.append("served")

        async def aclose(self) -> None:
            self.did.append("closed")

    async def open_with(_: object, handshake: Any) -> tuple[Any, int]:
        return handshake, 1

    monkeypatch.setattr(connecting, "open_with", open_with)
    monkeypatch.setattr(connecting, "Socket", Recorded)
    user, numbers = make_user(subprotocols=("runs",)), iter([4, 7])
    user.context.nursery, user.context.number_socket = nursery, numbers.__next__
    for conn, json in ((4, True), (7, False)):
        async with Connecting(user, "", (), (), json=json) as made:
            socket: Any = made
            await trio.testing.wait_all_tasks_blocked()
            assert socket.did == ["served"]
            # It asks for nothing of its own: what it says is the run's, and is made once.
            run = user.context.run
            assert socket.made_of == (
                user, (run.requests[0], run.resources[0], ("runs",)), conn, json
            )  # fmt: skip
        assert socket.did == ["served", "closed"]
    ledger = user.context.ledger
    assert (ledger.requested, ledger.opened, ledger.settled) == (2, 2, 2)
    assert user.context.gate.limiter.borrowed_tokens == 0


async def test_a_socket_whose_opening_is_cancelled_was_not_attempted(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    async def open_never(*_: object) -> None:
        await trio.sleep_forever()

    monkeypatch.setattr(Connecting, "_open", open_never)
    user = make_user()
    with trio.move_on_after(1.0):
        async with connect(user):
            pytest.fail("it never opens")
    ledger = user.context.ledger
    assert (ledger.requested, ledger.not_attempted, ledger.settled) == (1, 1, 1)
