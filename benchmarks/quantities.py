"""Counts, sizes and lists as they are typed on the command line and shown in tables."""

import argparse
import re
from collections.abc import Callable, Sequence

_FACTORS = {"": 1, "B": 1, "KiB": 1024, "MiB": 1024**2}


def byte_count(text: str) -> int:
    """`16`, `1KiB`, `1MiB` in bytes."""
    match = re.fullmatch(r"(\d+)\s*(B|KiB|MiB|)", text.strip())
    if not match or int(match[1]) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size like 16, 1KiB or 1MiB")
    return int(match[1]) * _FACTORS[match[2]]


def shown_bytes(count: int) -> str:
    """The inverse of `byte_count`, for people."""
    for unit in ("MiB", "KiB"):
        if count % _FACTORS[unit] == 0:
            return f"{count // _FACTORS[unit]} {unit}"
    return f"{count} B"


def numbers(text: str) -> list[int]:
    """`100,1000` in ascending order."""
    try:
        found = sorted(int(part) for part in text.split(","))
    except ValueError:
        found = []
    if not found or found[0] < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of numbers like 100,1000")
    return found


def names(known: Sequence[str]) -> Callable[[str], list[str]]:
    """A parser for a list of names, each of which must be known."""

    def parse(text: str) -> list[str]:
        given = text.split(",")
        if unknown := [name for name in given if name not in known]:
            raise argparse.ArgumentTypeError(
                f"unknown: {', '.join(unknown)} (known: {', '.join(known)})"
            )
        return given

    return parse
