"""TCP to a target: from which address, to which of its own. Real sockets on loopback."""

import errno
import os
import socket
import ssl
import sys
from collections import Counter
from contextlib import ExitStack, suppress

import psutil
import pytest
import trio
import trustme

from echo_trio.wire import sockets
from echo_trio.wire.tls import CertificateUnusable
from loadgen.engine.dialer import Dialer, Pending, make_tls_context, reachable_from
from loadgen.engine.stamps import StampedSocket
from loadgen.workload.plan import Plan
from loadgen.workload.sources import Sources

V4, V6 = (socket.AF_INET, ("127.0.0.1", 1)), (socket.AF_INET6, ("::1", 1, 0, 0))
#: No machine's own (RFC 5737).
FOREIGN = "192.0.2.7"
NOT_TO_BE_HAD = os.strerror(errno.EADDRNOTAVAIL)


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listening:
        yield listening


@pytest.fixture
def closed_port():
    """An address at which nobody listens, and which nobody takes meanwhile."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield (socket.AF_INET, bound.getsockname())


def address_of(listening):
    return (socket.AF_INET, listening.getsockname())


async def dialled_from(dialer, times):
    """The local addresses of so many sockets, in order."""
    with ExitStack() as stack:
        socks = [stack.enter_context(await dialer.dial()) for _ in range(times)]
        return [sock.getsockname()[0] for sock in socks]


async def test_sockets_take_the_local_addresses_in_turn(listener):
    dialer = Dialer([address_of(listener)], Sources(("127.0.0.2-127.0.0.4",)))
    assert await dialled_from(dialer, 7) == [
        "127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.2",
    ]  # fmt: skip


async def test_an_address_that_cannot_be_had_is_passed_over_and_the_last_one_says_why(listener):
    some = Dialer([address_of(listener)], Sources((FOREIGN, "127.0.0.2")))
    assert await dialled_from(some, 3) == ["127.0.0.2"] * 3
    none = Dialer([address_of(listener)], Sources((FOREIGN, "192.0.2.8")))
    with pytest.raises(OSError, match=NOT_TO_BE_HAD):
        await none.dial()


async def test_where_nobody_listens_the_targets_next_address_is_tried(listener, closed_port):
    dialer = Dialer([closed_port, address_of(listener)], Sources(()))
    with await dialer.dial() as sock:
        assert sock.getpeername() == listener.getsockname()
    both_closed = Dialer([closed_port, closed_port], Sources(()))
    with pytest.raises(ConnectionRefusedError):
        await both_closed.dial()


async def test_the_first_address_that_lets_us_is_taken(listener):
    with socket.create_server(("127.0.0.1", 0)) as other:
        dialer = Dialer([address_of(other), address_of(listener)], Sources(()))
        with await dialer.dial() as sock:
            assert sock.getpeername() == other.getsockname()


async def test_a_fault_of_this_machine_is_told_and_no_other_address_tried(listener):
    """All local addresses are foreign at the first; the second would not be asked with others."""
    dialer = Dialer([address_of(listener), address_of(listener)], Sources((FOREIGN,)))
    dialer._sources[socket.AF_INET] = sources = Counting(Sources((FOREIGN,)))
    with pytest.raises(OSError, match=NOT_TO_BE_HAD):
        await dialer.dial()
    assert sources.taken == 1


class Counting:
    """Local addresses that count how often one was taken."""

    def __init__(self, sources):
        self._sources, self.taken = sources, 0

    def __len__(self):
        return len(self._sources)

    def __getitem__(self, index):
        self.taken += 1
        return self._sources[index]


async def test_a_slow_readers_socket_takes_in_less_than_the_systems(listener):
    sizes = []
    for size in (None, 4096):
        dialer = Dialer([address_of(listener)], Sources(()), receive_buffer_bytes=size)
        with await dialer.dial() as sock:
            sizes.append(sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF))
    assert sizes[1] <= 2 * 4096 < sizes[0]


async def test_only_who_asks_for_stamps_gets_sockets_that_have_them(listener):
    for has_stamps in (True, False):
        dialer = Dialer([address_of(listener)], Sources(()), has_stamps=has_stamps)
        with await dialer.dial() as sock:
            assert isinstance(sock, StampedSocket) == has_stamps


def test_without_sources_all_addresses_will_do_and_with_them_those_of_their_family():
    assert reachable_from([V6, V4], Sources(())) == [V6, V4]
    assert reachable_from([V6, V4], Sources(("127.0.0.2",))) == [V4]
    assert reachable_from([V6], Sources(("127.0.0.2",))) == []


async def test_each_family_has_its_own_sources(listener):
    dialer = Dialer([address_of(listener)], Sources(("::1", "127.0.0.2")))
    assert await dialled_from(dialer, 2) == ["127.0.0.2"] * 2


async def test_a_connect_that_is_cancelled_leaves_no_socket_open():
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        with ExitStack() as stack:
            # The line in front of accept is full, so that the kernel drops the next SYN.
            for _ in range(8):
                waiting = stack.enter_context(socket.socket())
                waiting.setblocking(False)
                waiting.connect_ex(full.getsockname())
            before = trio.lowlevel.current_statistics().tasks_living, open_sockets()
            dialer = Dialer([address_of(full)], Sources(()))
            with trio.move_on_after(0.05) as scope:
                (await dialer.dial()).close()
            assert scope.cancelled_caught
            assert (trio.lowlevel.current_statistics().tasks_living, open_sockets()) == before


def open_sockets():
    return psutil.Process().num_fds()


@pytest.fixture
def listening():
    """Listens on one port of several loopback addresses; returns all addresses, dead ones too."""
    with ExitStack() as stack:

        def listen(*hosts: str, dead: tuple[str, ...] = ()) -> list[sockets.Address]:
            while True:
                port = 0
                with ExitStack() as listeners, suppress(OSError):  # Another has it at one of them.
                    for host in hosts:
                        (listener,) = sockets.listen(host, port)
                        port = listeners.enter_context(listener).getsockname()[1]
                    stack.push(listeners.pop_all())
                    return [(socket.AF_INET, (host, port)) for host in (*dead, *hosts)]

        yield listen


async def dial(dialer: Dialer, times: int) -> Counter[str]:
    counts: Counter[str] = Counter()
    for _ in range(times):
        (await dialer.dial(counts)).close()
    return counts


async def test_sockets_are_dealt_to_the_addresses_in_turn(listening):
    dialer = Dialer(listening("127.0.0.2", "127.0.0.3"), Sources(()))
    assert await dial(dialer, 7) == {"127.0.0.2": 4, "127.0.0.3": 3}


async def test_an_address_that_nobody_listens_at_is_left_out_and_stays_in_the_count(listening):
    addresses = listening("127.0.0.2", "127.0.0.3", dead=("127.0.0.4", "127.0.0.5"))
    dialer = Dialer(addresses, Sources(()))
    counts = await dial(dialer, 8)
    assert dict(counts) == {
        "127.0.0.4": 0, "127.0.0.5": 0, "127.0.0.2": 4, "127.0.0.3": 4,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("number", "passes"),
    [(errno.ECONNREFUSED, True), (errno.EHOSTUNREACH, True), (errno.ENETUNREACH, True),
     (errno.EMFILE, False)],
)  # fmt: skip
async def test_an_address_is_left_out_only_if_it_can_not_be_reached(
    listening, monkeypatch, number, passes
):
    addresses = listening("127.0.0.2", "127.0.0.3")
    connect, begin_connecting = sockets.connect, sockets.begin_connecting

    async def connect_to_others(address, *args, **options):
        if address == addresses[0]:
            raise OSError(number, os.strerror(number))
        return await connect(address, *args, **options)

    def begin_with_others(address, *args):
        if address == addresses[0]:
            raise OSError(number, os.strerror(number))
        return begin_connecting(address, *args)

    monkeypatch.setattr(sockets, "connect", connect_to_others)
    monkeypatch.setattr(sockets, "begin_connecting", begin_with_others)
    at_once, in_steps = (Dialer(addresses, Sources(())) for _ in range(2))
    if passes:
        assert await dial(at_once, 2) == {"127.0.0.2": 0, "127.0.0.3": 2}
        assert in_steps.begin(Counter(), b"hello") is None
    else:
        with pytest.raises(OSError, match=os.strerror(number)):
            await dial(at_once, 1)
        with pytest.raises(OSError, match=os.strerror(number)):
            in_steps.begin(Counter(), b"hello")
    assert at_once._alive == in_steps._alive == addresses[passes:]


async def test_where_nobody_listens_at_any_address_it_is_refused(listening):
    (dead, alive) = listening("127.0.0.2", dead=("127.0.0.4",))
    dialer = Dialer([dead], Sources(()))
    for _ in range(2):
        with pytest.raises(ConnectionRefusedError):
            await dialer.dial(Counter())
    assert await dial(Dialer([alive], Sources(())), 1) == {"127.0.0.2": 1}


async def test_a_target_that_refuses_is_asked_from_one_address_alone(closed_port):
    dialer = Dialer([closed_port], Sources(("127.0.0.2-127.0.0.4",)))
    sources = dialer._sources[socket.AF_INET] = Counting(Sources(("127.0.0.2-127.0.0.4",)))
    with pytest.raises(ConnectionRefusedError):
        await dialer.dial()
    assert sources.taken == 1


async def test_each_address_that_cannot_be_had_is_tried_once(listener):
    named = (FOREIGN, "192.0.2.8", "192.0.2.9")
    dialer = Dialer([address_of(listener)], Sources(named))
    sources = dialer._sources[socket.AF_INET] = Counting(Sources(named))
    with pytest.raises(OSError, match=NOT_TO_BE_HAD):
        await dialer.dial()
    assert sources.taken == 3


def test_a_context_of_tls_is_made_for_wss_alone_and_as_strict_as_the_plan():
    assert make_tls_context(Plan(1, "ws://h/")) is None
    strict, lax = (make_tls_context(Plan(1, "wss://h/", insecure=each)) for each in (False, True))
    assert (strict.verify_mode, lax.verify_mode) == (ssl.CERT_REQUIRED, ssl.CERT_NONE)


def test_files_of_certificates_are_those_of_the_plan(tmp_path):
    authority = trustme.CA()
    ours = authority.issue_cert("h")
    files = {name: tmp_path / name for name in ("cacert", "cert", "key")}
    authority.cert_pem.write_to_path(files["cacert"])
    ours.cert_chain_pems[0].write_to_path(files["cert"])
    ours.private_key_pem.write_to_path(files["key"])
    named = {name: str(path) for name, path in files.items()}
    context = make_tls_context(Plan(1, "wss://h/", **named))
    assert len(context.get_ca_certs()) == 1
    for name in files:
        with pytest.raises(CertificateUnusable):
            make_tls_context(Plan(1, "wss://h/", **named | {name: str(tmp_path / "none")}))


# -- In two steps ---------------------------------------------------------------------------------


@pytest.fixture(params=[True, False], ids=["at once", "later"])
def opens_at_once(request, monkeypatch):
    """As on Linux, where a connection to this machine is open at once, and as elsewhere."""
    if request.param and sys.platform != "linux":
        pytest.skip("it is so on Linux")
    monkeypatch.setattr(sockets, "_SENDS_AT_ONCE", request.param)
    return request.param


async def step_by_step(dialer: Dialer, counts: Counter[str]) -> socket.socket | None:
    """Begin to connect, and finish that; ``None`` if `dial` has to."""
    begun = dialer.begin(counts, b"hello")
    return await dialer.finish(begun, counts, b"hello") if isinstance(begun, Pending) else begun


async def test_a_connection_in_two_steps_is_one_that_has_said_its_first_words(
    listening, opens_at_once
):
    dialer = Dialer(listening("127.0.0.2", "127.0.0.3"), Sources(("127.0.0.8", "127.0.0.9")))
    counts: Counter[str] = Counter()
    begun = dialer.begin(counts, b"hello")
    assert isinstance(begun, Pending) != opens_at_once
    assert counts == {"127.0.0.2": int(opens_at_once), "127.0.0.3": 0}
    if isinstance(begun, Pending):
        begun = await dialer.finish(begun, counts, b"hello")
    assert begun is not None
    with begun, await step_by_step(dialer, counts) as other:
        assert counts == {"127.0.0.2": 1, "127.0.0.3": 1}
        assert [sock.getsockname()[0] for sock in (begun, other)] == ["127.0.0.8", "127.0.0.9"]


async def test_where_nobody_listens_the_second_step_or_dialling_finds_another(
    listening, opens_at_once
):
    addresses = listening("127.0.0.2", dead=("127.0.0.4",))
    dialer = Dialer(addresses, Sources(()))
    counts: Counter[str] = Counter()
    sock = await step_by_step(dialer, counts)
    assert (sock is None) == opens_at_once
    with sock or await dialer.dial(counts), await step_by_step(dialer, counts):
        assert counts == {"127.0.0.4": 0, "127.0.0.2": 2}
    for _ in range(2):
        with pytest.raises(ConnectionRefusedError):
            await step_by_step(Dialer(addresses[:1], Sources(())), counts)


async def test_the_last_address_that_is_left_is_not_left_out_for_one_that_is_dead(opens_at_once):
    with socket.socket() as unused:
        unused.bind(("127.0.0.2", 0))
        port = unused.getsockname()[1]
    addresses = [(socket.AF_INET, (f"127.0.0.{host}", port)) for host in (2, 3)]
    dialer, refused = Dialer(addresses, Sources(())), 0
    for _ in range(2):
        with suppress(ConnectionRefusedError):
            await step_by_step(dialer, Counter())
            refused -= 1  # Where both are open at once, another look is left to `dial`.
        refused += 1
    assert refused == 2 - opens_at_once
    assert len(dialer._alive) == 1
    for _ in range(3):
        with pytest.raises(ConnectionRefusedError):
            await step_by_step(dialer, Counter())


def test_an_address_that_cannot_be_had_is_final_if_it_is_the_only_one(listener):
    two = Dialer([address_of(listener)], Sources((FOREIGN, "192.0.2.8")))
    assert two.begin(Counter(), b"hello") is None
    elsewhere = (socket.AF_INET, ("127.0.0.2", 1))
    for addresses in ([address_of(listener)], [address_of(listener), elsewhere]):
        one = Dialer(addresses, Sources((FOREIGN,)))
        with pytest.raises(OSError, match=NOT_TO_BE_HAD):
            one.begin(Counter(), b"hello")
