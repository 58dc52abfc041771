"""Each way in which an opening fails has its cause, at every step."""

from __future__ import annotations

import errno
import socket
import struct
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from echo_trio.dialling import opening
from echo_trio.dialling.ends import Cause, DialFailed
from echo_trio.dialling.opening import Clock, open_connection
from echo_trio.dialling.order import DialOrder, read_target
from echo_trio.dialling.room import ClientContexts
from echo_trio.wire.tls import CertificateUnusable


async def test_a_server_that_resets_as_soon_as_tcp_is_there_has_failed_tls() -> None:
    steps = []

    def reset_when_connected(step: str, _data: dict[str, Any]) -> None:
        steps.append(step)
        if step == "connected":
            theirs, _ = listener.accept()
            theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            theirs.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        order = DialOrder(url=f"wss://127.0.0.1:{listener.getsockname()[1]}/")
        target = read_target(order)
        with pytest.raises(DialFailed) as failed:
            await open_connection(
                order,
                target,
                allowed={(target.host, target.port)},
                contexts=ClientContexts({}, None),
                clock=Clock(),
                report=reset_when_connected,
            )
    assert steps == ["resolved", "connected"]
    assert failed.value.end.cause is Cause.TLS


def order_of(url: str, **more: Any) -> dict[str, Any]:
    """All that an opening takes, of a target that is allowed; TLS with whatever it is given."""
    order = DialOrder(url=url, **more)
    target = read_target(order)
    return {
        "order": order, "target": target, "allowed": {(target.host, target.port)},
        "contexts": ClientContexts({}, None), "clock": Clock(), "report": lambda *_: None,
    }  # fmt: skip


async def test_a_dead_address_leaves_time_for_the_next_and_one_alone_has_all_there_is(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    tried = list[tuple[float, str]]()

    async def resolve(*_: Any) -> list[Any]:
        await trio.lowlevel.checkpoint()
        return [(socket.AF_INET, (address, 80)) for address in addresses]

    async def connect(address: Any) -> socket.socket:
        tried.append((trio.current_time() - began_s, address[1][0]))
        await trio.sleep_forever()
        raise AssertionError

    monkeypatch.setattr(opening.sockets, "resolve", resolve)
    monkeypatch.setattr(opening.sockets, "connect", connect)
    for addresses in (["192.0.2.1", "192.0.2.2"], ["192.0.2.1"]):
        tried.clear()
        began_s = trio.current_time()
        with trio.move_on_after(100) as waiting, pytest.raises(DialFailed) as failed:
            await open_connection(**order_of("ws://a.example"))
        expected = [(at * opening.ADDRESS_TIMEOUT_S, each) for at, each in enumerate(addresses)]
        assert tried == [(pytest.approx(at_s), each) for at_s, each in expected]
        if len(addresses) > 1:
            assert failed.value.end.cause is Cause.UNREACHABLE
        else:
            assert waiting.cancelled_caught


async def test_addresses_that_may_not_be_dialled_take_no_place_among_those_that_are_tried(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tried = list[str]()

    async def resolve(*_: Any) -> list[Any]:
        await trio.lowlevel.checkpoint()
        found = [f"127.0.0.{n}" for n in range(1, 9)] + [f"192.0.2.{n}" for n in range(1, 9)]
        return [(socket.AF_INET, (address, 80)) for address in found]

    async def connect(address: Any) -> socket.socket:
        await trio.lowlevel.checkpoint()
        tried.append(address[1][0])
        raise ConnectionRefusedError(errno.ECONNREFUSED, "refused")

    monkeypatch.setattr(opening.sockets, "resolve", resolve)
    monkeypatch.setattr(opening.sockets, "connect", connect)
    with pytest.raises(DialFailed):
        await open_connection(**order_of("ws://a.example"))
    assert tried == [f"192.0.2.{n}" for n in range(1, opening.MAX_ADDRESSES + 1)]


@pytest.mark.parametrize("problem", ["no context", "not trusted"])
async def test_a_connection_that_comes_to_nothing_in_tls_is_closed(
    monkeypatch: pytest.MonkeyPatch, problem: str
) -> None:
    socks = list[socket.socket]()
    order = order_of("wss://127.0.0.1:9")

    async def connect(*_: Any) -> socket.socket:
        await trio.lowlevel.checkpoint()
        with socket.create_server(("127.0.0.1", 0)) as listener:
            socks.append(socket.create_connection(listener.getsockname()))
        return socks[-1]

    async def shake_hands(sock: socket.socket, *_: Any, verify: bool) -> Any:
        await trio.lowlevel.checkpoint()
        if verify:
            sock.close()
            return opening._NotTrusted("of the test")
        return sock

    class NoContexts:
        async def get(self, *_: Any, verify: bool) -> Any:
            await trio.lowlevel.checkpoint()
            raise CertificateUnusable("gone")

    monkeypatch.setattr(opening.sockets, "connect", connect)
    if problem == "not trusted":
        monkeypatch.setattr(opening, "_shake_hands", shake_hands)
        monkeypatch.setattr(opening, "facts_of", lambda _: {})
    else:
        order["contexts"] = NoContexts()
    with pytest.raises(DialFailed) as failed:
        await open_connection(**order)
    causes = {"no context": Cause.TLS, "not trusted": Cause.CERTIFICATE}
    assert failed.value.end.cause is causes[problem]
    assert [sock.fileno() for sock in socks] == [-1] * (2 if problem == "not trusted" else 1)
