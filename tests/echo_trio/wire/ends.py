"""One end of a connection that nobody serves: what its peer says, and what is known of it then."""

from __future__ import annotations

from typing import Any

from echo_trio.wire.budget import Budget
from echo_trio.wire.limits import Limits

from .conftest import Recorder, arrive, frame_bytes, unserved

#: What is known of a connection to which nothing has happened.
FRESH: dict[str, Any] = {
    "close_sent": None, "close_received": None, "closed_first": None, "close_code": 1006,
    "close_reason": "", "failure": None, "timed_out": None, "clean": False,
    "messages_received": 0, "messages_sent": 0, "held_bytes": 0, "evicted": False,
    "_over": False, "_write_failed": False, "_cut": False,
}  # fmt: skip


class Kernel(Recorder):
    """Takes what it is told to, or breaks."""

    def __init__(self) -> None:
        super().__init__()
        self.takes: int | None = None  # at most so much from now on
        self.is_broken = False

    def send(self, data: bytes) -> int:
        if self.is_broken:
            raise BrokenPipeError
        if self.takes is not None:
            data = data[: self.takes]
            self.takes -= len(data)
            if not data:
                raise BlockingIOError
        return super().send(data)

    def fileno(self) -> int:
        return -1


class End:
    """One end that nobody serves, and what its peer says."""

    def __init__(self, *, client: bool, limits: Limits | None = None, reply: Any = None) -> None:
        on_message = (lambda message: message) if reply is None else reply
        self.connection, _ = unserved(on_message, client=client, limits=limits or Limits())
        self.connection._sock = self.kernel = Kernel()
        self.connection._budget = self.budget = Budget()
        self.client = client
        self.said = 0
        self.taken = True

    def hear(self, opcode: int, payload: bytes = b"", *, fin: bool = True, part: int = 0) -> None:
        """Have it hear a frame of its peer, or less of it by so many bytes."""
        data = frame_bytes(opcode, payload, fin=fin, rsv=0, masked=not self.client)
        self.hear_bytes(data[: len(data) - part])

    def hear_bytes(self, data: bytes) -> None:
        self.said += len(data)
        arrive(self.connection, data)

    def close(self, code: int, reason: str | None = None) -> None:
        self.taken = self.connection.close_nowait(code, reason)

    @property
    def mask_bytes(self) -> int:
        return 4 if self.client else 0

    def books(self) -> dict[str, Any]:
        """All that is known, but what is as it was in the beginning."""
        known = {name: getattr(self.connection, name) for name in FRESH}
        return {name: value for name, value in known.items() if value != FRESH[name]}
