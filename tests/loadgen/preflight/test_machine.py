import socket
from contextlib import ExitStack
from pathlib import Path

from loadgen.preflight.machine import Ports, TcpEntry, count_ports, gather, parse_tcp
from loadgen.workload.sources import Sources

ESTABLISHED, TIME_WAIT, LISTEN = 1, 6, 10
SERVER = ("127.0.0.1", 8765)
PORTS = range(40_000, 40_010)


def counted(*entries, sources=("127.0.0.1",), reserved=(), time_wait_is_reused=False):
    return count_ports(
        PORTS, set(reserved), sources, SERVER, entries, time_wait_is_reused=time_wait_is_reused
    )


def ours(port, state=ESTABLISHED, host="127.0.0.1", to=SERVER):
    return TcpEntry((host, port), to, state)


def test_each_connection_to_the_same_destination_takes_a_port():
    assert counted(ours(40_000), ours(40_009), ours(40_010)) == Ports(left=8, waiting=0)


def test_a_port_serves_other_destinations_as_well():
    assert counted(
        ours(40_000, to=("127.0.0.1", 80)), ours(40_001, to=("10.0.0.1", 8765))
    ) == Ports(left=10, waiting=0)


def test_the_servers_end_of_a_connection_takes_none():
    assert counted(TcpEntry(SERVER, ("127.0.0.1", 40_000), TIME_WAIT)).left == 10


def test_listeners_and_what_is_reserved_take_a_port_from_all():
    listener = TcpEntry(("0.0.0.0", 40_003), ("0.0.0.0", 0), LISTEN)
    assert counted(listener, reserved=[40_004, 50_000]).left == 8


def test_a_port_in_time_wait_is_only_waiting():
    assert counted(ours(40_000, TIME_WAIT), ours(40_001)) == Ports(left=8, waiting=1)


def test_where_the_system_reuses_time_wait_it_takes_no_port():
    assert counted(ours(40_000, TIME_WAIT), time_wait_is_reused=True) == Ports(left=10, waiting=0)


def test_each_local_address_has_ports_of_its_own():
    sources = ("127.0.0.2", "127.0.0.3")
    assert counted(ours(40_000, host="127.0.0.2"), ours(40_000), sources=sources).left == 19


def test_the_kernels_table_is_read():
    table = (
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n"
        "   0: 0100007F:9C40 0200007F:223D 06 00000000:00000000 00:00000000 00000000     0\n"
        "   1: 0000000000000000FFFF00000100007F:9C41 0000000000000000FFFF00000200007F:223D 01 0:0\n"
        "   2: 00000000000000000000000001000000:9C42 00000000000000000000000000000000:0000 0A 0:0\n"
    )
    assert list(parse_tcp(table.splitlines())) == [
        TcpEntry(("127.0.0.1", 40_000), ("127.0.0.2", 8765), TIME_WAIT),
        TcpEntry(("127.0.0.1", 40_001), ("127.0.0.2", 8765), ESTABLISHED),
        TcpEntry(("::1", 40_002), ("::", 0), LISTEN),
    ]


def test_connections_of_this_process_are_found():
    with socket.create_server(("127.0.0.1", 0), backlog=8) as listener:
        address = (socket.AF_INET, listener.getsockname())
        before = gather([address], Sources(()))
        with ExitStack() as stack:
            clients = [
                stack.enter_context(socket.create_connection(listener.getsockname()))
                for _ in range(3)
            ]
            after = gather([address], Sources(()))
            entries = list(parse_tcp(Path("/proc/net/tcp").read_text().splitlines()))
            found = {entry.local for entry in entries if entry.remote == listener.getsockname()}
            # Whoever had this port before us may have left connections in TIME_WAIT.
            assert found >= {client.getsockname() for client in clients}
    assert before.loopback
    # Other programs come and go as well.
    assert after.ports_left <= len(after.ports) - 3
    assert after.open_files - before.open_files == 3
    assert 0 < after.available_bytes <= after.memory_bytes
    assert after.file_limit <= after.file_hard_limit


def test_foreign_addresses_are_told_from_our_own():
    address = (socket.AF_INET, ("127.0.0.1", 9))
    facts = gather([address], Sources(("127.0.0.2", "192.0.2.7")))
    assert facts.foreign == ("192.0.2.7",)
    assert facts.addresses == 2


def test_a_block_of_thousands_is_not_walked_through():
    address = (socket.AF_INET, ("127.0.0.1", 9))
    facts = gather([address], Sources(("127.0.0.0/8",)))
    assert facts.foreign == ()
    assert facts.ports_left > 1_000_000
    assert gather([address], Sources(())).open_files == facts.open_files


def test_a_port_that_is_used_and_in_time_wait_is_used():
    entries = [
        TcpEntry(("127.0.0.1", 40_000), ("127.0.0.2", 8765), ESTABLISHED),
        TcpEntry(("127.0.0.1", 40_000), ("127.0.0.2", 8765), TIME_WAIT),
        TcpEntry(("127.0.0.1", 40_001), ("127.0.0.2", 8765), TIME_WAIT),
    ]
    counted = count_ports(
        range(40_000, 40_010), set(), ["127.0.0.1"], ("127.0.0.2", 8765), entries,
        time_wait_is_reused=False,
    )  # fmt: skip
    assert (counted.left, counted.waiting) == (8, 1)


def test_the_range_of_ports_is_as_the_kernel_has_it_with_its_last():
    low, high = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()
    facts = gather([(socket.AF_INET, ("127.0.0.1", 9))], Sources(()))
    assert (facts.ports[0], facts.ports[-1]) == (int(low), int(high))
