"""Serve inside another program: in one of its Trio tasks, or in a separate thread.

serving_in_thread ─► a thread ─► trio.run ─► serving ─► EchoServer.run
"""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import replace
from queue import SimpleQueue
from typing import Any, Final, NamedTuple

import trio

from echo_trio.server import EchoServer
from echo_trio.settings import Settings
from echo_trio.testing.python_log import PythonLog
from echo_trio.testing.running_server import RunningServer
from echo_trio.testing.seen import Seen

#: The default settings: a free port; and a client that was left open delays the end by half a
#: second (see `patience_of`).
DEFAULTS: Final = Settings(port=0, console_port=0, drain_timeout_s=1.0)


@asynccontextmanager
async def serving(
    settings: Settings | None = None, *, upstream: str | None = None, console: bool = False
) -> AsyncIterator[RunningServer]:
    """Serve in this Trio program, as long as the body runs.

    The server listens when the body begins. When the body ends, it drains: every connection is
    closed with 1001, and those that don't answer within the drain timeout are dropped. If the body
    raises, or is cancelled, every connection is dropped at once. Its log goes to Python's logger
    ``echo_trio``. Signals, limits of the process and its garbage collector are left alone.

    :param settings: the settings; by default a free port, and a drain timeout of one second.
    :param upstream: the URL of a server to stand in front of as a proxy, instead of echoing; as the
        setting of that name.
    :param console: serve the console as well, at the address that the settings say. Their own
        `console` is not looked at: it is true by default, and a test needs none.
    :raises OSError: if an address can't be had, or the certificate can't be used.
    :raises CannotStart: the same for the console (see `echo_trio.service`).
    :raises ValueError: if the settings ask for several workers, which are processes; or the URL is
        not one of an upstream.
    """
    settings = replace(settings or DEFAULTS, console=console)
    if upstream is not None:
        settings = replace(settings, upstream=upstream)
    if settings.workers != 1:
        raise ValueError("a server in this process has one worker; for more: python -m echo_trio")
    log, seen = PythonLog(), Seen()
    seen.thread_id = threading.get_ident()
    server = EchoServer.listen(settings, log, seen)
    try:
        made = _Console(settings, server, log) if console else None
    except BaseException:
        server.close()
        raise
    failed: BaseException | None = None
    try:
        async with trio.open_nursery() as nursery:
            await nursery.start(_run, server, made)
            try:
                yield RunningServer(
                    server.url, made.url if made else None, seen, _call_in(server.set_faults, seen)
                )
            except BaseException as exc:  # noqa: BLE001 - raised again below
                failed = exc
                nursery.cancel_scope.cancel()
            server.drain()
            if made is not None:
                made.console.drain()
    finally:
        # The body's exception is raised as it is, not in a group of exceptions: whoever waits here
        # need not know that there is a nursery.
        if failed is not None:
            raise failed


def _call_in(change: Callable[[str], None], seen: Seen) -> Callable[[str], None]:
    """Return a function that calls this one in Trio's thread, from any, and waits for it."""
    token = trio.lowlevel.current_trio_token()

    def call(text: str) -> None:
        __tracebackhide__ = True
        if threading.get_ident() == seen.thread_id:
            change(text)
            return
        answers: SimpleQueue[BaseException | None] = SimpleQueue()

        def change_there() -> None:
            try:
                change(text)
            except BaseException as exc:  # noqa: BLE001 - raised in the thread that waits for this
                answers.put(exc)
            else:
                answers.put(None)

        try:
            token.run_sync_soon(change_there)
        except trio.RunFinishedError:
            raise RuntimeError("the server has ended") from None
        if (failed := answers.get()) is not None:
            if isinstance(failed, ValueError):
                failed.__traceback__ = None  # Its message says all; where it comes from is ours.
            raise failed

    return call


class _Console:
    """A console that listens; imported only where one is asked for."""

    def __init__(self, settings: Settings, server: EchoServer, log: Any) -> None:
        from echo_trio import service  # noqa: PLC0415
        from echo_trio.console.faults import FaultControl  # noqa: PLC0415
        from echo_trio.console.serve import Console  # noqa: PLC0415

        listeners = service.listen_for_console(settings)
        self.url = service.url_of_console(listeners)
        faults = None
        if settings.upstream is not None:
            faults = FaultControl(lambda: server.faults or "", server.set_faults)
        self.console = Console(
            settings,
            listeners,
            url=server.url,
            snapshot=server.snapshot,
            faults=faults,
            budget=server.budget,
            log=log,
        )


async def _run(
    server: EchoServer, made: _Console | None, *, task_status: trio.TaskStatus[None]
) -> None:
    """Run the server, and its console for as long."""
    async with trio.open_nursery() as around:
        if made is not None:
            await around.start(made.console.run)
        async with trio.open_nursery() as inner:
            await inner.start(server.run)
            task_status.started()
        around.cancel_scope.cancel()


class _Started(NamedTuple):
    """A server in another thread, and what ends it: to be called in that thread."""

    server: RunningServer
    token: trio.lowlevel.TrioToken
    drain: Callable[[], None]
    drop: Callable[[], None]


_Answers = SimpleQueue[_Started | BaseException | None]


@contextmanager
def serving_in_thread(
    settings: Settings | None = None, *, upstream: str | None = None, console: bool = False
) -> Iterator[RunningServer]:
    """Serve in a thread of its own, as long as the body runs: for programs without Trio.

    The parameters, the beginning, the end and what is raised are those of `serving`. The thread is
    over when this returns; it is a daemon, so that it holds up no interpreter's end.
    """
    answers: _Answers = SimpleQueue()
    thread = threading.Thread(
        target=_serve_in_thread,
        args=(settings, upstream, console, answers),
        name="echo-trio",
        daemon=True,
    )
    thread.start()
    started = answers.get()
    if not isinstance(started, _Started):
        thread.join()
        assert started is not None
        raise started
    end = started.drop
    try:
        yield started.server
        end = started.drain
    finally:
        with suppress(trio.RunFinishedError):  # It has failed meanwhile, and says so below.
            started.token.run_sync_soon(end)
        thread.join()
    if (failed := answers.get()) is not None:
        assert not isinstance(failed, _Started)
        raise failed


def _serve_in_thread(
    settings: Settings | None, upstream: str | None, console: bool, answers: _Answers
) -> None:
    async def serve() -> None:
        ended = trio.Event()
        with trio.CancelScope() as scope:
            async with serving(settings, upstream=upstream, console=console) as server:
                token = trio.lowlevel.current_trio_token()
                answers.put(_Started(server, token, ended.set, scope.cancel))
                await ended.wait()

    try:
        trio.run(serve)
    except BaseException as exc:  # noqa: BLE001 - raised in the thread that waits for this one
        answers.put(exc)
    else:
        answers.put(None)
