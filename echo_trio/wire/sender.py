"""Send bytes: the kernel takes what it can at once, the rest waits in line.

Nothing here blocks but `flush`, which has to be awaited when a write returned that not all was
taken. Bytes in line count as held for the peer, and are dropped when writing fails.
"""

from __future__ import annotations

import errno
import socket
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import trio

from echo_trio.wire.budget import Holder

if TYPE_CHECKING:
    from echo_trio.wire.limits import Limits

#: Bytes in line that are sent in one go: some 0.1 ms of the kernel's work. On a stream that is not
#: a socket, the write timeout is for each of these pieces.
SEND_BYTES: Final = 256 * 1024
#: The pause when the kernel has no memory for what is to be sent. It doesn't say when it has some
#: again.
OUT_OF_BUFFERS_PAUSE_S: Final = 0.05
_OUT_OF_BUFFERS: Final = {errno.ENOBUFS, errno.ENOMEM}


class Sender(Holder):
    """The sending half of a connection.

    :ivar bytes_sent: bytes handed to the kernel or waiting in line; headers of frames included.
    :ivar timed_out: what took too long; ``"write"`` here, ``None`` if nothing did.
    """

    _limits: Limits
    _replies: list[bytes] | None = None  # made in this wake-up, not yet written
    _sock: socket.socket | None
    _stream: trio.abc.Stream  # if there is no socket
    _stream_lock: Any = None
    _unsent: bytearray | None = None

    _attention = False  # the task has more to do than wait
    _replies_blocked = False  # until they are gone, nothing is read
    _write_failed = False

    bytes_sent: int = 0
    timed_out: str | None = None

    def abort(self) -> None:
        """End the connection at once, dropping unsent bytes."""
        raise NotImplementedError

    async def flush(self) -> None:
        """Wait until the kernel has taken everything that was sent.

        If the kernel takes nothing for as long as the write timeout, the connection is aborted.
        Cancelled: the rest stays queued. On a stream that isn't a socket it is not known what the
        rest is, so there a cancellation aborts the connection.
        """
        if self._stream_lock is None:
            self._stream_lock = trio.Lock()
        async with self._stream_lock:
            with trio.CancelScope() as writing:
                while self._unsent:
                    writing.deadline = trio.current_time() + self._limits.write_timeout_s
                    await self._flush_some()
            if writing.cancelled_caught:
                self.timed_out = self.timed_out or "write"
                self.abort()

    async def _flush_some(self) -> None:
        try:
            if self._sock is not None:
                await trio.lowlevel.wait_writable(self._sock)
                while self._unsent:  # It may be dropped meanwhile.
                    try:
                        with self._first_unsent() as some:
                            sent = self._sock.send(some)
                        self._take_out_of_line(sent)
                        return
                    except OSError as exc:
                        if exc.errno not in _OUT_OF_BUFFERS:
                            raise
                    await trio.sleep(OUT_OF_BUFFERS_PAUSE_S)
            elif self._unsent:
                data = bytes(self._first_unsent())
                try:
                    await self._stream.send_all(data)
                except trio.Cancelled:
                    self.abort()
                    raise
                if self._unsent:
                    self._take_out_of_line(len(data))
        except BlockingIOError:
            pass
        except (OSError, trio.BrokenResourceError, trio.ClosedResourceError):
            self._fail_writing()

    def _write(self, data: bytes) -> bool:
        """Give the kernel what it takes now; keep the rest. True if nothing is left."""
        if self._write_failed:
            return True
        if self._replies:
            self._write_replies(self._replies)  # They were made before this, so they go before it.
        self.bytes_sent += len(data)
        if self._unsent:
            self._unsent += data
            self._hold_unsent(len(data))
            return False
        sent = 0
        if self._sock is not None:
            try:
                sent = self._sock.send(data)
            except BlockingIOError:
                pass
            except OSError as exc:
                if exc.errno not in _OUT_OF_BUFFERS:
                    self._fail_writing()
                    return True
            if sent == len(data):
                return True
        self._unsent = bytearray(memoryview(data)[sent:])
        self._hold_unsent(len(data) - sent)
        return False

    def _write_parts(self, parts: tuple[bytes, ...]) -> None:
        """Give the kernel a large frame that was not put together."""
        if self._replies:
            self._write_replies(self._replies)
        if sent := self._send_parts(parts):
            size = sum(map(len, parts))
            self.bytes_sent += size
            taken = sent == size
            if not taken:
                self._unsent = bytearray().join(parts)
                del self._unsent[:sent]
                self._hold_unsent(size - sent)
        else:
            taken = self._write(b"".join(parts))
        if not taken:
            self._replies_blocked = self._attention = True

    def _send_parts(self, parts: tuple[bytes, ...]) -> int:
        """Send what the kernel takes at once, in one call; 0 if it takes nothing, or not so."""
        sock = self._sock
        # TLS has no such call, nor has Windows; and what waits in line comes first.
        if (
            sys.platform != "win32"
            and type(sock) is socket.socket
            and not (self._unsent or self._write_failed)
        ):
            # `_write` meets the same error, and deals with it.
            with suppress(OSError):
                return sock.sendmsg(parts)
        return 0

    def _write_replies(self, replies: list[bytes]) -> None:
        data = b"".join(replies) if len(replies) > 1 else replies[0]
        replies.clear()
        if not self._write(data):
            self._replies_blocked = self._attention = True

    def _first_unsent(self) -> memoryview:
        """Return as much as is sent in one go; then other tasks get their turn.

        To be released before anything else happens to the line.
        """
        assert self._unsent is not None
        return memoryview(self._unsent)[:SEND_BYTES]

    def _take_out_of_line(self, size_bytes: int) -> None:
        assert self._unsent is not None
        del self._unsent[:size_bytes]
        self._release_unsent(size_bytes)

    def _fail_writing(self) -> None:
        """Drop what waits in line, and everything written from now on.

        The connection does not end here: the peer's close frame may be there to be read. If there
        is none, reading finds the end at once.
        """
        self._write_failed = True
        if self._unsent:
            self._take_out_of_line(len(self._unsent))

    async def _send_eof(self) -> None:
        """Half-close, so that the peer sees our close frame, then the end, and not a reset."""
        await self.flush()
        if self._write_failed:
            return
        try:
            if self._sock is not None:
                self._sock.shutdown(socket.SHUT_WR)
            elif isinstance(self._stream, trio.abc.HalfCloseableStream):
                await self._stream.send_eof()
        except (OSError, trio.BrokenResourceError):
            self._fail_writing()
