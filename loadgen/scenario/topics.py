"""Find which message a frame is a copy of: servers send messages to everybody who subscribed.

Publishing and copies are events (see `results.fan_out`), so that publisher and subscribers may be
in different processes. Topics and messages have numbers there that are made from their text.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

from loadgen.scenario.content import Fits, KeyPath, encode


def number_of(text: str | bytes) -> int:
    """Make a number from a text: the same in every process, and different for each text."""
    data = text.encode() if isinstance(text, str) else text
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big") >> 1


class Subscription:
    """One socket's subscription to a topic.

    :param copy: a JSON path whose value distinguishes copies; ``None``: the whole message does.
    """

    __slots__ = ("_copy", "fits", "room")

    def __init__(self, topic: str, copy: str | None, fits: Fits) -> None:
        self.room: int = number_of(topic)
        self.fits: Callable[[Any], bool] = fits
        self._copy = None if copy is None else KeyPath(copy)

    def find_key(self, value: Any, frame: str | bytes) -> int | None:
        """Find the number of the message that a frame is a copy of; ``None`` if there is none."""
        if self._copy is None:
            return number_of(frame)
        key = self._copy.find_theirs(value)
        return None if key is None else number_of(repr(key))


def find_published_key(message: Any, copy: str | None) -> int:
    """Return the number of a message to be published.

    :raises ValueError: if it has no value at the path by which its copies are recognised.
    """
    if copy is None:
        return number_of(encode(message))
    key = KeyPath(copy).find_own(message)
    if key is None:
        raise ValueError(f"nothing stands at copy={copy!r} of {message!r:.60}")
    return number_of(repr(key))
