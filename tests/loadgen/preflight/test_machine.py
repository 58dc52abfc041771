import errno
import socket
from contextlib import ExitStack
from pathlib import Path

from loadgen.preflight import machine, proc
from loadgen.preflight.machine import gather, network, own_sources
from loadgen.preflight.ports import Ports, parse_tcp
from loadgen.workload.sources import Sources


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


def test_an_address_whose_ports_are_all_taken_is_our_own_all_the_same(monkeypatch):
    def bind(self, address):
        taken = {"127.0.0.2": errno.EADDRINUSE, "127.0.0.3": errno.EADDRNOTAVAIL}
        raise OSError(taken[address[0]], "as the system says")

    monkeypatch.setattr(socket.socket, "bind", bind)
    sources = ("127.0.0.2", "127.0.0.3")
    facts = gather([(socket.AF_INET, ("127.0.0.1", 9))], Sources(sources))
    assert facts.foreign == ("127.0.0.3",)
    assert own_sources("127.0.0.2-127.0.0.3") == ["127.0.0.2"]


def test_a_block_of_thousands_is_not_walked_through():
    address = (socket.AF_INET, ("127.0.0.1", 9))
    facts = gather([address], Sources(("127.0.0.0/8",)))
    assert (facts.foreign, facts.addresses) == ((), 2**24 - 2)
    assert facts.ports_left > 1_000_000
    assert gather([address], Sources(())).open_files == facts.open_files


def test_without_sources_ports_are_those_of_the_address_that_the_system_would_choose(monkeypatch):
    asked = []

    def count_left(range_, sources, target):
        asked.append((list(sources), target))
        return Ports(left=5, waiting=7)

    monkeypatch.setattr(machine.ports, "count_left", count_left)
    for host, sources, chosen in (
        ("127.0.0.1", (), ["127.0.0.1"]),
        ("127.0.0.1", ("127.0.0.2-127.0.0.3",), ["127.0.0.2", "127.0.0.3"]),
    ):
        target = (host, 9)
        facts = gather([(socket.AF_INET, target), (socket.AF_INET, ("10.0.0.1", 9))],
                       Sources(sources))  # fmt: skip
        assert asked.pop() == (chosen, target)
        assert (facts.ports_left, facts.ports_waiting, facts.loopback) == (5, 7, True)
        assert facts.addresses == len(chosen)


def test_one_network_has_one_name(monkeypatch, tmp_path):
    for boot in ("one", "two"):
        folder = tmp_path / boot / "sys/kernel/random"
        folder.mkdir(parents=True)
        (folder / "boot_id").write_text(f"{boot}\n")
        (tmp_path / boot / "self/ns").mkdir(parents=True)
        (tmp_path / boot / "self/ns/net").touch()
        monkeypatch.setattr(proc, "PROC", tmp_path / boot)
        inode = (tmp_path / boot / "self/ns/net").stat().st_ino
        assert network() == f"{boot} {inode}"
    monkeypatch.setattr(proc, "PROC", tmp_path / "none")
    assert network() == socket.gethostname()


def test_the_range_of_ports_is_as_the_kernel_has_it_with_its_last():
    low, high = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()
    facts = gather([(socket.AF_INET, ("127.0.0.1", 9))], Sources(()))
    assert (facts.ports[0], facts.ports[-1]) == (int(low), int(high))


def test_memory_is_that_of_the_machine_with_its_swap(monkeypatch, tmp_path):
    address = (socket.AF_INET, ("127.0.0.1", 9))
    monkeypatch.setattr(proc, "PROC", tmp_path)
    assert gather([address], Sources(())).memory_bytes is None
    told = "MemTotal:  8 kB\nMemFree:  1 kB\nMemAvailable:  5 kB\n"
    for more, memory_kb in (("SwapTotal:  3 kB\nSwapFree:  2 kB\n", 11), ("", 8)):
        (tmp_path / "meminfo").write_text(told + more)
        facts = gather([address], Sources(()))
        assert (facts.memory_bytes, facts.available_bytes) == (memory_kb * 1024, 5 * 1024)
