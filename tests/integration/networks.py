"""Machines for tests: network namespaces, each with addresses of its own, joined by a bridge."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from .deploy.conftest import program


@contextmanager
def machines(**addresses: list[str]) -> Iterator[Callable[[str], list[str]]]:
    """Machines by their names, in one network of 24 bits; gone with the block.

    :returns: what a command has to begin with to run on one.
    """
    if os.geteuid() != 0:
        pytest.skip("needs root, for network namespaces")
    ip = program("ip", "iproute2")
    tag = f"et{os.getpid()}"
    made: list[str] = []

    def run(*arguments: str) -> None:
        subprocess.run([ip, *arguments], check=True)

    def add(name: str) -> str:
        added = subprocess.run(
            [ip, "netns", "add", f"{tag}-{name}"], capture_output=True, text=True, check=False
        )
        if added.returncode:
            pytest.skip(f"network namespaces are refused: {added.stderr.strip()}")
        made.append(f"{tag}-{name}")
        run("-n", made[-1], "link", "set", "lo", "up")
        return made[-1]

    try:
        switch = add("switch")
        run("-n", switch, "link", "add", "bridge", "type", "bridge")
        run("-n", switch, "link", "set", "bridge", "up")
        for name, own in addresses.items():
            machine, port = add(name), f"to-{name}"
            run(
                *("-n", switch, "link", "add", port, "type", "veth"),
                *("peer", "name", "eth0", "netns", machine),
            )
            run("-n", switch, "link", "set", port, "master", "bridge", "up")
            for address in own:
                run("-n", machine, "addr", "add", f"{address}/24", "dev", "eth0")
            run("-n", machine, "link", "set", "eth0", "up")
        yield lambda name: [ip, "netns", "exec", f"{tag}-{name}"]
    finally:
        for namespace in made:
            run("netns", "del", namespace)
