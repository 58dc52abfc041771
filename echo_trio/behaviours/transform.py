"""Turn a message into its reply: itself, one space, a random number. Pure, but for the numbers."""

from __future__ import annotations

from collections.abc import Callable
from random import random
from typing import Final

#: Suffixes are whole numbers from 0 to this, exclusive.
SUFFIX_RANGE: Final = 1_000_000

NextSuffix = Callable[[], int]

# SplitMix64 (Steele, Lea, Flood 2014): a fixed sequence from eight bytes of state. A
# `random.Random` for each connection would be 2.5 KB.
_GOLDEN_GAMMA: Final = 0x9E3779B97F4A7C15
_MASK64: Final = 2**64 - 1


def append_suffix(message: str | bytes, suffix: int) -> str | bytes:
    """Make the reply to a message, of the same kind: text to text, binary to binary."""
    if isinstance(message, str):
        return f"{message} {suffix}"
    return b"%b %d" % (message, suffix)


def random_suffix() -> int:
    """Draw a suffix from Python's default generator."""
    return int(random() * SUFFIX_RANGE)


class SeededSuffixes:
    """The fixed sequence of suffixes that a seed stands for; call it for the next."""

    __slots__ = ("_state",)

    def __init__(self, seed: int) -> None:
        self._state = seed & _MASK64

    def __call__(self) -> int:
        """Return the next suffix."""
        self._state = z = (self._state + _GOLDEN_GAMMA) & _MASK64
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK64
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK64
        return ((z ^ (z >> 31)) * SUFFIX_RANGE) >> 64


def suffixes(seed: int | None) -> NextSuffix:
    """Choose the source of one connection's suffixes: the seed's sequence, or random numbers."""
    return random_suffix if seed is None else SeededSuffixes(seed)
