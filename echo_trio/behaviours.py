"""Path → behaviour: what a connection does with each message. Pure tables."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from echo_trio.transform import NextSuffix, append_suffix

Reply = Callable[[str | bytes], str | bytes]
Behaviour = Callable[[NextSuffix], Reply]


def echo_with_suffix(next_suffix: NextSuffix) -> Reply:
    """Each message comes back with a random number appended."""
    return lambda message: append_suffix(message, next_suffix())


def echo_exactly(_: NextSuffix) -> Reply:
    """Each message comes back as it was."""
    return lambda message: message


BEHAVIOURS: Final[dict[str, tuple[Behaviour, str]]] = {
    "/": (echo_with_suffix, "each message, one space, a random number from 0 to 999999"),
    "/plain": (echo_exactly, "each message, exactly"),
}


def find(path: str) -> Behaviour | None:
    """The behaviour of a path, if it has one."""
    found = BEHAVIOURS.get(path)
    return found[0] if found else None


def listing() -> str:
    """All paths, for somebody who asked for another."""
    return "\n".join(
        ["There is nothing here. These paths echo:"]
        + [f"  {path:<8} {text}" for path, (_, text) in BEHAVIOURS.items()]
    )
