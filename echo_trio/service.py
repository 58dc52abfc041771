"""The server as one runs it: its signals, the echo, the console, the ready line."""

from __future__ import annotations

import ipaddress
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import trio

from echo_trio.server import EchoServer
from echo_trio.settings import Settings
from echo_trio.wire import process, sockets

if TYPE_CHECKING:
    from echo_trio.console.serve import Console


class CannotStart(Exception):
    """The settings can't be met on this machine; the message is one line for the user."""


async def run_service(settings: Settings, log: Any) -> None:
    """Serve until SIGINT or SIGTERM, then drain and return.

    The first signal drains; the second one ends the process at once with status 1. Prints the
    ready line on stdout once everything listens.

    :raises CannotStart: if an address can't be had.
    """
    file_limit = process.raise_file_limit()
    process.keep_large_buffers()
    server, console_listeners = _listen(settings, log)
    console = None
    if console_listeners:
        console = _make_console(settings, console_listeners, server, log)
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        # Signals outside of all else: a second one is heard to the very end.
        async with trio.open_nursery() as watching:
            watching.start_soon(_stop_on_signals, signals, server, console, log)
            await _serve(server, console, _url_of(console_listeners), file_limit, log)
            watching.cancel_scope.cancel()
    _log_summary(server, log)


async def _serve(
    server: EchoServer, console: Console | None, console_url: str, file_limit: int, log: Any
) -> None:
    async with trio.open_nursery() as nursery:
        if console is not None:
            await nursery.start(console.run)
        nursery.start_soon(process.collect_after_crowds, lambda: server.open, lambda: server.ended)
        process.spare_long_lived_objects()
        async with trio.open_nursery() as serving:
            await serving.start(server.run)
            print(f"ready ws={server.url} console={console_url}", flush=True)  # noqa: T201
            log.info("serving", url=server.url, console=console_url, file_limit=file_limit)
        nursery.cancel_scope.cancel()


def _listen(settings: Settings, log: Any) -> tuple[EchoServer, list[socket.socket]]:
    with _explaining(settings.host):
        server = EchoServer.listen(settings, log)
    if not settings.console:
        return server, []
    with _explaining(settings.console_host):
        listeners = sockets.listen(settings.console_host, settings.console_port)
    addresses = [ipaddress.ip_address(listener.getsockname()[0]) for listener in listeners]
    if settings.console_token is None and not all(address.is_loopback for address in addresses):
        raise CannotStart("a console that others can reach needs a token: --console-token")
    return server, listeners


@contextmanager
def _explaining(host: str) -> Iterator[None]:
    try:
        yield
    except socket.gaierror as exc:
        raise CannotStart(f"can't find the host {host}: {exc.strerror}") from None
    except OSError as exc:
        raise CannotStart(exc.strerror or str(exc)) from None


def _make_console(
    settings: Settings, listeners: list[socket.socket], server: EchoServer, log: Any
) -> Console:
    # Imported here: a server without a console needs no web framework in its memory.
    from echo_trio.console.serve import Console  # noqa: PLC0415

    return Console(settings, listeners, snapshot=server.snapshot, url=server.url, log=log)


def _url_of(listeners: list[socket.socket]) -> str:
    if not listeners:
        return "-"
    host, port, *_ = listeners[0].getsockname()
    return f"http://{sockets.authority(host, port)}/"


async def _stop_on_signals(
    signals: Any, server: EchoServer, console: Console | None, log: Any
) -> None:
    async for number in signals:
        log.info("draining", signal=signal.Signals(number).name, open=server.open)
        server.drain()
        if console is not None:
            console.drain()
        break
    async for _ in signals:
        # Ten thousand tasks take a while to unwind; whoever asks twice will not wait for that.
        if console is not None:
            console.abandon()
        os._exit(1)


def _log_summary(server: EchoServer, log: Any) -> None:
    counts = server.snapshot()
    log.info(
        "stopped",
        accepted=counts.accepted,
        peak_open=counts.peak_open,
        outcomes={outcome.value: n for outcome, n in counts.outcomes.items()},
        close_codes=counts.close_codes,
        messages_received=counts.messages_received,
        messages_sent=counts.messages_sent,
        messages_unanswered=counts.messages_unanswered,
    )
