"""Upstream's own API on our connection, and what upstream.py takes for granted, checked one by one.

When one of the latter fails, upstream has changed: read its changes, adapt wire/upstream.py, run
tests/integration/test_upstream_suite.py, and only then move the pin in pyproject.toml.
"""

from __future__ import annotations

import inspect
import socket
import ssl
import tomllib
from importlib.metadata import version

import pytest
import trio
import trio.testing
import trustme
from packaging.requirements import Requirement
from trio_websocket import ConnectionClosed, WebSocketConnection
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, Request

from echo_trio.wire.connection import Connection, Limits
from echo_trio.wire.limits import RECEIVE_BYTES
from echo_trio.wire.upstream import UpstreamConnection, _trailing_bytes

from .conftest import BINARY, CLOSE, PING, PONG, TEXT, code_of, opcodes, payloads

TESTED_WITH = {"trio-websocket": "0.12.2", "wsproto": "1.3.2"}
ADVICE = (
    "wire/upstream.py was written for another version; see tests/echo_trio/wire/test_upstream.py"
)


@pytest.fixture
def connection_class():
    return UpstreamConnection


@pytest.mark.parametrize(("name", "tested"), TESTED_WITH.items())
def test_what_is_installed_is_what_was_tested_and_is_pinned(name, tested, pytestconfig):
    assert version(name) == tested, f"{name} {version(name)} is installed. {ADVICE}"
    project = tomllib.loads((pytestconfig.rootpath / "pyproject.toml").read_text())["project"]
    pins = [Requirement(line) for line in project["dependencies"]]
    (pin,) = [requirement for requirement in pins if requirement.name == name]
    assert str(pin.specifier) == f"=={tested}", f"{name} is not pinned to {tested}. {ADVICE}"


OVERRIDDEN = {
    "is_client": None,
    "is_server": None,
    "local": None,
    "remote": None,
    "ping": "(self, payload: 'bytes | None' = None) -> 'None'",
    "pong": "(self, payload: 'bytes | None' = None) -> 'None'",
    "send_message": "(self, message: 'str | bytes') -> 'None'",
    "_aclose": "(self, code: 'int', reason: 'str | None') -> 'None'",
    "_close_stream": "(self) -> 'None'",
    "_handle_close_connection_event": "(self, event: 'wsproto.events.CloseConnection') -> 'None'",
    "_reader_task": "(self) -> 'None'",
    "_send": "(self, event: 'wsproto.events.Event') -> 'None'",
}
CALLED = [
    "_handle_accept_connection_event",
    "_handle_ping_event",
    "_handle_reject_connection_event",
    "_handle_reject_data_event",
    "_handle_request_event",
]
READ_BY_UPSTREAM = {
    "aclose": ["_aclose"],
    "closed": ["_close_reason"],
    "get_message": ["_recv_channel", "_close_reason"],
    "handshake_headers": ["_handshake_headers"],
    "local": ["_stream"],
    "path": ["_path"],
    "remote": ["_stream"],
    "subprotocol": ["_subprotocol"],
    "__str__": ["_id", "is_client"],
}


@pytest.mark.parametrize(("name", "signature"), OVERRIDDEN.items())
def test_what_we_override_is_there_to_be_overridden(name, signature):
    theirs = getattr(WebSocketConnection, name, None)
    assert theirs is not None, f"WebSocketConnection.{name} is gone. {ADVICE}"
    ours = getattr(UpstreamConnection, name)
    assert ours is not theirs, f"we do not override {name} any more"
    if signature is not None:
        found = str(inspect.signature(theirs))
        assert found == signature, f"WebSocketConnection.{name} is now {found}. {ADVICE}"


@pytest.mark.parametrize("name", CALLED)
def test_what_we_call_is_there(name):
    assert inspect.iscoroutinefunction(getattr(WebSocketConnection, name, None)), (
        f"WebSocketConnection.{name} is gone, or not async. {ADVICE}"
    )


def test_we_override_nothing_else():
    """A private of ours that upstream comes to use for its own would be overridden by accident."""
    ours = set()
    for cls in UpstreamConnection.__mro__[: UpstreamConnection.__mro__.index(WebSocketConnection)]:
        ours |= vars(cls).keys()
    both = {
        name
        for name in vars(WebSocketConnection).keys() & ours
        if not name.startswith("__") and name != "_abc_impl"
    }
    assert both == set(OVERRIDDEN), ADVICE


@pytest.mark.parametrize(("name", "attributes"), READ_BY_UPSTREAM.items())
def test_what_upstreams_own_methods_read_is_what_we_set(name, attributes):
    member = getattr(WebSocketConnection, name)
    code = (member.fget if isinstance(member, property) else member).__code__
    read = {attribute for attribute in code.co_names if attribute.startswith(("_", "is_"))}
    read -= {"_preserve_current_exception", "_get_stream_endpoint", "__class__", "__name__"}
    assert read == set(attributes), f"WebSocketConnection.{name} reads {read}. {ADVICE}"


def test_upstreams_constructor_sets_what_we_use():
    ours, _theirs = trio.testing.memory_stream_pair()
    wsconnection = WSConnection(ConnectionType.SERVER)
    plain = vars(WebSocketConnection(ours, wsconnection, max_message_size=7))
    assert set(plain) == {
        "_close_handshake",
        "_close_reason",
        "_connection_proposal",
        "_for_testing_peer_closed_connection",
        "_handshake_headers",
        "_id",
        "_initial_request",
        "_max_message_size",
        "_message_parts",
        "_message_size",
        "_open_handshake",
        "_path",
        "_pings",
        "_reader_running",
        "_receive_buffer_size",
        "_recv_channel",
        "_reject_body",
        "_reject_headers",
        "_reject_status",
        "_send_channel",
        "_stream",
        "_stream_lock",
        "_subprotocol",
        "_wsproto",
    }, ADVICE
    assert plain["_max_message_size"] == 7
    assert plain["_stream"] is ours


def test_wsproto_keeps_what_came_behind_the_handshake_where_we_look():
    client, server = WSConnection(ConnectionType.CLIENT), WSConnection(ConnectionType.SERVER)
    server.receive_data(client.send(Request(host="here", target="/")))
    assert list(server.events())
    client.receive_data(server.send(AcceptConnection()) + b"\x81\x02hi")
    assert type(next(iter(client.events()))) is AcceptConnection
    assert _trailing_bytes(client) == b"\x81\x02hi", ADVICE
    assert _trailing_bytes(WSConnection(ConnectionType.CLIENT)) == b""


def test_trio_keeps_the_systems_socket_where_we_look():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        stream = trio.SocketStream(trio.socket.from_stdlib_socket(ours))
        assert stream.socket._sock is ours, "trio has changed; see raw_socket in connection.py"


# -- Upstream's API ---------------------------------------------------------------------------


async def test_text_that_is_not_unicode_is_our_mistake_and_counts_as_nothing(wire):
    wire.start()
    with pytest.raises(UnicodeEncodeError):
        wire.connection.send_nowait("\ud800")
    with pytest.raises(UnicodeEncodeError):
        await wire.connection.send_message("\ud800")
    assert (wire.connection.messages_sent, wire.connection.bytes_sent) == (0, 0)


async def test_messages_can_be_sent_at_any_time(wire, nursery):
    wire.start()
    await wire.connection.send_message("text")
    await wire.connection.send_message(b"binary")
    nursery.start_soon(wire.connection.send_message, b"x" * 1_000_000)
    frames = await wire.peer.receive_many(3)
    assert opcodes(frames) == [TEXT, BINARY, BINARY]
    assert payloads(frames) == [b"text", b"binary", b"x" * 1_000_000]
    with pytest.raises(ValueError, match="str or bytes"):
        await wire.connection.send_message(3)


async def test_sends_at_the_same_time_do_not_mix(wire, nursery):
    wire.start()
    sizes = [300_000, 10, 200_000, 400_000]
    for size in sizes:
        nursery.start_soon(wire.connection.send_message, bytes((size % 251,)) * size)
    frames = await wire.peer.receive_many(4)
    assert sorted(len(frame.payload) for frame in frames) == sorted(sizes)
    assert all(len(set(frame.payload)) == 1 for frame in frames)


@pytest.mark.parametrize("transport", ["poller", "no-poller", "tls"])
async def test_a_cancelled_send_never_leaves_half_a_frame(wire, nursery, transport, autojump_clock):
    wire.start()
    with trio.move_on_after(1) as sending:
        await wire.connection.send_message(b"x" * 1_000_000)
    assert sending.cancelled_caught
    nursery.start_soon(wire.connection.send_message, "next")
    frames = await wire.peer.receive_many(2)
    assert payloads(frames) == [b"x" * 1_000_000, b"next"]


async def test_a_send_that_is_cancelled_before_it_began_sends_and_counts_nothing(wire):
    wire.start()
    with trio.CancelScope() as scope:
        scope.cancel()
        await wire.connection.send_message("never")
    assert (wire.connection.messages_sent, wire.connection.bytes_sent) == (0, 0)


async def test_a_cancelled_send_on_a_stream_ends_the_connection(nursery, autojump_clock):
    ours, _theirs = trio.testing.lockstep_stream_pair()
    connection = UpstreamConnection.opened(ours, client=False, limits=Limits())
    nursery.start_soon(connection.run, lambda message: message)
    with trio.move_on_after(1):
        await connection.send_message("nobody reads this")
    with pytest.raises(ConnectionClosed):
        await connection.send_message("next")
    assert connection.closed.code == 1006


@pytest.fixture
async def reading(wire, nursery):
    wire.connection.start_reading(nursery)
    await trio.testing.wait_all_tasks_blocked()
    return wire


async def test_messages_are_got_one_by_one(reading):
    peer, connection = reading.peer, reading.connection
    await peer.send(peer.text("one") + peer.frame(BINARY, b"two") + peer.close(4000))
    assert [await connection.get_message() for _ in range(2)] == ["one", b"two"]
    with pytest.raises(ConnectionClosed) as caught:
        await connection.get_message()
    assert caught.value.reason.code == 4000
    with pytest.raises(ConnectionClosed):
        await connection.send_message("too late")
    assert code_of(await peer.receive()) == 4000


async def test_a_peer_waits_when_nobody_gets_its_messages(reading, nursery, autojump_clock):
    count, message = 200, b"x" * 50_000
    nursery.start_soon(reading.peer.send, reading.peer.frame(BINARY, message) * count)
    await trio.sleep(1)
    # Those in its channel, and what one read had brought with them.
    waiting = reading.connection.messages_received
    assert waiting <= 2 + RECEIVE_BYTES // len(message) + 1
    await trio.sleep(1)
    assert reading.connection.messages_received == waiting
    for _ in range(count):
        assert await reading.connection.get_message() == message


async def test_a_thousand_messages_in_one_segment_can_be_got(reading, nursery):
    nursery.start_soon(reading.peer.send, reading.peer.text("x") * 1000)
    assert [await reading.connection.get_message() for _ in range(1000)] == ["x"] * 1000


async def test_a_ping_is_answered_by_its_pong_or_a_later_one(reading, nursery):
    answered = []

    async def ping(payload: bytes) -> None:
        await reading.connection.ping(payload)
        answered.append(payload)

    for payload in (b"1", b"2", b"3"):
        nursery.start_soon(ping, payload)
    pings = await reading.peer.receive_many(3)
    assert opcodes(pings) == [PING] * 3
    pong = [reading.peer.frame(PONG, ping.payload) for ping in pings]
    await reading.peer.send(reading.peer.frame(PONG, b"nobody's") + pong[1])
    await trio.testing.wait_all_tasks_blocked(0.01)
    assert set(answered) == set(payloads(pings)[:2])
    await reading.peer.send(pong[2])
    await trio.testing.wait_all_tasks_blocked(0.01)
    assert set(answered) == set(payloads(pings))


async def test_a_ping_without_a_payload_makes_one(reading, nursery):
    nursery.start_soon(reading.connection.ping)
    ping = await reading.peer.receive()
    assert (ping.opcode, len(ping.payload)) == (PING, 4)
    await reading.peer.send(reading.peer.frame(PONG, ping.payload))


@pytest.mark.parametrize("how", ["close", "end"])
async def test_a_ping_ends_with_its_connection(wire, nursery, how):
    wire.start()
    raised = []

    async def ping() -> None:
        with pytest.raises(ConnectionClosed) as caught:
            await wire.connection.ping(b"x")
        raised.append(caught.value.reason.code)

    nursery.start_soon(ping)
    assert (await wire.peer.receive()).opcode == PING
    if how == "close":
        await wire.peer.send(wire.peer.close(4000))
    await wire.peer.stream.aclose()
    await wire.end()
    await trio.testing.wait_all_tasks_blocked()
    assert raised == [4000 if how == "close" else 1006]


async def test_two_pings_under_way_differ_and_a_cancelled_one_can_be_repeated(reading, nursery):
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as pinging:
            pinging.start_soon(reading.connection.ping, b"same")
            await reading.peer.receive()
            with pytest.raises(ValueError, match="already in flight"):
                await reading.connection.ping(b"same")
            scope.cancel()
    nursery.start_soon(reading.connection.ping, b"same")
    assert await reading.peer.receive() == (PING, b"same", True)
    await reading.peer.send(reading.peer.frame(PONG, b"same"))


async def test_control_frames_are_short(reading):
    for send in (reading.connection.ping, reading.connection.pong):
        with pytest.raises(ValueError, match="125"):
            await send(b"x" * 126)
    assert not reading.connection._pings


async def test_a_pong_can_be_sent_unasked(reading):
    await reading.connection.pong(b"here")
    await reading.connection.pong()
    assert await reading.peer.receive_many(2) == [(PONG, b"here", True), (PONG, b"", True)]


async def test_the_peers_pings_are_answered_while_messages_are_got(reading):
    peer = reading.peer
    await peer.send(peer.frame(PING, b"1") + peer.text("2"))
    assert await reading.connection.get_message() == "2"
    assert await peer.receive() == (PONG, b"1", True)


async def test_aclose_makes_the_closing_handshake_and_is_idempotent(reading, nursery):
    async def answer() -> None:
        close = await reading.peer.receive()
        await reading.peer.send(reading.peer.frame(CLOSE, close.payload))
        assert await reading.peer.receive_rest() == []

    nursery.start_soon(answer)
    await reading.connection.aclose(4000, "done")
    await reading.connection.aclose()
    connection = reading.connection
    assert (connection.close_sent, connection.close_received) == (4000, 4000)
    assert connection.closed_first == "us"
    for operation in (connection.get_message, connection.ping, connection.pong):
        with pytest.raises(ConnectionClosed):
            await operation()


async def test_a_ping_that_arrives_while_aclose_waits_is_not_answered(reading, nursery):
    nursery.start_soon(reading.connection.aclose, 4000)
    peer = reading.peer
    assert code_of(await peer.receive()) == 4000
    await peer.send(peer.frame(PING) + peer.close(4000))
    await peer.stream.send_eof()
    assert await peer.receive_rest() == []
    assert reading.connection.clean


async def test_aclose_gives_up_on_a_silent_peer(make_wire, nursery, autojump_clock):
    wire = make_wire(Limits(close_timeout_s=5))
    wire.connection.start_reading(nursery)
    await wire.connection.aclose()
    assert trio.current_time() == pytest.approx(5)
    assert wire.connection.timed_out == "close"


async def test_endpoints_are_told(make_wire, tcp_pair, transport):
    ours, theirs = tcp_pair
    (address, port), other = ours.getsockname(), theirs.getsockname()
    connection = make_wire(sockets=tcp_pair).connection
    assert (str(connection.local.address), connection.local.port) == (address, port)
    assert connection.remote.port == other[1]
    ours.close()


async def test_it_works_above_tls(role, nursery):
    authority = trustme.CA()
    server_context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    client_context = ssl.create_default_context()
    authority.issue_cert("here").configure_cert(server_context)
    authority.configure_trust(client_context)
    a, b = trio.testing.memory_stream_pair()
    server_end = trio.SSLStream(a, server_context, server_side=True)
    client_end = trio.SSLStream(b, client_context, server_hostname="here")
    server = UpstreamConnection.opened(server_end, client=False, limits=Limits())
    client = UpstreamConnection.opened(client_end, client=True, limits=Limits())
    async with trio.open_nursery() as serving:
        serving.start_soon(server.run, lambda message: message)
        client.start_reading(serving)
        for message in ("hello", b"x" * 500_000):
            await client.send_message(message)
            assert await client.get_message() == message
        await client.aclose(1000)
    assert server.clean
    assert client.close_sent == client.close_received == 1000


async def test_a_frame_that_comes_while_the_101_is_being_sent_is_a_message(nursery):
    ours, theirs = trio.testing.memory_stream_pair()
    connection = UpstreamConnection(ours, WSConnection(ConnectionType.SERVER))
    nursery.start_soon(connection._reader_task)
    await theirs.send_all(WSConnection(ConnectionType.CLIENT).send(Request("here", "/")))
    request = await connection._get_request()
    at_once, later = (b"\x81\x81\x00\x00\x00\x00" + text for text in (b"1", b"2"))

    async def send_at_once() -> None:
        ours.send_stream.send_all_hook = None
        await theirs.send_all(at_once)
        await trio.testing.wait_all_tasks_blocked()

    ours.send_stream.send_all_hook = send_at_once
    await request.accept()
    await theirs.send_all(later)
    assert [await connection.get_message() for _ in range(2)] == ["1", "2"]


def test_who_is_served_is_upstreams_connection_as_well():
    assert issubclass(Connection, WebSocketConnection)
