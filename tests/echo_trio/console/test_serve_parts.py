"""Check what a console is made of: its figures, its lines of waiting, its dials, its slots."""

from __future__ import annotations

import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from echo_trio.console import serve as serve_module
from echo_trio.console.serve import Console
from echo_trio.console.slots import Slots
from echo_trio.metrics.activity import Activity
from echo_trio.settings import Settings


class Parts:
    """The parts that a console has made, by name."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.contexts: list[Any] = []
        monkeypatch.setattr(serve_module, "make_app", self.make_app)
        monkeypatch.setattr(serve_module, "ClientContexts", self.make_contexts)

    def make_app(self, sources: Any, snapshots: Any, live: Any, *more: Any) -> Any:
        self.sources, self.snapshots, self.live = sources, snapshots, live
        self.runs, self.dialling, self.page = more
        return "the app"

    def make_contexts(self, *files: Any) -> Any:
        self.contexts.append(files)
        return SimpleNamespace(check=lambda: self.contexts.append("checked"), names=[])


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> Parts:
    return Parts(monkeypatch)


def make(**more: Any) -> Console:
    settings = Settings(
        run_target=("a.example:1",), dial_cert=(Path("one.pem"), Path("two.pem")),
        dial_cacert=Path("ca.pem"),
    )  # fmt: skip
    return Console(settings, [], url="ws://127.0.0.1:9/", **more)


async def test_its_figures_are_those_of_the_server(parts: Parts, tmp_path: Path) -> None:
    taken, known, tasks, faults, activity = object(), object(), object(), object(), Activity()
    console = make(
        snapshot=lambda: taken, known=lambda: known, tasks=lambda: tasks, faults=faults,
        activity=activity, log=None, page=tmp_path,
    )  # fmt: skip
    assert (await parts.snapshots.known(), await parts.snapshots.now()) == (known, taken)
    assert (parts.live, parts.live._activity) == (console.live, activity)
    assert parts.live._snapshots is parts.snapshots
    assert (parts.sources.tasks(), parts.sources.faults) == (tasks, faults)
    assert (parts.runs, parts.dialling, parts.page) == (console._runs, console._dialling, tmp_path)
    console.failures = 3
    console.accept_faults["EMFILE"] = 2
    page = parts.sources.metrics()
    assert b"echo_trio_console_failures_total 3.0\n" in page
    assert b'echo_trio_console_accept_faults_total{error="EMFILE"} 2.0\n' in page


async def test_requests_health_and_dials_wait_in_lines_of_their_own(parts: Parts) -> None:
    console = make(snapshot=object, log=None)
    server = console._server
    assert server.slots is console.connections
    assert console.connections._limit == 128
    shares = [
        (turns._share, turns._burst_s, turns._advance_s)
        for turns in (
            server._turns, server._health_turns, console._dialling._room.take_turn.__self__,
        )
    ]  # fmt: skip
    assert shares == [(0.25, 0.01, 0.001), (0.2, 0.005, 0.0004), (0.2, 0.01, 0.0005)]
    assert parts.contexts == [
        ({"one": Path("one.pem"), "two": Path("two.pem")}, Path("ca.pem")), "checked",
    ]  # fmt: skip


@pytest.mark.parametrize("is_full", [False, True])
@pytest.mark.parametrize("asks_for_health", [False, True])
async def test_who_asks_for_health_has_a_slot_of_its_own_where_all_are_taken(
    parts: Parts, monkeypatch: pytest.MonkeyPatch, is_full: bool, asks_for_health: bool
) -> None:
    console = make(snapshot=object, log=SimpleNamespace(warning=lambda *_, **__: None))
    console.connections = Slots(1)
    if is_full:
        console.connections.take()
    monkeypatch.setattr(serve_module, "asks_for_health", lambda _: asks_for_health)
    slot = console._take_slot(socket.socket.__new__(socket.socket))
    if is_full and not asks_for_health:
        assert slot is None  # The other one waits for nothing.
    else:
        assert slot is not None
        assert slot.of_health is (is_full and asks_for_health)
