"""Give sockets the local addresses that they connect from, one after the other."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import overload

_HINT = "write it like 127.0.0.2, 127.0.0.2-127.0.0.9 or 127.0.1.0/24"


@dataclass(frozen=True, slots=True)
class Range:
    """A range of addresses that follow each other.

    :ivar version: 4 or 6.
    """

    first: int
    count: int
    version: int

    @classmethod
    def parse(cls, text: str) -> Range:
        """Read an address, a range or a CIDR block (without its network and broadcast addresses).

        :raises ValueError: if it is none of these.
        """
        try:
            if "/" in text:
                # As written, 10.0.0.5/24 is an address in that block: no reason to refuse it.
                block = ip_network(text, strict=False)
                spared = block.version == 4 and block.num_addresses > 2
                first, last = block[1 if spared else 0], block[-2 if spared else -1]
            else:
                low, dash, high = text.partition("-")
                first = ip_address(low.strip())
                last = ip_address(high.strip()) if dash else first
        except ValueError:
            raise ValueError(f"{text!r} is no local address: {_HINT}") from None
        if first.version != last.version or int(first) > int(last):
            raise ValueError(f"{text!r} is not a range of addresses: {_HINT}")
        return cls(int(first), int(last) - int(first) + 1, first.version)

    def __str__(self) -> str:
        make = IPv4Address if self.version == 4 else IPv6Address
        first, last = make(self.first), make(self.first + self.count - 1)
        return str(first) if self.count == 1 else f"{first}-{last}"


def as_ranges(addresses: Iterable[str]) -> list[str]:
    """Write addresses in as few texts for `Range.parse` as possible: those in a row are one."""
    ranges: list[Range] = []
    for each in map(Range.parse, addresses):
        if ranges:
            before = ranges[-1]
            if (before.version, before.first + before.count) == (each.version, each.first):
                ranges[-1] = Range(before.first, before.count + each.count, each.version)
                continue
        ranges.append(each)
    return [str(each) for each in ranges]


class Sources(Sequence[str]):
    """All addresses of several ranges, or every n-th one. A block of millions costs nothing.

    :param texts: as `Range.parse` reads them.
    :param start: the place of the first one among all.
    :param step: the distance between two.
    :raises ValueError: if one of `texts` is no address, range or block.
    """

    def __init__(self, texts: Sequence[str], *, start: int = 0, step: int = 1) -> None:
        self._texts = texts
        self._ranges = [Range.parse(text) for text in texts]
        self._indices = range(sum(each.count for each in self._ranges))[start::step]

    def of_version(self, version: int) -> Sources:
        """Choose the addresses of one family: 4 or 6."""
        texts = [text for text in self._texts if Range.parse(text).version == version]
        return Sources(texts, start=self._indices.start, step=self._indices.step)

    @property
    def total(self) -> int:
        """The number of addresses: an IPv6 block has more than `len` can say."""
        indices = self._indices
        return max(-(-(indices.stop - indices.start) // indices.step), 0)

    def __len__(self) -> int:
        return min(self.total, sys.maxsize)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...
    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        if isinstance(index, slice):
            return [self[each] for each in range(len(self))[index]]
        place = self._indices[index]
        for each in self._ranges:
            if place < each.count:
                make = IPv4Address if each.version == 4 else IPv6Address
                return str(make(each.first + place))
            place -= each.count
        raise IndexError(index)

    def __iter__(self) -> Iterator[str]:
        return (self[index] for index in range(len(self)))
