"""systemd is told where it asks to be, and nobody is waited for."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from echo_trio import systemd


@pytest.fixture
def listener(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """A socket on which nothing has been said yet, in the working directory."""
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        yield sock


@pytest.mark.parametrize("kind", ["path", "abstract"])
def test_each_state_is_one_datagram_wherever_the_socket_is(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str
) -> None:
    name = str(tmp_path / "notify") if kind == "path" else f"@echo-trio-test-{os.getpid()}"
    listener.bind(name.replace("@", "\0"))
    monkeypatch.setenv("NOTIFY_SOCKET", name)
    for state in (systemd.READY, systemd.STOPPING):
        systemd.notify(state)
    assert [listener.recv(100), listener.recv(100)] == [b"READY=1", b"STOPPING=1"]


@pytest.mark.parametrize("name", [None, "", "notify", "vsock:2:1"])
def test_nobody_is_told_who_has_not_asked(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch, name: str | None
) -> None:
    listener.bind("notify")
    if name is None:
        monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    else:
        monkeypatch.setenv("NOTIFY_SOCKET", name)
    systemd.notify(systemd.READY)
    with pytest.raises(BlockingIOError):
        listener.recv(100)


def test_who_does_not_listen_is_not_waited_for(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = str(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", path)
    systemd.notify(systemd.READY)  # Nobody is there.
    listener.bind(path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.setblocking(False)
        with suppress(BlockingIOError):
            while True:
                other.sendto(b"full", path)
    systemd.notify(systemd.READY)  # There is no room left.
    said = set()
    with suppress(BlockingIOError):
        while True:
            said.add(listener.recv(100))
    assert said == {b"full"}
