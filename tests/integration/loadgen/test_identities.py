"""Whatever a server does, the books of both ends add up, and agree with each other.

`loadgen_here` holds the report against itself, and `identities` the server; this adds what only the
two together tell.
"""

from __future__ import annotations

import json
import time
from typing import Any
from urllib.request import urlopen

import pytest

from ..conftest import ServerProcess

QUICK = ("--rate-per-conn", "100/s", "--duration", "120ms", "--stop-timeout", "6s")
#: What is done to six sockets: the path, more flags, and whether the server reads every message.
RUNS = {
    "exact": ("plain", ("--verify", "exact"), True),
    "closed loop": ("", ("--closed-loop", "--messages", "5", "--stop-timeout", "6s"), True),
    "some twice": ("duplicate/3", (), True),
    "some wrong": ("corrupt/3", (), True),
    "some swallowed": ("swallow/4", (), True),
    "some late": ("reorder/2", (), True),
    "in fragments": ("fragment/5", (), True),
    "compressed": ("plain", ("--verify", "exact", "--compression"), True),
    "closed by the server": ("close/4000", (), False),
    "reset by the server": ("drop/5", (), False),
    "no such path": ("nowhere", (), True),
    "replaced by age": ("plain", ("--verify", "exact", "--lifetime", "60ms"), True),
    "nothing is matched": ("plain", ("--verify", "off"), True),
    "some misbehave": ("plain", ("--verify", "exact", "--behave", "no-pong:50%"), True),
    "nothing is said": ("silent", ("--rate-per-conn", "0/s", "--duration", "50ms"), True),
}  # fmt: skip


def settled(console: ServerProcess) -> dict[str, Any]:
    """The server's numbers, once nobody is there."""
    deadline = time.monotonic() + 60
    while True:
        with urlopen(f"{console.console}api/server") as answer:
            now: dict[str, Any] = json.loads(answer.read())
        if not now["open"] + now["handshaking"]:
            return now
        assert time.monotonic() < deadline, now
        time.sleep(0.005)


@pytest.mark.parametrize(("path", "flags", "reads_all"), RUNS.values(), ids=RUNS)
def test_the_books_of_both_ends_add_up_and_agree(loadgen_here, console, path, flags, reads_all):
    before = settled(console)
    given = flags if {"--messages", "--rate-per-conn"} & set(flags) else (*QUICK, *flags)
    report = loadgen_here("6", console.url + path, *given).report
    after = settled(console)
    new = {name: after[name] - before[name] for name in before if isinstance(before[name], int)}
    apart = report.get("misbehaving", {}).values()
    opened = report["connections"]["opened"] + sum(books["opened"] for books in apart)
    tcp = report["connections"]["funnel"]["tcp"] + sum(books["opened"] for books in apart)
    codes = sum(after["close_codes"].values()) - sum(before["close_codes"].values())
    assert (new["accepted"], codes) == (tcp, opened)
    assert sum(after["refused"].values()) - sum(before["refused"].values()) == tcp - opened
    if not apart and reads_all:
        assert new["messages_received"] == report["messages"]["sent"]
        assert new["messages_sent"] == report["messages"]["received"]
