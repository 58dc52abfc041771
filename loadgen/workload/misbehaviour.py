"""Choose which sockets misbehave, and how: `--behave NAME[:SHARE][:PARAMETER]`. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import Final

from echo_trio import units


class Kind(StrEnum):
    """The way in which a socket misbehaves; to test other people's servers."""

    SLOW_READER = "slow-reader"
    """It reads a few bytes a second, with a small receive buffer."""
    HALF_OPEN = "half-open"
    """After the handshake it neither sends nor reads nor answers, like a machine that is gone."""
    NO_PONG = "no-pong"
    """It answers no ping."""
    MID_FRAME_DROP = "mid-frame-drop"
    """Some time after it has opened, it sends half a frame and resets TCP."""
    RECONNECT_STORM = "reconnect-storm"
    """Every so often all of them close and open again, at once. Nothing is wrong with each."""


_SHARE: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)%")
#: Share in percent, and the parameter, where it isn't said.
_DEFAULTS: Final = {
    Kind.SLOW_READER: (1.0, "1KiB/s"),
    Kind.HALF_OPEN: (1.0, ""),
    Kind.NO_PONG: (1.0, ""),
    Kind.MID_FRAME_DROP: (1.0, "1s"),
    Kind.RECONNECT_STORM: (100.0, "10s"),
}


@dataclass(frozen=True, slots=True)
class Behave:
    """A share of the sockets, and the way in which they behave.

    :ivar percent: of all sockets.
    :ivar parameter: bytes a second that a slow reader reads; seconds after which a frame is
        dropped, or between two storms; 0 for the others.
    """

    kind: Kind
    percent: float
    parameter: float

    @classmethod
    def parse(cls, text: str) -> Behave:
        """Read a `--behave`.

        :raises ValueError: if it is none; the message says what to write.
        """
        name, *rest = text.split(":")
        try:
            kind = Kind(name)
        except ValueError:
            known = ", ".join(Kind)
            raise ValueError(f"{name!r} is no behaviour: there are {known}") from None
        percent, parameter = _DEFAULTS[kind]
        if rest and (share := _SHARE.fullmatch(rest[0])):
            percent = float(share[1])
            rest = rest[1:]
        if len(rest) > 1 or (rest and not parameter) or not 0 < percent <= 100:
            example = f"{kind}:{_DEFAULTS[kind][0]:g}%" + (parameter and f":{parameter}")
            raise ValueError(f"{text!r} is not a behaviour: write it like {example}")
        return cls(kind, percent, _parse_parameter(kind, rest[0] if rest else parameter))

    def of(self, sockets: int) -> int:
        """Compute how many of a number of sockets behave like this: at least one."""
        return max(1, math.floor(sockets * self.percent / 100 + 0.5))


def _parse_parameter(kind: Kind, text: str) -> float:
    if not text:
        return 0.0
    if kind is Kind.SLOW_READER:
        size, slash, _ = text.partition("/s")
        if not slash:
            raise ValueError(f"{text!r} is not a size a second: write it like 1KiB/s")
        parameter = float(units.parse_size(size))
    else:
        parameter = units.parse_duration(text)
    if not parameter:
        raise ValueError(f"{kind}: {text} has to be more than 0")
    return parameter


def pick(behaves: Sequence[Behave], sockets: int, seed: int) -> dict[Kind, list[int]]:
    """Choose the sockets that misbehave, by number; the same ones for the same seed.

    Storms are left out: sockets that take part in one are otherwise as all others.
    """
    apart = [each for each in behaves if each.kind is not Kind.RECONNECT_STORM]
    counts = [each.of(sockets) for each in apart]
    picked = Random(seed).sample(range(sockets), sum(counts))
    numbers: dict[Kind, list[int]] = {}
    for each, count in zip(apart, counts, strict=True):
        numbers[each.kind] = sorted(picked[:count])
        picked = picked[count:]
    return numbers


def check_behaviours(behaves: Sequence[Behave], sockets: int) -> None:
    """Check that this number of sockets can behave like this.

    :raises ValueError: if it can't.
    """
    kinds = [each.kind for each in behaves]
    if len(set(kinds)) < len(kinds):
        raise ValueError("--behave: the same behaviour is given twice")
    apart = sum(each.of(sockets) for each in behaves if each.kind is not Kind.RECONNECT_STORM)
    if apart >= sockets:
        raise ValueError(f"--behave leaves none of {sockets:,} sockets that behaves: open more")
