"""Gather the facts about this machine, from Linux's /proc; on other systems fewer are known."""

from __future__ import annotations

import errno
import ipaddress
import re
import socket
from contextlib import suppress
from pathlib import Path
from typing import Final

from echo_trio.wire import process
from echo_trio.wire.sockets import Address
from loadgen.preflight import ports, proc
from loadgen.preflight.check import LOCAL_PORTS, MachineFacts
from loadgen.workload.sources import Sources, as_ranges

#: The number of local addresses that are looked at: they have 7 million ports.
_MAX_SOURCES: Final = 256
_MEMORY: Final = re.compile(r"^(MemTotal|SwapTotal|MemAvailable): +(\d+) kB$", re.MULTILINE)


def gather(addresses: list[Address], sources: Sources) -> MachineFacts:
    """Gather the facts: reads files, binds sockets; milliseconds, or more with many connections.

    :param addresses: of the target.
    :param sources: to connect from; none leaves that to the system.
    """
    memory = {key: int(kb) * 1024 for key, kb in _MEMORY.findall(proc.read("meminfo"))}
    family, target = addresses[0]
    own = sources[:_MAX_SOURCES] if sources else _chosen_source(family, target)
    range_ = ports.local_range()
    counted = None if range_ is None or not own else ports.count_left(range_, own, target)
    return MachineFacts(
        file_limit=process.file_limit(),
        file_hard_limit=process.file_limit(hard=True),
        open_files=_count_open_files(),
        memory_bytes=memory["MemTotal"] + memory.get("SwapTotal", 0) if memory else None,
        available_bytes=memory.get("MemAvailable"),
        ports=range_ or LOCAL_PORTS,
        ports_left=counted.left if counted else None,
        ports_waiting=counted.waiting if counted else 0,
        addresses=max(len(sources), 1),
        foreign=tuple(source for source in own if not _is_own(source)) if sources else (),
        loopback=ipaddress.ip_address(ports.plain(str(target[0]))).is_loopback,
    )


def _count_open_files() -> int:
    with suppress(OSError):
        return len(list(Path("/dev/fd").iterdir()))
    return 0


def _chosen_source(family: socket.AddressFamily, target: tuple[str | int, ...]) -> list[str]:
    """Find the address that the system would connect from. Nothing is sent for that."""
    with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.connect(target)
        return [sock.getsockname()[0]]
    return []


def own_sources(text: str) -> list[str]:
    """Find this machine's addresses in a `--source-ip`, as addresses and ranges. Binds to each."""
    return as_ranges(source for source in Sources([text]) if _is_own(source))


def network() -> str:
    """Name this process's network: processes with the same name share its addresses."""
    with suppress(OSError):
        boot = (proc.PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {(proc.PROC / 'self/ns/net').stat().st_ino}"
    return socket.gethostname()


def _is_own(source: str) -> bool:
    family = socket.AF_INET6 if ":" in source else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        try:
            sock.bind((source, 0))
        except OSError as exc:
            return exc.errno != errno.EADDRNOTAVAIL
    return True
