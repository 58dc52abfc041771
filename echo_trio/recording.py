"""Write what happens on each connection to a file, a JSON object a line.

The lines are those that the web page exports, and imports again: `sent` is what the client has
sent, `received` what it gets. Each has the number of its connection, counted from 1.

    {"type": "opened", "at": …, "at_ms": 1.2, "connection": 1, "details": {"path": "/", …}}
    {"type": "sent", "at": …, "at_ms": 3.4, "connection": 1, "kind": "text", "data": "hello", …}
    {"type": "received", …}
    {"type": "closed", …, "details": {"outcome": "clean", "code": 1000, …}}

Lines are collected in memory and written every half second by another thread, so that a slow disk
delays nobody; if more than `AT_ONCE_BYTES` have come together, they are written on the spot, for
memory is bounded, too.
"""

from __future__ import annotations

import base64
import errno
import os
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, NoReturn, Self

import msgspec
import trio

from echo_trio.behaviours.about import carries_credentials, mask
from echo_trio.files import Draft, open_plain
from echo_trio.metrics.counters import Outcome
from echo_trio.wire.server_handshake import UpgradeRequest

#: The size at which a recording ends; its last line says so.
MAX_FILE_BYTES: Final = 256 * 2**20
#: Room for that last line.
LAST_LINE_BYTES: Final = 256
AT_ONCE_BYTES: Final = 8 * 2**20
WRITE_INTERVAL_S: Final = 0.5

_ENCODER: Final = msgspec.json.Encoder()


class Recorder:
    """A recording of a server's connections: an `Observer`, from `start` to `close`.

    A failure to write is logged once, and ends the recording, not the server.
    """

    def __init__(self, draft: Draft, path: Path, log: Any) -> None:
        self._draft = draft
        self._path = path
        self._log = log
        self._pending = bytearray()
        self._chunks: deque[bytearray] = deque()
        self._writing = threading.Lock()
        self._left_bytes = MAX_FILE_BYTES - LAST_LINE_BYTES
        self._whole_bytes = 0  # that are written
        self._over = False
        self._failed = False
        self._connections = 0
        # One reading of the wall clock: all times are that and the monotonic clock's.
        self._began_s = time.monotonic()
        self._began = datetime.now(UTC)

    @classmethod
    def open(cls, path: Path, log: Any) -> Self:
        """Make a file that will appear at the path once `start` is called.

        :raises OSError: if there is a file already, or none can be made; its `strerror` names the
            flag.
        """
        try:
            if path.is_dir():
                raise IsADirectoryError(errno.EISDIR, "that is a folder: name a file in it")
            if not path.absolute().parent.is_dir():
                raise FileNotFoundError(errno.ENOENT, f"there is no folder {path.parent}")
            if os.path.lexists(path):
                open_plain(path).close()  # If it is a device or a pipe, that is said.
                raise FileExistsError(
                    errno.EEXIST, "there is a file of that name: give another, or remove it"
                )
            # Others' messages are nobody else's business.
            return cls(Draft(path, mode=0o600), path, log)
        except OSError as exc:
            raise OSError(exc.errno, f"--record {path}: {exc.strerror}") from None

    def start(self) -> None:
        """Give the file its name.

        :raises OSError: if somebody else has taken that name meanwhile.
        """
        self._draft.publish(overwrite=False)

    async def run(self) -> NoReturn:
        """Write what was collected, again and again, until cancelled."""
        while True:
            await trio.sleep(WRITE_INTERVAL_S)
            if self._pending:
                self._take_pending()
                await trio.to_thread.run_sync(self._write)

    def close(self) -> None:
        """Write what is left, and close the file. Idempotent."""
        if not self._draft.file.closed:
            self._take_pending()
            self._write()
            self._over = True
            self._draft.close()

    def save_at_once(self) -> None:
        """Write what is left, as the last thing before the process ends by force; never waits.

        For a signal's handler: what another thread is writing at that moment is left to it.
        """
        if not self._draft.file.closed and self._writing.acquire(blocking=False):
            try:
                self._take_pending()
                self._write_chunks()
            finally:
                self._writing.release()

    def accepted(self, peer: str) -> _ConnectionRecorder:
        """Begin to record a connection (see `Observer`)."""
        self._connections += 1
        return _ConnectionRecorder(self, self._connections, peer)

    def add(self, event: str, connection: int, **more: Any) -> None:
        """Add a line, unless the recording is over."""
        if self._over:
            return
        passed_s = time.monotonic() - self._began_s
        at = self._began + timedelta(seconds=passed_s)
        line: dict[str, Any] = {
            "type": event,
            "at": at.isoformat(timespec="microseconds").replace("+00:00", "Z"),
            "at_ms": round(passed_s * 1000, 3),
            "connection": connection,
            **more,
        }
        encoded = _ENCODER.encode(line) + b"\n"
        self._left_bytes -= len(encoded)
        if self._left_bytes < 0:
            self._over = True
            full = {"type": "full", "at": line["at"], "at_ms": line["at_ms"]}
            encoded = _ENCODER.encode(full) + b"\n"
            self._log.warning(
                "the recording is full and ends", file=str(self._path), size_bytes=MAX_FILE_BYTES
            )
        self._pending += encoded
        if len(self._pending) > AT_ONCE_BYTES:
            self._take_pending()
            self._write()

    def _take_pending(self) -> None:
        pending, self._pending = self._pending, bytearray()
        self._chunks.append(pending)

    def _write(self) -> None:
        # Also called while the other thread writes: the lines stay whole and in their order,
        # whichever of the two has the lock first.
        with self._writing:
            self._write_chunks()

    def _write_chunks(self) -> None:
        while self._chunks:
            chunk = self._chunks.popleft()
            if self._failed:
                continue
            rest = memoryview(chunk)
            try:
                while rest:
                    rest = rest[self._draft.file.write(rest) or 0 :]
                self._whole_bytes += len(chunk)
            except OSError as exc:
                self._over = self._failed = True
                self._log.error("the recording ends", file=str(self._path), reason=exc.strerror)
                # Half a line would make the file unreadable to those who read lines.
                self._whole_bytes += chunk.rfind(b"\n", 0, len(chunk) - len(rest)) + 1
                with suppress(OSError):
                    os.ftruncate(self._draft.file.fileno(), self._whole_bytes)


class _ConnectionRecorder:
    """The `ConnectionObserver` of one connection of a recording."""

    def __init__(self, recorder: Recorder, number: int, peer: str) -> None:
        self._recorder = recorder
        self._number = number
        self._details: dict[str, Any] = {"peer": peer}

    def requested(self, request: UpgradeRequest) -> None:
        path, _, query = request.target.partition("?")
        self._details |= {"path": path, "query": mask_query(query)}
        self._details["headers"] = [
            (name, mask(value) if carries_credentials(name) else value)
            for name, value in request.headers
        ]

    def opened(self, subprotocol: str | None, extensions: Sequence[str]) -> None:
        details = self._details | {"subprotocol": subprotocol, "extensions": list(extensions)}
        self._recorder.add("opened", self._number, details=details)
        self._details = {}

    def received(self, message: str | bytes) -> None:
        self._add_message("sent", message)

    def sent(self, message: str | bytes) -> None:
        self._add_message("received", message)

    def ended(self, outcome: Outcome, details: Mapping[str, Any]) -> None:
        # Of a handshake that was refused, this is the only line.
        ending = self._details | {"outcome": outcome.value} | dict(details)
        self._recorder.add("closed", self._number, details=ending)

    def _add_message(self, event: str, message: str | bytes) -> None:
        if isinstance(message, str):
            form, data, size = "text", message, len(message.encode())
        else:
            form, data, size = "binary", base64.b64encode(message).decode(), len(message)
        self._recorder.add(event, self._number, kind=form, data=data, size_bytes=size)


def mask_query(query: str) -> str:
    """Replace the values of a query: clients that can't set headers put tokens there."""
    if not query:
        return ""
    pairs = (part.partition("=") for part in query.split("&"))
    return "&".join(f"{name}={mask(value)}" if value else name for name, _, value in pairs)
