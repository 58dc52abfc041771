"""The server as a program: what it needs to start, what it says, whom it tells to stop."""

from __future__ import annotations

import os
import socket
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trio
from structlog.testing import LogCapture
from trio.testing import wait_all_tasks_blocked

from echo_trio import service
from echo_trio.forks.starter import Starter
from echo_trio.metrics import totals
from echo_trio.metrics.counters import Outcome
from echo_trio.service import (
    LAST_RESORT_S,
    CannotStart,
    check_machine,
    listen_for_console,
    make_starter,
    run_service,
    url_of_console,
)
from echo_trio.settings import Settings
from echo_trio.workers.supervisor import WorkerFailed

from .conftest import log_to

#: A hang guard, by the virtual clock.
HANGS_S = 600.0
PLAIN = Settings(port=0, console=False)


@pytest.mark.parametrize(
    ("workers", "least"), [(1, 64), (2, 64), (4, 64), (5, 32 + 8 * 5), (100, 32 + 8 * 100)]
)
def test_a_server_needs_files_for_itself_and_for_each_worker(
    monkeypatch: pytest.MonkeyPatch, workers: int, least: int
) -> None:
    settings = Settings(workers=workers)
    monkeypatch.setattr(service.process, "raise_file_limit", lambda: least)
    check_machine(settings)
    monkeypatch.setattr(service.process, "raise_file_limit", lambda: least - 1)
    with pytest.raises(CannotStart, match=f"open files is {least - 1}, and .* needs {least} at"):
        check_machine(settings)


def test_several_workers_need_a_system_that_spreads_connections_over_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(service.sockets, "SPREADS", False)
    check_machine(Settings(workers=1))
    with pytest.raises(CannotStart, match="--workers 2 needs SO_REUSEPORT"):
        check_machine(Settings(workers=2))


def test_only_workers_need_somebody_who_starts_them() -> None:
    with make_starter(Settings(workers=1)) as starter:
        assert starter is None
    assert isinstance(make_starter(Settings(workers=2)), Starter)


@pytest.mark.parametrize(
    ("host", "token", "may"),
    [("127.0.0.1", None, True), ("127.0.0.1", "hush", True), ("0.0.0.0", "hush", True),
     ("0.0.0.0", None, False)],
)  # fmt: skip
def test_a_console_that_others_can_reach_needs_a_token(
    host: str, token: str | None, may: bool
) -> None:
    settings = Settings(console_host=host, console_port=0, console_token=token)
    if not may:
        with pytest.raises(CannotStart, match="needs a token: --console-token"):
            listen_for_console(settings)
        return
    listeners = listen_for_console(settings)
    port = listeners[0].getsockname()[1]
    assert url_of_console(listeners) == f"http://{host}:{port}/"
    for listener in listeners:
        listener.close()


def test_a_console_that_others_can_reach_by_one_of_its_addresses_needs_a_token_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    closed = list[str]()

    class Listener:
        def __init__(self, address: str) -> None:
            self._address = address

        def getsockname(self) -> tuple[str, int]:
            return self._address, 1

        def close(self) -> None:
            closed.append(self._address)

    listeners = [Listener("127.0.0.1"), Listener("203.0.113.9")]
    monkeypatch.setattr(service.sockets, "listen", lambda *_: listeners)
    with pytest.raises(CannotStart, match="needs a token"):
        listen_for_console(Settings())
    assert closed == ["127.0.0.1", "203.0.113.9"]
    assert listen_for_console(Settings(console_token="hush")) == listeners


def test_without_a_console_it_has_no_url() -> None:
    assert url_of_console([]) == "-"


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (socket.gaierror(-2, "Name or service not known"),
         "can't find the host a.example: Name or service not known"),
        (OSError(98, "Address already in use"), "Address already in use"),
        (OSError("something else"), "something else"),
    ],
)  # fmt: skip
def test_where_it_cannot_listen_is_one_line(
    monkeypatch: pytest.MonkeyPatch, error: OSError, says: str
) -> None:
    def fail(*_: Any) -> None:
        raise error

    monkeypatch.setattr(service.sockets, "listen", fail)
    with pytest.raises(CannotStart) as told:
        listen_for_console(Settings(console_host="a.example"))
    assert str(told.value) == says
    with pytest.raises(CannotStart) as told:
        service._listen(Settings(host="a.example", console=False), None, None)
    assert str(told.value) == says


class FakeServer:
    """A server that the test plays; what it is told is noted."""

    url = "ws://here:1/"
    open = 3
    budget = activity = faults = None

    def __init__(self, *, fails: BaseException | None = None) -> None:
        self.told = list[tuple[Any, ...]]()
        self.drained = trio.Event()
        self._fails = fails

    def snapshot(self) -> Any:
        return replace(
            totals.nothing(), draining=self.drained.is_set(), accepted=11, peak_open=7,
            outcomes={Outcome.CLEAN: 4, Outcome.DROPPED: 5}, close_codes={1000: 4},
            messages_received=8, messages_sent=9, messages_unanswered=10,
        )  # fmt: skip

    def drain(self, late_s: float) -> None:
        self.told.append(("drain", late_s))
        self.drained.set()

    def reload(self) -> None:
        self.told.append(("reload",))

    def abandon(self) -> None:
        self.told.append(("abandon",))

    async def tasks(self) -> None:
        pass

    async def set_faults(self, text: str) -> None:
        pass

    async def run(self, *, task_status: Any) -> None:
        if self._fails is not None:
            raise self._fails
        task_status.started()
        await self.drained.wait()


class FakeConsole:
    """A console that the test plays."""

    def __init__(self) -> None:
        self.told = list[str]()
        self.runs = False

    async def run(self, *, task_status: Any) -> None:
        self.runs = True
        task_status.started()
        try:
            await trio.sleep_forever()
        finally:
            self.runs = False

    def drain(self) -> None:
        self.told.append("drain")

    def abandon(self) -> None:
        self.told.append("abandon")


class Program:
    """A server as a program, of which the test plays the parts and the signals."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, settings: Settings, server: Any,
                 console: FakeConsole | None = None) -> None:  # fmt: skip
        self.settings, self.server, self.console = settings, server, console
        self.logged, self.systemd = LogCapture(), list[str]()
        self.log = log_to(self.logged)
        self.watched = list[Any]()
        self.on: dict[str, Any] = {}
        listeners = [socket.create_server(("127.0.0.1", 0))] if console else []
        self.console_url = url_of_console(listeners)
        for name, value in (
            ("_listen", lambda *_: (server, listeners)),
            ("_make_console", lambda *_: console),
        ):
            monkeypatch.setattr(service, name, value)
        monkeypatch.setattr(service.process, "raise_file_limit", lambda: 4321)
        monkeypatch.setattr(service.signals, "stopping", self._stopping)
        monkeypatch.setattr(service.systemd, "notify", self.systemd.append)
        monkeypatch.setattr(service.certificates, "watch", self._watch)
        self._listeners = listeners

    @contextmanager
    def _stopping(self, **on: Any) -> Iterator[None]:
        self.on = on
        yield
        self.on = {}

    async def _watch(self, *what: Any) -> None:
        self.watched.append(what)
        await trio.sleep_forever()

    async def run(self) -> None:
        try:
            with trio.fail_after(HANGS_S):
                await run_service(self.settings, self.log)
        finally:
            for listener in self._listeners:
                listener.close()

    def events(self) -> list[dict[str, Any]]:
        return [dict(line) for line in self.logged.entries]


@pytest.mark.parametrize("with_console", [False, True])
async def test_it_says_when_it_serves_and_stops_and_tells_all_its_parts(
    nursery, autojump_clock, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str], with_console: bool,
) -> None:  # fmt: skip
    server, console = FakeServer(), FakeConsole() if with_console else None
    program = Program(monkeypatch, PLAIN, server, console)
    nursery.start_soon(program.run)
    await wait_all_tasks_blocked()
    url = program.console_url
    assert (url == "-") is not with_console
    assert capsys.readouterr().out == f"ready ws=ws://here:1/ console={url}\n"
    assert program.systemd == ["READY=1"]
    assert program.on["budget_s"] == PLAIN.drain_timeout_s + LAST_RESORT_S
    assert program.on["reload"] == server.reload
    assert console is None or console.runs
    program.on["drain"]("SIGTERM", 0.5)
    assert server.told == [("drain", 0.5)]
    assert console is None or (console.told, console.runs) == (["drain"], True)
    await wait_all_tasks_blocked()
    assert console is None or not console.runs
    assert (program.systemd, program.on) == (["READY=1", "STOPPING=1"], {})
    facts = {"log_level": "info"}
    assert program.events() == [
        facts | {"event": "serving", "url": "ws://here:1/", "console": url, "file_limit": 4321},
        facts | {"event": "draining", "signal": "SIGTERM", "open": 3},
        facts | {
            "event": "stopped", "accepted": 11, "peak_open": 7,
            "outcomes": {"clean": 4, "dropped": 5}, "close_codes": {1000: 4},
            "messages_received": 8, "messages_sent": 9, "messages_unanswered": 10,
        },
    ]  # fmt: skip
    assert program.watched == []


@pytest.mark.parametrize(
    ("more", "facts"),
    [
        ({"fault": "~silent"}, {"upstream": "ws://a.example", "fault": "~silent"}),
        ({}, {"upstream": "ws://a.example", "fault": "-"}),
    ],
)
async def test_a_proxy_says_what_is_behind_it(
    nursery, autojump_clock, monkeypatch: pytest.MonkeyPatch, more: Any, facts: Any
) -> None:
    settings = replace(PLAIN, upstream="ws://a.example", **more)
    program = Program(monkeypatch, settings, FakeServer())
    nursery.start_soon(program.run)
    await wait_all_tasks_blocked()
    (serving,) = program.events()
    assert {name: serving[name] for name in facts} == facts
    program.server.drain(0)


async def test_one_that_is_to_stop_before_it_serves_never_says_that_it_does(
    autojump_clock, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    program = Program(monkeypatch, PLAIN, FakeServer())
    program.server.drain(0)
    await program.run()
    assert (capsys.readouterr().out, program.systemd) == ("", [])
    assert [line["event"] for line in program.events()] == ["stopped"]


@pytest.mark.parametrize("key", [None, Path("key.pem")])
async def test_the_files_of_its_certificate_are_watched(
    nursery, autojump_clock, monkeypatch: pytest.MonkeyPatch, key: Path | None
) -> None:
    settings = replace(PLAIN, tls_cert=Path("cert.pem"), tls_key=key)
    program = Program(monkeypatch, settings, FakeServer())
    nursery.start_soon(program.run)
    await wait_all_tasks_blocked()
    files = [Path("cert.pem"), *([key] if key else [])]
    assert program.watched == [(files, program.server.reload)]
    program.server.drain(0)


@pytest.mark.parametrize("can_write", [False, True])
@pytest.mark.parametrize("with_console", [False, True])
async def test_one_that_has_to_give_up_leaves_nobody_behind_and_says_why_if_that_can_be_read(
    nursery, autojump_clock, monkeypatch: pytest.MonkeyPatch, with_console: bool, can_write: bool
) -> None:
    console = FakeConsole() if with_console else None
    program = Program(monkeypatch, PLAIN, FakeServer(), console)
    monkeypatch.setattr(service.logs, "can_write", lambda: can_write)
    nursery.start_soon(program.run)
    await wait_all_tasks_blocked()
    program.on["give_up"]("the drain hangs")
    assert program.server.told == [("abandon",)]
    assert console is None or console.told == ["abandon"]
    told = [line for line in program.events() if line["event"] == "ended without draining"]
    said = {"log_level": "warning", "event": "ended without draining", "open": 3}
    assert told == ([said | {"why": "the drain hangs"}] if can_write else [])
    program.server.drain(0)


@pytest.mark.parametrize(
    "fails",
    [
        WorkerFailed("worker 1 ended"),
        ExceptionGroup("", [ExceptionGroup("", [WorkerFailed("worker 1 ended")])]),
        ExceptionGroup("", [WorkerFailed("worker 1 ended"), WorkerFailed("worker 2 ended")]),
    ],
    ids=["alone", "nested", "both"],
)
async def test_a_worker_that_fails_is_why_it_cannot_start(
    autojump_clock, monkeypatch: pytest.MonkeyPatch, fails: BaseException
) -> None:
    program = Program(monkeypatch, PLAIN, FakeServer(fails=fails))
    with pytest.raises(CannotStart) as told:
        await program.run()
    assert str(told.value) == "worker 1 ended"
    assert program.events() == []


@pytest.mark.parametrize(
    ("settings", "warns"),
    [
        ({"host": "::", "console": False}, True),
        ({"host": "127.0.0.1", "console_host": "::"}, True),
        ({"host": "127.0.0.1", "console": False}, False),
        ({"host": "0.0.0.0", "console_host": "127.0.0.1"}, False),
    ],
    ids=str,
)
@pytest.mark.parametrize("workers", [1, 2])
def test_who_listens_on_ipv6_alone_is_told_so(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], warns: bool, workers: int
) -> None:
    console_listeners: list[Any] = [object()]
    logged = LogCapture()
    log = log_to(logged)
    monkeypatch.setattr(service.Worker, "listen", lambda *given: ("worker", *given))
    monkeypatch.setattr(service.Supervisor, "listen", lambda *given: ("supervisor", *given))
    monkeypatch.setattr(service, "listen_for_console", lambda _: console_listeners)
    asked = Settings(port=0, workers=workers, **settings)
    starter: Any = object()
    server, listeners = service._listen(asked, log, starter)
    assert server == (("worker", asked, log) if workers == 1 else  # type: ignore[comparison-overlap]
                      ("supervisor", asked, log, starter))  # fmt: skip
    assert listeners == (console_listeners if asked.console else [])
    assert [line["event"][:25] for line in logged.entries] == ["listens on :: and that is"] * warns


class Unwritable:
    """A stdout on whose other end nobody is."""

    def __init__(self, descriptor: int) -> None:
        self.fileno: Callable[[], int] = lambda: descriptor

    def write(self, text: str) -> int:
        raise BrokenPipeError(32, "Broken pipe")

    def flush(self) -> None:
        raise BrokenPipeError(32, "Broken pipe")


def test_a_ready_line_that_nobody_takes_is_logged_and_stdout_is_nobodys_any_more(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    logged = LogCapture()
    with (tmp_path / "stdout").open("wb") as stdout:
        monkeypatch.setattr(sys, "stdout", Unwritable(stdout.fileno()))
        service._announce("ready", log_to(logged))
        assert stat.S_ISCHR(os.fstat(stdout.fileno()).st_mode)
    assert logged.entries == [
        {"event": "nobody takes the ready line", "reason": "Broken pipe", "log_level": "warning"}
    ]
