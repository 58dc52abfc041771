"""Read and show the units that users type: durations, sizes, counts, rates. Pure.

Flags, variables, TOML keys, the console's JSON and the parameters of paths all go through these
functions, so that a text is a duration everywhere or nowhere.
"""

from __future__ import annotations

import os
import re
from typing import Final

#: The most processes that one program may be told to have on one machine.
MAX_PROCESSES: Final = 256

_NUMBER: Final = r"([0-9]+(?:\.[0-9]+)?)"
_DURATION: Final = re.compile(_NUMBER + r"(ms|s|m|h)")
_DURATION_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_SIZE: Final = re.compile(_NUMBER + r"(B|KiB|MiB|GiB)?")
_SIZE_UNITS: Final = {None: 1, "B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
_COUNT: Final = re.compile(_NUMBER + r"([km])?")
_COUNT_UNITS: Final = {None: 1, "k": 1_000, "m": 1_000_000}
_WHOLE: Final = re.compile(r"-?[0-9]{1,18}")
_SHARE: Final = re.compile(_NUMBER + r"(%)?")
_RATE: Final = re.compile(_NUMBER + r"([km])?/(s|m|h)")


def parse_duration(text: str) -> float:
    """Read ``250ms``, ``10s``, ``1.5m``, ``1h`` or ``0`` as seconds.

    :raises ValueError: if the text is none of these; the message says how to write one.
    """
    if text == "0":
        return 0.0
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a duration: write it like 250ms, 10s, 2m or 1h")
    return float(match[1]) * _DURATION_UNITS[match[2]]


def parse_size(text: str) -> int:
    """Read ``512``, ``64KiB`` or ``1MiB`` as bytes.

    :raises ValueError: if the text is none of these, or not a whole number of bytes.
    """
    match = _SIZE.fullmatch(text)
    size = float(match[1]) * _SIZE_UNITS[match[2]] if match else 0.5
    if not size.is_integer():
        raise ValueError(f"{text!r} is not a size: write it like 512, 64KiB or 1MiB")
    return int(size)


def parse_count(text: str) -> int:
    """Read ``10000``, ``10k`` or ``1m`` as a number.

    :raises ValueError: if the text is none of these, or not whole.
    """
    match = _COUNT.fullmatch(text)
    count = float(match[1]) * _COUNT_UNITS[match[2]] if match else 0.5
    if not count.is_integer():
        raise ValueError(f"{text!r} is not a count: write it like 10000, 10k or 1m")
    return int(count)


def parse_whole(text: str) -> int:
    """Read ``8765`` or ``-3`` as a whole number: at most 18 decimal digits and nothing else.

    :raises ValueError: if the text is no such number.
    """
    if _WHOLE.fullmatch(text) is None:
        raise ValueError(f"{text!r} is not a whole number")
    return int(text)


def parse_rate(text: str) -> float:
    """Read ``100/s``, ``5k/s`` or ``30/m`` as a number per second.

    :raises ValueError: if the text is none of these.
    """
    match = _RATE.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a rate: write it like 100/s, 0.5/s or 30/m")
    return float(match[1]) * _COUNT_UNITS[match[2]] / _DURATION_UNITS[match[3]]


def parse_confidence(text: str) -> float:
    """Read ``95%`` or ``0.95`` as a confidence level: at least 50 %, at most 99.99 %.

    :raises ValueError: if the text is neither, or outside.
    """
    match = _SHARE.fullmatch(text)
    share = float(match[1]) / (100 if match[2] else 1) if match else 0.0
    if not 0.5 <= share <= 0.9999:
        raise ValueError(f"{text!r} is not a confidence from 50% to 99.99%: write it like 95%")
    return share


def show_duration(seconds: float) -> str:
    """Write a duration as users do, in the largest unit that makes it a whole number."""
    for unit, length in reversed(_DURATION_UNITS.items()):
        if seconds >= length and (seconds / length).is_integer():
            return f"{seconds / length:g}{unit}"
    return f"{seconds:g}s"


def show_size(size_bytes: int) -> str:
    """Write a size as users do, in the largest unit that makes it a whole number."""
    for unit in ("GiB", "MiB", "KiB"):
        if size_bytes and size_bytes % _SIZE_UNITS[unit] == 0:
            return f"{size_bytes // _SIZE_UNITS[unit]}{unit}"
    return str(size_bytes)


def parse_processes(text: str) -> int:
    """Read ``4`` as a number, or ``auto`` as the number of cores that this process may use.

    :raises ValueError: if the text is neither, or not from 1 to `MAX_PROCESSES`.
    """
    if text == "auto":
        return _cores()
    if not text.isascii() or not text.isdecimal() or not 1 <= int(text) <= MAX_PROCESSES:
        raise ValueError(f"{text!r} is neither auto nor a number from 1 to {MAX_PROCESSES}")
    return int(text)


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1  # macOS, Windows
