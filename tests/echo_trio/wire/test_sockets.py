"""Listening, accepting, connecting, on loopback."""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import struct
import sys
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import pytest
import trio
import trio.testing

from echo_trio.wire import sockets
from loadgen.workload.target import Target

PATIENCE_S = 60


@pytest.fixture
def listener():
    (listener,) = sockets.listen("127.0.0.1", 0)
    yield listener
    listener.close()


class Listener:
    """Fakes what `accept_forever` needs of a listener that is out of luck at first."""

    def __init__(self, listener: socket.socket, faults: list[OSError]) -> None:
        self._listener = listener
        self._faults = faults

    def fileno(self) -> int:
        return self._listener.fileno()

    def accept(self):
        if self._faults:
            raise self._faults.pop(0)
        return self._listener.accept()


def test_port_0_takes_a_free_one_and_every_address_of_a_host_shares_it():
    listeners = sockets.listen("localhost", 0)
    ports = {listener.getsockname()[1] for listener in listeners}
    for listener in listeners:
        listener.close()
    assert len(ports) == 1
    assert ports != {0}


def test_a_port_in_use_is_named(listener):
    port = listener.getsockname()[1]
    with pytest.raises(OSError, match=rf"can't listen on 127\.0\.0\.1:{port}: ") as caught:
        sockets.listen("127.0.0.1", port)
    assert caught.value.errno == errno.EADDRINUSE


def test_sockets_that_join_share_what_comes_and_keep_everybody_else_out(listener):
    addresses = sockets.share([listener])
    (joined,) = sockets.join(addresses)
    _, target = addresses[0]
    clients = [socket.create_connection(target) for _ in range(100)]
    accepted = [_accept_all(listener), _accept_all(joined)]
    for sock in [*clients, *accepted[0], *accepted[1]]:
        sock.close()
    assert all(accepted)
    assert len(accepted[0]) + len(accepted[1]) == 100
    listener.close()
    with pytest.raises(OSError, match="can't listen on") as caught:
        sockets.listen(*target)
    assert caught.value.errno == errno.EADDRINUSE
    joined.close()


def test_who_shares_is_not_joined_by_an_instance_that_comes_to_listen_alone(listener):
    _, target = sockets.share([listener])[0]
    with pytest.raises(OSError, match="can't listen on"):
        sockets.listen(*target)


def test_one_cannot_join_who_does_not_share(listener):
    with pytest.raises(OSError, match="can't listen on"):
        sockets.join([(listener.family, listener.getsockname())])


def _accept_all(listener):
    accepted = []
    while True:
        try:
            accepted.append(listener.accept()[0])
        except BlockingIOError:
            return accepted


def test_a_host_that_does_not_exist_is_named():
    with pytest.raises(OSError, match=r"can't listen on no\.such\.host\.invalid: "):
        sockets.listen("no.such.host.invalid", 0)


async def accept(listener, nursery):
    accepted, faults = trio.open_memory_channel(100), []
    nursery.start_soon(
        sockets.accept_forever,
        listener,
        lambda sock, peer: accepted[0].send_nowait((sock, peer)),
        faults.append,
    )
    return accepted[1], faults


async def receive_one(channel) -> socket.socket:
    with trio.fail_after(PATIENCE_S):
        sock, peer = await channel.receive()
    assert peer == sockets.authority(*sock.getpeername()[:2])
    return sock


async def test_an_accepted_socket_does_not_block_nor_delay(listener, nursery):
    accepted, faults = await accept(listener, nursery)
    with (
        socket.create_connection(listener.getsockname()) as client,
        await receive_one(accepted) as sock,
    ):
        assert sock.getpeername() == client.getsockname()
        assert not sock.getblocking()
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert faults == []


async def test_many_connections_at_once_are_all_accepted(listener, nursery):
    count = sockets.ACCEPT_BATCH + 20
    clients = [socket.create_connection(listener.getsockname()) for _ in range(count)]
    accepted, _ = await accept(listener, nursery)
    served = [await receive_one(accepted) for _ in range(count)]
    assert {sock.getpeername() for sock in served} == {sock.getsockname() for sock in clients}
    for sock in served + clients:
        sock.close()


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM])
async def test_out_of_resources_is_told_and_waited_out(listener, nursery, autojump_clock, number):
    faults_to_come = [OSError(number, "none left") for _ in range(3)]
    accepted, faults = await accept(Listener(listener, faults_to_come), nursery)
    with socket.create_connection(listener.getsockname()):
        (await receive_one(accepted)).close()
    assert [fault.errno for fault in faults] == [number] * 3
    assert trio.current_time() == pytest.approx(3 * sockets.OUT_OF_RESOURCES_PAUSE_S)


async def test_a_broken_listener_is_told_and_does_not_spin(listener, nursery, autojump_clock):
    faults_to_come = [OSError(errno.EINVAL, "not listening") for _ in range(3)]
    accepted, faults = await accept(Listener(listener, faults_to_come), nursery)
    with socket.create_connection(listener.getsockname()):
        (await receive_one(accepted)).close()
    assert [fault.errno for fault in faults] == [errno.EINVAL] * 3
    assert trio.current_time() == pytest.approx(3 * sockets.OUT_OF_RESOURCES_PAUSE_S)


async def test_who_finds_no_descriptor_left_gets_the_one_kept_for_that(
    listener, nursery, autojump_clock
):
    accepted, receive = trio.open_memory_channel(10)
    faults, excess = [], []
    nursery.start_soon(
        sockets.accept_forever,
        Listener(listener, [OSError(errno.EMFILE, "none left")]),
        lambda sock, peer: accepted.send_nowait((sock, peer)),
        faults.append,
        lambda sock, _: excess.append(sock.getpeername()),
    )
    with (
        socket.create_connection(listener.getsockname()) as first,
        socket.create_connection(listener.getsockname()) as second,
        await receive_one(receive) as served,
    ):
        assert excess == [first.getsockname()]
        assert served.getpeername() == second.getsockname()
        assert first.recv(1) == b""
    assert [fault.errno for fault in faults] == [errno.EMFILE]
    assert trio.current_time() == 0


async def test_a_connection_that_was_gone_before_it_was_accepted_is_no_fault(listener, nursery):
    aborted = [OSError(errno.ECONNABORTED, "gone"), OSError(errno.EPERM, "firewall")]
    accepted, faults = await accept(Listener(listener, aborted), nursery)
    with socket.create_connection(listener.getsockname()):
        (await receive_one(accepted)).close()
    assert faults == []


async def test_connecting_gives_a_socket_that_does_not_block(listener):
    ((family, address),) = await sockets.resolve("127.0.0.1", listener.getsockname()[1])
    with await sockets.connect((family, address)) as sock:
        assert sock.getpeername() == listener.getsockname()
        assert not sock.getblocking()
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def test_what_is_to_be_said_first_goes_out_with_the_connection(listener):
    target = (socket.AF_INET, listener.getsockname())
    with await sockets.connect(target, first=b"hello"):
        theirs, _ = listener.accept()
        with theirs:
            theirs.settimeout(PATIENCE_S)
            assert theirs.recv(100) == b"hello"


async def test_who_is_let_in_later_says_it_then():
    """The queue of this listener is full; the kernel tries again when a place is free."""
    with socket.socket() as listener, ExitStack() as stack:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        target = (socket.AF_INET, listener.getsockname())
        stack.enter_context(await sockets.connect(target, first=b"hello"))
        connected = []

        async def connect() -> None:
            connected.append(stack.enter_context(await sockets.connect(target, first=b"late")))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(connect)
            await trio.testing.wait_all_tasks_blocked()
            assert not connected
            stack.enter_context(listener.accept()[0])
        theirs = stack.enter_context((await trio.to_thread.run_sync(listener.accept))[0])
        theirs.settimeout(PATIENCE_S)
        assert theirs.recv(100) == b"late"


@pytest.mark.parametrize("first", [None, b"hello"])
async def test_who_is_refused_is_told_so_whether_it_says_something_or_not(first):
    with socket.socket() as placeholder:
        placeholder.bind(("127.0.0.1", 0))  # bound, and not listening
        with pytest.raises(ConnectionRefusedError):
            await sockets.connect((socket.AF_INET, placeholder.getsockname()), first=first)


@pytest.mark.skipif(sys.platform != "linux", reason="Linux has the option")
async def test_all_local_ports_are_searched_in_turn(listener):
    """Of every second port first, 14,000 in use cost each connection beyond them 1.4 ms."""
    with await sockets.connect((socket.AF_INET, listener.getsockname())) as sock:
        try:
            chosen = sock.getsockopt(socket.IPPROTO_IP, sockets._IP_LOCAL_PORT_RANGE)
        except OSError:
            pytest.skip("a kernel before 6.3")
    assert chosen & 0xFFFFFFFF == 0xFFFF_0001


async def test_a_cancelled_connect_leaves_no_socket_open(listener, monkeypatch):
    made = []

    class Watched(socket.socket):
        def __init__(self, *args) -> None:
            super().__init__(*args)
            made.append(self)

        def connect_ex(self, _):
            return errno.EINPROGRESS

    monkeypatch.setattr(sockets.socket, "socket", Watched)
    with trio.CancelScope() as scope:
        scope.cancel()
        await sockets.connect((socket.AF_INET, listener.getsockname()))
    assert [sock.fileno() for sock in made] == [-1]


async def test_a_host_that_does_not_exist_is_not_resolved():
    with pytest.raises(socket.gaierror):
        await sockets.resolve("no.such.host.invalid", 80)


async def test_each_address_of_a_host_is_resolved_once():
    found = await sockets.resolve("localhost", 80)
    assert len(found) == len(set(found)) > 0


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", "127.0.0.1:80"), ("::1", "[::1]:80"), ("example.org", "example.org:80")],
)
def test_an_authority_is_written_as_in_a_url(host, expected):
    assert sockets.authority(host, 80) == expected


def find_link_local():
    """An address of this machine that means something on one of its networks alone."""
    for line in Path("/proc/net/if_inet6").read_text().splitlines():
        address, _, _, _, _, name = line.split()
        if address.startswith("fe80"):
            return f"{ipaddress.IPv6Address(int(address, 16))}%{name}"
    return None


@pytest.mark.skipif(find_link_local() is None, reason="this machine has no link-local address")
def test_a_zone_is_kept_in_the_address_that_a_listener_is_told_by():
    host = find_link_local()
    (listener,) = sockets.listen(host, 0)
    with listener:
        port = listener.getsockname()[1]
        shown = sockets.own_authority(listener)
    assert shown == f"[{host.replace('%', '%25')}]:{port}"
    target = Target.parse(f"ws://{shown}/")
    assert (target.host, target.authority) == (host, f"[{host.partition('%')[0]}]:{port}")


class PollOfMacos:
    """Reports nothing of a socket to those who ask for no bytes."""

    def register(self, sock, events):
        assert not events

    def poll(self, _):
        return []


@pytest.mark.parametrize("platform", ["linux", "darwin"])
@pytest.mark.parametrize("unread", [b"", b"unread"], ids=["nothing", "something"])
def test_a_reset_is_seen_also_behind_what_was_not_read(listener, monkeypatch, platform, unread):
    if platform == "darwin":
        monkeypatch.setattr(sockets, "sys", SimpleNamespace(platform="darwin"))
        monkeypatch.setattr(sockets, "select", SimpleNamespace(poll=PollOfMacos))
    with socket.create_connection(listener.getsockname()) as client:
        # The other end is there already: it has been let in.
        listener.setblocking(True)
        accepted, _ = listener.accept()
        with accepted:
            accepted.setblocking(False)
            client.sendall(unread)
            assert not sockets.is_reset(accepted)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
            # On loopback it has arrived when `close` returns.
            assert sockets.is_reset(accepted)


def test_an_error_is_described_that_only_windows_has_a_number_for(monkeypatch):
    assert sockets.describe_error(errno.ECONNREFUSED) == "Connection refused"
    monkeypatch.setattr(socket, "errorTab", {10061: "Connection refused."}, raising=False)
    assert sockets.describe_error(10061) == "Connection refused."


def test_as_much_as_can_be_counted_by_looking_counts_as_full(monkeypatch):
    monkeypatch.setattr(sockets, "fcntl", None)
    with socket.socket() as listening, socket.socket() as client:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**20)
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        client.connect(listening.getsockname())
        accepted, _ = listening.accept()
        with accepted:
            accepted.setblocking(False)
            assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) > 65_536 * 4
            client.sendall(bytes(1000))
            assert not sockets.is_receive_buffer_full(accepted)
            client.sendall(bytes(70_000))
            assert sockets.is_receive_buffer_full(accepted)


def test_the_descriptor_in_reserve_is_taken_back_behind_each_client_that_is_turned_away():
    """Else whoever comes next has it, and nobody is turned away any more."""
    resource = pytest.importorskip("resource")
    turned_away = []
    (listener,) = sockets.listen("127.0.0.1", 0)
    clients = [socket.create_connection(listener.getsockname()) for _ in range(3)]
    names = [sockets.authority(*client.getsockname()) for client in clients]
    reserve = sockets._Reserve(lambda _, peer: turned_away.append(peer))
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest_free = os.dup(0)
    os.close(lowest_free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, before[1]))
    try:
        for _ in clients:
            assert reserve.spend(listener)
            with pytest.raises(OSError, match="Too many open files"):
                os.dup(0)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
        reserve.close()
        listener.close()
        for client in clients:
            client.close()
    assert turned_away == names


def test_all_addresses_of_a_host_are_listened_on_at_one_port(monkeypatch):
    addresses = [(socket.AF_INET, (f"127.0.0.{n}", 0)) for n in (1, 2, 3)]
    monkeypatch.setattr(sockets, "_resolve_own", lambda *_: addresses)
    with ExitStack() as stack:
        listeners = [stack.enter_context(each) for each in sockets.listen("a.example", 0)]
        hosts, ports = zip(*(each.getsockname() for each in listeners), strict=True)
    assert hosts == ("127.0.0.1", "127.0.0.2", "127.0.0.3")
    assert len(set(ports)) == 1
