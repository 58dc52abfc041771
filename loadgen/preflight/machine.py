"""What preflight wants to know of this machine, from Linux's /proc; elsewhere it knows less."""

from __future__ import annotations

import errno
import ipaddress
import re
import socket
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, islice
from pathlib import Path
from typing import Final

from echo_trio.wire import process
from echo_trio.wire.sockets import Address
from loadgen.preflight.check import DEFAULT_PORTS, MachineFacts
from loadgen.workload.sources import Sources, as_ranges

_PROC: Final = Path("/proc")
#: So many local addresses are looked at: they have 7 million ports.
_MAX_SOURCES: Final = 256
_TIME_WAIT: Final = 6
_LISTEN: Final = 10
_MEMORY: Final = re.compile(r"^(MemTotal|SwapTotal|MemAvailable): +(\d+) kB$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class TcpEntry:
    """One line of /proc/net/tcp."""

    local: tuple[str, int]
    remote: tuple[str, int]
    state: int


def gather(addresses: list[Address], sources: Sources) -> MachineFacts:
    """Find out. Reads files and binds sockets; takes milliseconds, more with many connections.

    :param addresses: of the target.
    :param sources: to connect from; none leaves that to the system.
    """
    memory = {key: int(kb) * 1024 for key, kb in _MEMORY.findall(_read("meminfo"))}
    family, target = addresses[0]
    own = sources[:_MAX_SOURCES] if sources else _chosen_source(family, target)
    ports = _port_range()
    counted = None if ports is None or not own else _count_ports(ports, own, target)
    return MachineFacts(
        file_limit=process.file_limit(),
        file_hard_limit=process.file_limit(hard=True),
        open_files=_count_open_files(),
        memory_bytes=memory["MemTotal"] + memory.get("SwapTotal", 0) if memory else None,
        available_bytes=memory.get("MemAvailable"),
        ports=ports or DEFAULT_PORTS,
        ports_left=counted.left if counted else None,
        ports_waiting=counted.waiting if counted else 0,
        addresses=max(len(sources), 1),
        foreign=tuple(source for source in own if not _is_own(source)) if sources else (),
        loopback=ipaddress.ip_address(_plain(str(target[0]))).is_loopback,
    )


def _read(name: str) -> str:
    with suppress(OSError):
        return (_PROC / name).read_text(encoding="ascii")
    return ""


def _lines(name: str) -> Iterator[str]:
    """The same line by line: with 100,000 connections a table is 15 MB, and as objects 100."""
    with suppress(OSError), (_PROC / name).open(encoding="ascii") as file:
        yield from file


def _count_open_files() -> int:
    with suppress(OSError):
        return len(list(Path("/dev/fd").iterdir()))
    return 0


# -- Local addresses and ports ----------------------------------------------------------------


def _chosen_source(family: socket.AddressFamily, target: tuple[str | int, ...]) -> list[str]:
    """The address that the system would connect from. Nothing is sent for that."""
    with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.connect(target)
        return [sock.getsockname()[0]]
    return []


def own_sources(text: str) -> list[str]:
    """Those of a `--source-ip` that are this machine's, as addresses and ranges. Binds to each."""
    return as_ranges(source for source in Sources([text]) if _is_own(source))


def network() -> str:
    """A name of the network that this process is in: who has the same shares its addresses."""
    with suppress(OSError):
        boot = (_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {(_PROC / 'self/ns/net').stat().st_ino}"
    return socket.gethostname()


def _is_own(source: str) -> bool:
    family = socket.AF_INET6 if ":" in source else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        try:
            sock.bind((source, 0))
        except OSError as exc:
            return exc.errno != errno.EADDRNOTAVAIL
    return True


def _port_range() -> range | None:
    with suppress(ValueError):
        low, high = map(int, _read("sys/net/ipv4/ip_local_port_range").split())
        return range(low, high + 1)
    return None


def _reserved_ports() -> set[int]:
    reserved: set[int] = set()
    for part in _read("sys/net/ipv4/ip_local_reserved_ports").strip().split(","):
        low, _, high = part.partition("-")
        with suppress(ValueError):
            reserved.update(range(int(low), int(high or low) + 1))
    return reserved


def _count_ports(ports: range, sources: Sequence[str], target: tuple[str | int, ...]) -> Ports:
    destination = (_plain(str(target[0])), int(target[1]))
    reuse = _read("sys/net/ipv4/tcp_tw_reuse").strip()
    is_loopback = ipaddress.ip_address(destination[0]).is_loopback
    return count_ports(
        ports,
        _reserved_ports(),
        [_plain(source) for source in sources],
        destination,
        chain(parse_tcp(_lines("net/tcp")), parse_tcp(_lines("net/tcp6"))),
        # 2, the default, means: on the loopback interface.
        time_wait_is_reused=reuse == "1" or (reuse == "2" and is_loopback),
    )


@dataclass(frozen=True, slots=True)
class Ports:
    """Local ports to one destination, over all local addresses.

    :ivar left: that can be had now.
    :ivar waiting: that can be had within a minute.
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
    usable = set(ports) - reserved - listening
    taken = [usable & (used[source] | waiting[source]) for source in sources]
    return Ports(
        left=sum(len(usable) - len(each) for each in taken),
        waiting=sum(len((usable & waiting[source]) - used[source]) for source in sources),
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
    return _plain(str(ipaddress.ip_address(packed)))


def _plain(address: str) -> str:
    """An address by the one name it has here: without its scope, as IPv4 if it is mapped."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return str(mapped or parsed)
