import pytest

from loadgen.preflight import ports, proc
from loadgen.preflight.ports import Ports, TcpEntry, count_ports, parse_tcp

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
    # Once, also if a connection has such a port: before it was reserved, or from another address.
    entries = [ours(40_003), ours(40_004), ours(40_005, TIME_WAIT), ours(40_004, TIME_WAIT)]
    assert counted(listener, *entries, reserved=[40_004]) == Ports(left=7, waiting=1)
    assert counted(listener, ours(40_003, TIME_WAIT)) == Ports(left=9, waiting=0)


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


@pytest.mark.parametrize(
    ("text", "reserved"),
    [
        ("", set()),
        ("\n", set()),
        ("40003\n", {40_003}),
        ("40003,40005-40007,8080", {40_003, 40_005, 40_006, 40_007, 8080}),
        ("40005-40005", {40_005}),
    ],
)
def test_what_the_system_keeps_for_others_is_read_with_both_ends(
    monkeypatch, tmp_path, text, reserved
):
    folder = tmp_path / "sys/net/ipv4"
    folder.mkdir(parents=True)
    (folder / "ip_local_reserved_ports").write_text(text)
    (folder / "ip_local_port_range").write_text("40000\t40009\n")
    monkeypatch.setattr(proc, "PROC", tmp_path)
    assert ports.local_range() == PORTS
    left = ports.count_left(PORTS, ["127.0.0.1"], SERVER)
    assert left == Ports(left=10 - len(reserved & set(PORTS)), waiting=0)


@pytest.mark.parametrize(
    ("reuse", "target", "is_reused"),
    [
        ("0", "127.0.0.1", False), ("1", "127.0.0.1", True), ("2", "127.0.0.1", True),
        ("0", "10.0.0.9", False), ("1", "10.0.0.9", True), ("2", "10.0.0.9", False),
        ("2", "::1", True), ("2", "::ffff:127.0.0.5", True), ("", "127.0.0.1", False),
    ],
)  # fmt: skip
def test_ports_in_time_wait_are_asked_for_where_the_system_does_not_reuse_them(
    monkeypatch, tmp_path, reuse, target, is_reused
):
    folder = tmp_path / "sys/net/ipv4"
    folder.mkdir(parents=True)
    (folder / "tcp_tw_reuse").write_text(f"{reuse}\n")
    monkeypatch.setattr(proc, "PROC", tmp_path)
    asked = []

    def find(port, *, with_time_wait):
        asked.append((port, with_time_wait))
        remote = (ports.plain(target), port)
        return iter([(("10.0.0.1", 40_000), remote, TIME_WAIT)])

    monkeypatch.setattr(ports.sock_diag, "find", find)
    left = ports.count_left(PORTS, ["10.0.0.1"], (target, 8765))
    assert asked == [(8765, not is_reused)]
    assert left == (Ports(left=10, waiting=0) if is_reused else Ports(left=9, waiting=1))
