"""Know the keys of a run's messages, and which of them were used before. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable
from typing import Final

from loadgen.workload.matching import Frame, Verify
from loadgen.workload.payloads import Payloads

#: No number in a message is longer.
_DIGITS: Final = re.compile(r"[0-9]{1,19}")
#: Our keys have no more numbers than this in it that could be the message's.
_MAX_NUMBERS: Final = 8
#: Messages to try: one digit and many, the socket's number equal to the message's and not.
_SAMPLES: Final = ((0, 0), (7, 7), (3, 1), (12, 345), (345, 12), (98_765, 4_321_098))


class Keys:
    """The keys by which replies find the messages of a run.

    :ivar find_own: finds the key of one of our messages.
    :ivar find_theirs: finds the key of a received frame.
    :ivar are_numbered: true if a key tells which message it belongs to. Otherwise each socket has
        to remember the keys that were answered, to tell a duplicate from a stray reply.
    :raises ValueError: if the messages have no key.
    """

    __slots__ = ("_payloads", "are_numbered", "find_own", "find_theirs")

    def __init__(self, verify: Verify, payloads: Payloads) -> None:
        assert verify.find_own is not None
        assert verify.find_theirs is not None
        self.find_own: Callable[[str | bytes], Hashable | None] = verify.find_own
        self.find_theirs: Callable[[str | bytes], Hashable | None] = verify.find_theirs
        self._payloads = payloads
        samples = [(conn % (payloads.sockets or conn + 1), seq) for conn, seq in _SAMPLES]
        found = [self._own_key(conn, seq) for conn, seq in samples]
        if None in found:
            raise ValueError("the messages have none")
        self.are_numbered: bool = not payloads.changes_with_time and all(
            self.find_sequence(key, conn, seq + 1) == seq
            for key, (conn, seq) in zip(found, samples, strict=True)
        )

    def find_sequence(self, key: Hashable, conn: int, sent: int) -> int | None:
        """Find which of the first `sent` messages of a socket has this key, if the key tells."""
        if isinstance(key, tuple):
            return None
        for number, digits in enumerate(_DIGITS.finditer(str(key))):
            if number == _MAX_NUMBERS:
                break
            seq = int(digits[0])
            if seq < sent and self._own_key(conn, seq) == key:
                return seq
        return None

    def _own_key(self, conn: int, seq: int) -> Hashable | None:
        return self.find_own(self._payloads.render(conn, seq))


def check_key(verify: Verify, written: str, payloads: Payloads, frame: Frame) -> None:
    """Check that our own messages have the key that replies are found by.

    :param written: the `--verify` as it was given.
    :param frame: one of our messages, for the error message.
    :raises ValueError: if they have none.
    """
    try:
        Keys(verify, payloads)
    except ValueError:
        shown = frame if isinstance(frame, str) else frame.decode("latin-1")
        shown = shown if len(shown) <= 60 else f"{shown[:57]}…"
        raise ValueError(
            f"--verify {written}: no key of that kind is in our own messages, such as {shown!r}"
        ) from None
