import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from loadgen.preflight import sock_diag
from loadgen.preflight.ports import find_connections

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="of Linux")
ESTABLISHED = 1


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture(params=["sock_diag", "proc"])
def _source(request, monkeypatch):
    if request.param == "proc":
        monkeypatch.setattr(sock_diag, "_NETLINK_SOCK_DIAG", 99)  # of which the kernel knows none
        with pytest.raises(OSError, match="rotocol"):
            list(sock_diag.find(1, with_time_wait=True))


def connect(stack, *address):
    return stack.enter_context(socket.create_connection(address))


@pytest.mark.usefixtures("_source")
def test_connections_to_a_port_are_found_by_each_family_and_so_are_listeners(stack):
    listener = stack.enter_context(
        socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True)
    )
    port = listener.getsockname()[1]
    clients = [connect(stack, host, port) for host in ("127.0.0.1", "127.0.0.1", "::1")]
    names = {client.getsockname()[:2] for client in clients}
    found = set(find_connections(port, with_time_wait=True))
    # /proc is read in pieces: what changes meanwhile moves others into sight twice, or out of it.
    while not names <= {entry.local for entry in found}:
        found = set(find_connections(port, with_time_wait=True))
    for client in clients:
        # Its port may serve other tests' connections, to elsewhere: these are found in /proc, too.
        ends = client.getsockname()[:2], client.getpeername()[:2]
        assert [each.state for each in found if (each.local, each.remote) == ends] == [ESTABLISHED]
    listening = {entry.local for entry in found if entry.state == sock_diag.LISTEN}
    assert ("::", port) in listening


def test_of_other_ports_there_are_listeners_alone_and_time_wait_if_it_is_asked_for(stack):
    wanted, other = (stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(2))
    port = wanted.getsockname()[1]
    connect(stack, *other.getsockname())
    client = connect(stack, *wanted.getsockname())
    accepted, _ = wanted.accept()
    name = client.getsockname()
    client.close()  # first, so that its end is the one that waits
    assert accepted.recv(1) == b""
    accepted.close()
    while not [
        state
        for local, _, state in sock_diag.find(port, with_time_wait=True)
        if (local, state) == (name, sock_diag.TIME_WAIT)
    ]:
        pass
    for with_time_wait in (True, False):
        found = list(sock_diag.find(port, with_time_wait=with_time_wait))
        states = {state for local, _, state in found if local == name}
        assert states == ({sock_diag.TIME_WAIT} if with_time_wait else set())
        assert {remote[1] for _, remote, state in found if state != sock_diag.LISTEN} <= {port}
        assert other.getsockname() in {local for local, _, _ in found}
