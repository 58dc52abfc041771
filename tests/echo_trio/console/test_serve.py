"""The console goes on whatever fails, tells no client's text, and gives its port back."""

from __future__ import annotations

import errno
import json
import socket
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import structlog
import trio
from structlog.testing import LogCapture
from trio.testing import wait_all_tasks_blocked

from echo_trio.console import serve as serve_module
from echo_trio.console.serve import (
    ACCEPT_PAUSE_S,
    FIRST_PAUSE_S,
    LONGEST_PAUSE_S,
    SAME_FAILURE_S,
    Console,
    _access,
    _place_of,
)
from echo_trio.metrics import totals
from echo_trio.settings import Settings
from echo_trio.wire import process
from echo_trio.wire.budget import Budget

#: A hang guard, nothing else.
PATIENCE_S = 60.0


def settings_of(**settings: Any) -> Settings:
    return Settings(port=0, console_port=0, **settings)


MADE: list[Console] = []


@pytest.fixture(autouse=True)
def ports_given_back() -> Iterator[None]:
    yield
    while MADE:
        for listener in MADE.pop()._listeners:
            listener.close()


def make(
    page: Path, *, budget: Budget | None = None, **settings: Any
) -> tuple[Console, LogCapture]:
    logged = LogCapture()
    console = Console(
        settings_of(**settings),
        [socket.create_server(("127.0.0.1", 0))],
        url="ws://127.0.0.1:9/",
        snapshot=totals.nothing,
        budget=budget,
        log=structlog.wrap_logger(None, processors=[logged]),
        page=page,
    )
    for listener in console._listeners:
        listener.setblocking(False)
    MADE.append(console)
    return console, logged


async def test_it_serves_and_drains_and_gives_its_port_back(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("the page")
    console, logged = make(tmp_path)
    where = console._listeners[0].getsockname()

    async def ask(path: str) -> bytes:
        async with await trio.open_tcp_stream(*where) as stream:
            await stream.send_all(
                f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
            )
            return b"".join([bytes(part) async for part in stream])

    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            await nursery.start(console.run)
            assert console._runs._nursery is not None  # A run may begin from now on.
            assert (await ask("/")).endswith(b"\r\n\r\nthe page")
            assert (await ask("/readyz")).startswith(b"HTTP/1.1 200 ")
            assert b'"accepted":0' in await ask("/api/server")
            assert b"echo_trio_console_failures_total 0.0\n" in await ask("/metrics")
            console.drain()
            assert (await ask("/readyz")).endswith(b"draining\n")
            assert (await ask("/api/live")).startswith(b"HTTP/1.1 503 ")
            nursery.cancel_scope.cancel()
    assert [listener.fileno() for listener in console._listeners] == [-1]
    assert (console.failures, logged.entries) == (0, [])
    console.abandon()


async def test_what_the_settings_say_is_handed_on_to_runs_and_dials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scenarios").mkdir()
    made = dict[str, Any]()

    class Parts:
        """The runs and the dials of the console, which note what they are given."""

        def __init__(self, *args: Any, **more: Any) -> None:
            made[self._name] = [*args, more]

        def drain(self) -> None:
            made["told"] = [*made.get("told", ()), self._name]

        stop = abandon = drain

    for name in ("Runs", "Dialling"):
        monkeypatch.setattr(serve_module, name, type(name, (Parts,), {"_name": name}))
    settings = {
        "host": "localhost", "run_target": ("a.example:1",), "scenario_dir": "scenarios",
        "history": Path("runs.db"), "open_timeout_s": 7.0, "max_held_bytes": 77,
        "max_message_bytes": 5,
    }  # fmt: skip
    console, _ = make(tmp_path, **settings)
    targets, max_run, log, on_failure, more = made["Runs"]
    own = {("127.0.0.1", 9), ("localhost", 9), ("::1", 9)}
    assert (targets.own_url, targets.allowed) == ("ws://127.0.0.1:9/", own | {("a.example", 1)})
    assert (max_run, on_failure) == (process.file_limit(hard=True), console._on_failure)
    assert more == {
        "scenario_dir": str(tmp_path / "scenarios"), "history": tmp_path / "runs.db",
    }  # fmt: skip
    allowed, contexts, more = made["Dialling"]
    assert (allowed, contexts.names) == (targets.allowed, [])
    assert more["limits"] == settings_of(**settings).limits
    assert (more["open_timeout_s"], more["budget"].max_bytes) == (7.0, 77)
    assert log is not None
    console.drain()
    console.abandon()
    assert (console.live.over, made["told"]) == (True, ["Runs", "Dialling", "Runs"])


async def test_dials_count_against_the_servers_own_budget(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = list[Any]()
    monkeypatch.setattr(serve_module, "Dialling", lambda *_, **more: given.append(more["budget"]))
    budget = Budget(1)
    make(tmp_path, budget=budget)
    make(tmp_path)
    assert given[0] is budget
    assert given[1] is not budget


def failing(times: list[float], then: Callable[[], Any], lasts_s: float = 0.0) -> Any:
    """A part that notes when it is started, and fails."""

    async def serve() -> None:
        times.append(trio.current_time())
        await trio.sleep(lasts_s)
        then()

    return serve


async def test_a_part_that_fails_is_started_again_ever_later(
    tmp_path: Path, autojump_clock
) -> None:
    console, logged = make(tmp_path)
    times = list[float]()

    def fail() -> None:
        raise ValueError("of the test")

    with trio.move_on_after(100):
        await console._keep_going("sampler", failing(times, fail))
    gaps = [after - before for before, after in pairwise(times)]
    assert gaps == pytest.approx([0.5, 1, 2, 4, 8, 16, 30, 30])
    assert (gaps[0], gaps[-1]) == (FIRST_PAUSE_S, LONGEST_PAUSE_S)
    assert console.failures == len(times)
    # A kind is told once a minute.
    told = [(line["part"], line["failures"]) for line in logged.entries]
    assert told == [("sampler", 1), ("sampler", 8)]
    assert str(logged.entries[0]["exc_info"]) == "of the test"
    del times[:]
    with trio.move_on_after(100):
        await console._keep_going("sampler", failing(times, fail, LONGEST_PAUSE_S + 1))
    assert [after - before for before, after in pairwise(times)] == (
        pytest.approx([31.5, 31.5, 31.5])
    )
    del times[:]
    with trio.move_on_after(70):
        await console._keep_going("sampler", failing(times, fail, LONGEST_PAUSE_S))
    assert [after - before for before, after in pairwise(times)] == (pytest.approx([30.5, 31]))


@pytest.mark.parametrize("part", ["request", "connection", "run", "sampler", "listener"])
async def test_of_what_a_client_may_have_caused_the_place_alone_is_told(
    tmp_path: Path, autojump_clock, part: str
) -> None:
    console, logged = make(tmp_path)

    def fail(depth: int) -> None:
        if depth:
            fail(depth - 1)
        raise KeyError("a client's text")

    def failure(depth: int) -> Exception:
        try:
            fail(depth)
        except KeyError as exc:
            return exc
        raise AssertionError

    console._on_failure(part, ExceptionGroup("", [ExceptionGroup("", [failure(20)])]))
    console._on_failure(part, ValueError("another kind"))
    first, second = logged.entries
    assert first["event"] == "the console failed, the echo goes on"
    if part in {"request", "connection", "run"}:
        assert (first["error"], second["error"]) == ("KeyError", "ValueError")
        assert len(first["at"]) == 8
        assert first["at"][-1].startswith("test_serve.py:")
        assert first["at"][-1].endswith(" fail")
        assert "client" not in repr(first)
    else:
        assert isinstance(first["exc_info"], KeyError)
    await trio.sleep(SAME_FAILURE_S - 0.001)
    console._on_failure(part, failure(0))
    assert len(logged.entries) == 2
    await trio.sleep(0.001)
    console._on_failure(part, failure(0))
    assert [line["failures"] for line in logged.entries] == [1, 2, 4]
    assert len(_place_of(failure(0))) == 2


async def test_several_failures_together_are_one_of_their_own_kind(tmp_path: Path) -> None:
    console, logged = make(tmp_path)
    console._on_failure("run", ExceptionGroup("", [KeyError(), ValueError()]))
    assert [line["error"] for line in logged.entries] == ["ExceptionGroup"]


class FakeListener:
    """A listener of which the test says what comes."""

    def __init__(self, comes: list[Any]) -> None:
        self.comes = comes
        self.options: list[Any] = []
        self.asked_s: list[float] = []

    def setsockopt(self, *option: int) -> None:
        self.options.append(option)

    def accept(self) -> tuple[socket.socket, str]:
        self.asked_s.append(trio.current_time())
        if not self.comes:
            raise BlockingIOError
        came = self.comes.pop(0)
        if isinstance(came, OSError):
            raise came
        return came, "peer"


async def test_where_nothing_can_be_accepted_that_is_counted_and_tried_again(
    tmp_path: Path, autojump_clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    console, logged = make(tmp_path)
    listener = FakeListener([OSError(errno.EMFILE, "none left"), OSError(), BlockingIOError()])

    async def wait_readable(_: Any) -> None:
        if not listener.comes and len(listener.asked_s) > 2:
            await trio.sleep_forever()
        await trio.lowlevel.checkpoint()

    monkeypatch.setattr(serve_module.trio.lowlevel, "wait_readable", wait_readable)
    began_s = trio.current_time()
    with trio.move_on_after(10):
        await console._accept(listener)  # type: ignore[arg-type]
    assert console.accept_faults == {"EMFILE": 1, "other": 1}
    assert [moment_s - began_s for moment_s in listener.asked_s[:3]] == pytest.approx(
        [0, ACCEPT_PAUSE_S, 2 * ACCEPT_PAUSE_S]
    )
    (line,) = logged.entries
    assert (line["error"], line["reason"]) == ("EMFILE", "none left")
    assert listener.options == [(socket.SOL_SOCKET, socket.SO_SNDBUF, 2**17)]


async def test_a_fault_in_one_connection_ends_that_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    console, logged = make(tmp_path)

    async def fail(*_: Any) -> None:
        await trio.lowlevel.checkpoint()
        raise ValueError("a client's text")

    console._server = SimpleNamespace(serve=fail)  # type: ignore[assignment]
    sock: Any = object()
    await console._serve(sock, sock)
    assert (console.failures, logged.entries[0]["part"]) == (1, "connection")


async def test_a_newcomer_for_whom_there_is_no_slot_is_turned_away(tmp_path: Path) -> None:
    console, logged = make(tmp_path)
    wanted = list[bool]()

    async def wait_for_health() -> bool:
        await trio.lowlevel.checkpoint()
        wanted.append(True)
        return len(wanted) < 3

    console.connections = SimpleNamespace(  # type: ignore[assignment]
        full=True, take=lambda: None, take_for_health=lambda: None, wait_for_health=wait_for_health
    )
    ours, theirs = socket.socketpair()
    with theirs:
        ours.setblocking(False)
        async with trio.open_nursery() as nursery:
            await console._start(nursery, ours)
        assert (ours.fileno(), len(wanted)) == (-1, 3)
        theirs.settimeout(PATIENCE_S)
        head, _, body = theirs.recv(4096).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 503 ")
        assert b"retry-after: 1" in head
        assert json.loads(body)["error"]
    assert logged.entries[0]["connections"] == 128
    await wait_all_tasks_blocked()


@pytest.mark.parametrize(
    ("listens", "settings", "knows", "knows_not"),
    [
        (
            "127.0.0.1", {"console_allow_host": ("Proxy.example", "[::2]")},
            ["127.0.0.1", "localhost:1", "[::1]", "proxy.example", "[::2]:9"],
            ["10.0.0.1", "evil.example", "0.0.0.0", ""],
        ),
        (
            "0.0.0.0", {"console_host": "0.0.0.0", "console_token": "hush"},
            ["10.0.0.1", "[::5]:1", "localhost", socket.gethostname()],
            ["evil.example", ""],
        ),
    ],
)  # fmt: skip
def test_a_request_names_this_machine_or_what_was_allowed(
    listens: str, settings: dict[str, Any], knows: list[str], knows_not: list[str]
) -> None:
    listener: Any = SimpleNamespace(getsockname=lambda: (listens, 1))
    access = _access(settings_of(**settings), [listener])
    assert [name for name in knows if not access.knows_host(name)] == []
    assert [name for name in knows_not if access.knows_host(name)] == []
    assert access.token == settings.get("console_token")
