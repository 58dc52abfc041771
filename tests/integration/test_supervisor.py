"""The supervisor in this process, where what would take long or a broken machine can be had."""

from __future__ import annotations

import os
import signal
import socket
import sys
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest
import structlog
import trio
from structlog.testing import LogCapture

from echo_trio.metrics.counters import Outcome
from echo_trio.service import run_service
from echo_trio.settings import Settings
from echo_trio.workers import supervisor as supervisor_module
from echo_trio.workers.supervisor import Supervisor, WorkerFailed

#: A hang guard, nothing else.
PATIENCE_S = 120.0


@pytest.fixture
def log() -> LogCapture:
    return LogCapture()


def logger_to(log: LogCapture):
    everything = structlog.make_filtering_bound_logger(0)
    return structlog.wrap_logger(None, processors=[log], wrapper_class=everything)


@asynccontextmanager
async def serving(settings: Settings, log: LogCapture):
    server = Supervisor.listen(settings, logger_to(log))
    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            await nursery.start(server.run)
            yield server
            server.drain()


def settings(**more) -> Settings:
    return Settings(port=0, workers=2, **more)


def kill_worker(server: Supervisor, number: int) -> None:
    process = server._places[number - 1].process
    assert process is not None
    process.kill()


async def until(log: LogCapture, event: str) -> dict:
    while True:
        for entry in log.entries:
            if entry["event"] == event:
                return entry
        await trio.sleep(0.02)


async def test_a_worker_that_keeps_dying_gives_its_share_of_connections_to_the_others(
    log, monkeypatch
) -> None:
    monkeypatch.setattr(supervisor_module, "FIRST_PAUSE_S", 3600.0)
    async with serving(settings(), log) as server:
        kill_worker(server, 1)
        await until(log, "a worker died, another takes its place")
        assert server.snapshot().workers == 1
        for _ in range(20):
            await _check_echo(server.url)
    assert [entry["pause_s"] for entry in log.entries] == [3600.0]


async def test_who_took_the_place_of_the_first_worker_listens_again(log, monkeypatch) -> None:
    monkeypatch.setattr(supervisor_module, "QUEUE_PATIENCE_S", 0.0)
    async with serving(settings(), log) as server:
        kill_worker(server, 1)
        await until(log, "a worker died, another takes its place")
        while server.snapshot().workers < 2:
            await trio.sleep(0.02)
        while not (first := server._places[0].now) or not first.accepted:
            await _check_echo(server.url)


async def test_when_all_keep_dying_the_port_stays_ours(log, monkeypatch) -> None:
    monkeypatch.setattr(supervisor_module, "FIRST_PAUSE_S", 3600.0)
    async with serving(settings(), log) as server:
        kill_worker(server, 1)
        kill_worker(server, 2)
        while len(log.entries) < 2:
            await trio.sleep(0.02)
        parts = urlsplit(server.url)
        with socket.create_connection((parts.hostname, parts.port), timeout=PATIENCE_S):
            pass
        with pytest.raises(OSError, match="in use"):
            Supervisor.listen(Settings(port=parts.port, workers=2), None)


async def test_a_worker_that_cannot_start_ends_the_start(log, monkeypatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(ExceptionGroup) as caught:
        async with serving(settings(), log):
            pytest.fail("it says that it serves")
    assert caught.group_contains(WorkerFailed, match="exit status 1")


async def test_who_is_told_to_stop_while_the_workers_start_is_never_ready(log, capfd) -> None:
    ours = signal.getsignal(signal.SIGTERM)
    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run_service, settings(console=False), logger_to(log))
            while signal.getsignal(signal.SIGTERM) is ours:
                await trio.lowlevel.checkpoint()
            os.kill(os.getpid(), signal.SIGTERM)
    assert [entry["event"] for entry in log.entries] == ["draining", "stopped"]
    assert capfd.readouterr().out == ""


async def test_a_worker_that_is_stuck_in_a_drain_is_killed_and_whom_it_had_is_counted(
    log,
) -> None:
    server = Supervisor.listen(settings(drain_timeout_s=0.5), logger_to(log))
    parts = urlsplit(server.url)
    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            await nursery.start(server.run)
            async with await trio.open_tcp_stream(parts.hostname, parts.port):
                while server.snapshot().accepted < 1:
                    await trio.sleep(0.02)
                for place in server._places:
                    place.process.send_signal(signal.SIGSTOP)
                server.drain()
                while nursery.child_tasks:
                    await trio.sleep(0.02)
        counts = server.snapshot()
    assert counts.outcomes == {Outcome.DROPPED: 1}
    assert (counts.accepted, counts.handshaking, counts.open) == (1, 0, 0)


async def test_cancelled_it_kills_its_workers(log) -> None:
    server = Supervisor.listen(settings(), logger_to(log))
    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            await nursery.start(server.run)
            processes = [place.process for place in server._places]
            nursery.cancel_scope.cancel()
    assert [process.returncode for process in processes] == [-9, -9]


async def _check_echo(url: str) -> None:
    parts = urlsplit(url)
    stream = await trio.open_tcp_stream(parts.hostname, parts.port)
    async with stream:
        await stream.send_all(
            b"GET /plain HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
            b"\x81\x81\x01\x02\x03\x04\x6c"
        )
        received = b""
        while b"\r\n\r\n\x81\x01m" not in received:
            data = await stream.receive_some(4096)
            assert data
            received += data
