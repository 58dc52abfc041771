"""Count the local ports that are left to a destination, from Linux's tables of its connections."""

from __future__ import annotations

import ipaddress
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, islice
from typing import Final

from loadgen.preflight import proc, sock_diag

_TIME_WAIT: Final = sock_diag.TIME_WAIT
_LISTEN: Final = sock_diag.LISTEN


@dataclass(frozen=True, slots=True)
class TcpEntry:
    """One line of /proc/net/tcp."""

    local: tuple[str, int]
    remote: tuple[str, int]
    state: int


def local_range() -> range | None:
    """Read the range from which Linux chooses local ports; ``None`` where it does not tell."""
    with suppress(ValueError):
        low, high = map(int, proc.read("sys/net/ipv4/ip_local_port_range").split())
        return range(low, high + 1)
    return None


def _reserved_ports() -> set[int]:
    reserved: set[int] = set()
    for part in proc.read("sys/net/ipv4/ip_local_reserved_ports").strip().split(","):
        low, _, high = part.partition("-")
        with suppress(ValueError):
            reserved.update(range(int(low), int(high or low) + 1))
    return reserved


def count_left(ports: range, sources: Sequence[str], target: tuple[str | int, ...]) -> Ports:
    """Count the ports from which these local addresses can still reach a target."""
    destination = (plain(str(target[0])), int(target[1]))
    reuse = proc.read("sys/net/ipv4/tcp_tw_reuse").strip()
    is_loopback = ipaddress.ip_address(destination[0]).is_loopback
    # 2, the default, means: on the loopback interface.
    time_wait_is_reused = reuse == "1" or (reuse == "2" and is_loopback)
    return count_ports(
        ports,
        _reserved_ports(),
        [plain(source) for source in sources],
        destination,
        find_connections(destination[1], with_time_wait=not time_wait_is_reused),
        time_wait_is_reused=time_wait_is_reused,
    )


def find_connections(port: int, *, with_time_wait: bool) -> Iterator[TcpEntry]:
    """Find the listeners and the connections to a port; perhaps others, and some twice."""
    try:
        for local, remote, state in sock_diag.find(port, with_time_wait=with_time_wait):
            yield TcpEntry((plain(local[0]), local[1]), (plain(remote[0]), remote[1]), state)
    except OSError:
        yield from parse_tcp(chain(proc.lines("net/tcp"), islice(proc.lines("net/tcp6"), 1, None)))


@dataclass(frozen=True, slots=True)
class Ports:
    """The local ports to one destination, over all local addresses.

    :ivar left: ports that are free now.
    :ivar waiting: ports that are free within a minute.
    """

    left: int
    waiting: int


def count_ports(
    ports: range,
    reserved: set[int],
    sources: Sequence[str],
    destination: tuple[str, int],
    entries: Iterable[TcpEntry],
    *,
    time_wait_is_reused: bool,
) -> Ports:
    """Count the ports from which `connect` can still reach a destination.

    A port serves many destinations at once, so only connections to this one take it, and
    listeners, which take it from all.
    """
    used: dict[str, set[int]] = {source: set() for source in sources}
    waiting: dict[str, set[int]] = {source: set() for source in sources}
    listening: set[int] = set()
    for entry in entries:
        host, port = entry.local
        if entry.state == _LISTEN:
            listening.add(port)
        elif entry.remote == destination and host in used:
            if entry.state != _TIME_WAIT:
                used[host].add(port)
            elif not time_wait_is_reused:
                waiting[host].add(port)
    # The few that are taken are kept, and not the many that are left, which take 3 MB.
    gone = {port for port in reserved | listening if port in ports}

    def usable(some: set[int]) -> int:
        return sum(port in ports and port not in gone for port in some)

    return Ports(
        left=sum(
            len(ports) - len(gone) - usable(used[source] | waiting[source]) for source in sources
        ),
        waiting=sum(usable(waiting[source] - used[source]) for source in sources),
    )


def parse_tcp(table: Iterable[str]) -> Iterator[TcpEntry]:
    """Read /proc/net/tcp or tcp6 (Linux, Documentation/networking/proc_net_tcp.rst)."""
    for line in islice(table, 1, None):  # below its heading
        fields = line.split(None, 4)
        if len(fields) > 3:
            yield TcpEntry(_endpoint(fields[1]), _endpoint(fields[2]), int(fields[3], 16))


def _endpoint(text: str) -> tuple[str, int]:
    address, _, port = text.partition(":")
    return _unhex(address), int(port, 16)


@lru_cache(maxsize=1024)
def _unhex(address: str) -> str:
    # The kernel prints each 32-bit word of the address in the machine's own order.
    words = bytes.fromhex(address)
    packed = b"".join(
        int.from_bytes(words[at : at + 4], "big").to_bytes(4, sys.byteorder)
        for at in range(0, len(words), 4)
    )
    return plain(str(ipaddress.ip_address(packed)))


def plain(address: str) -> str:
    """Write an address in its one form here: without its scope, as IPv4 if it is mapped."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return str(mapped or parsed)
