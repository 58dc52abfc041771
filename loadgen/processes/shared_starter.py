"""Start the shards of several runs, from several threads, by one fork server: a Dask worker's."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import trio

from echo_trio.forks.starter import Process, Starter
from loadgen.processes.local import start_shard


class SharedStarter:
    """The starter of all shards in one process: they share the memory of what they import.

    :param module: as of `Starter`.
    """

    def __init__(self, module: str) -> None:
        self._lock = threading.Lock()
        self._starter = Starter(module)
        self._running = 0

    @contextmanager
    def start(self, title: str) -> Iterator[tuple[Process, socket.socket]]:
        """Start a shard; at the end of the block the last one ends the fork server, too.

        Call it in a thread that runs no event loop.

        :returns: its process, and our end of the socket to it, which stays open.
        :raises OSError: if this machine can't start it.
        """
        with self._lock:
            self._running += 1
        try:
            with self._lock:
                started = trio.run(start_shard, self._starter, title)
            yield started
        finally:
            with self._lock:
                self._running -= 1
                if not self._running:
                    self._starter.end()
