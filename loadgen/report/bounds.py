"""Read what is in a file as data of a known shape and size, before anything is computed from it.

A report or a journal may have been cut, edited or made up. JSON allows numbers of thousands of
digits, nesting without an end, and an encoded histogram that is a thousand times larger when it is
inflated; Python's own answers to these are exceptions in the middle of some arithmetic, or a lot of
time. All data from a file goes through here.
"""

from __future__ import annotations

import base64
import binascii
import struct
import zlib
from typing import Any, Final, TypeVar

import msgspec

from loadgen.results.hdr import HdrHistogram
from loadgen.results.latency import HIGHEST_US, SIGNIFICANT_DIGITS

#: Above any count, size or time that a run can have, and exact as a float.
MAX_NUMBER: Final = 2**53
#: Nothing that we write is nested half as deep.
MAX_DEPTH: Final = 16
#: One of our encoded histograms has at most 23,552 counts of at most nine bytes, and a header.
MAX_HISTOGRAM_BYTES: Final = 256 * 1024

_Shape = TypeVar("_Shape")
#: Cookie and length; then of the inflated part: cookie, length, offset, digits, least and highest
#: value, ratio (HdrHistogram V2, big endian).
_OUTER: Final = struct.Struct(">II")
_INNER: Final = struct.Struct(">IIIIqqd")
_OUTER_COOKIE: Final = 0x1C849304
_INNER_COOKIE: Final = 0x1C849303
_WORD_SIZE: Final = 0x10
_OURS: Final = (0, SIGNIFICANT_DIGITS, 1, HIGHEST_US)


class Malformed(Exception):
    """Data without the expected shape; the message says in a few words what is wrong."""


def decode(data: bytes, shape: type[_Shape]) -> _Shape:
    """Decode JSON of a known shape, with numbers and nesting within bounds.

    :raises Malformed: if it is anything else.
    """
    try:
        # Fields that the shape doesn't name are skipped, without making objects of them.
        value = msgspec.json.decode(data, type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise Malformed(str(exc)) from None
    except RecursionError:
        raise Malformed("it is nested too deep") from None
    check(msgspec.to_builtins(value))
    return value


def convert(value: Any, shape: type[_Shape]) -> _Shape:
    """Convert decoded JSON into data of a known shape, with numbers and nesting within bounds.

    :raises Malformed: if it is anything else.
    """
    check(value)
    try:
        return msgspec.convert(value, shape, str_keys=True)
    except msgspec.ValidationError as exc:
        raise Malformed(str(exc)) from None


def check(value: Any, depth: int = MAX_DEPTH) -> None:
    """Check the numbers and the nesting of decoded JSON.

    :raises Malformed: if a number is beyond `MAX_NUMBER`, or it is nested deeper than `depth`.
    """
    if isinstance(value, dict | list):
        if not depth:
            raise Malformed("it is nested too deep")
        for each in value.values() if isinstance(value, dict) else value:
            # Most are numbers and texts, for which no call is made.
            if isinstance(each, dict | list):
                check(each, depth - 1)
            elif isinstance(each, int | float) and not -MAX_NUMBER <= each <= MAX_NUMBER:
                raise Malformed("it has a number that is out of range")
    elif isinstance(value, int | float) and not -MAX_NUMBER <= value <= MAX_NUMBER:
        raise Malformed("it has a number that is out of range")


def decode_histogram(encoded: str) -> HdrHistogram:
    """Decode a histogram of ours (see `Histogram.encode`), inflating no more than one can be.

    :raises Malformed: if it is anything else.
    """
    try:
        _check_histogram(base64.b64decode(encoded.encode("ascii"), validate=True))
        return HdrHistogram.decode(encoded.encode("ascii"))
    except (binascii.Error, UnicodeEncodeError, zlib.error, struct.error) as exc:
        raise Malformed(f"a histogram in it is damaged: {exc}") from None


def _check_histogram(data: bytes) -> None:
    cookie, length = _OUTER.unpack_from(data)
    if cookie != _OUTER_COOKIE | _WORD_SIZE or length != len(data) - _OUTER.size:
        raise Malformed("a histogram in it is damaged")
    inflater = zlib.decompressobj()
    inflated = inflater.decompress(data[_OUTER.size :], MAX_HISTOGRAM_BYTES)
    if not inflater.eof or inflater.unused_data:
        raise Malformed("a histogram in it is damaged, or larger than any of a report")
    cookie, length, offset, digits, least, highest, _ = _INNER.unpack_from(inflated)
    if (
        cookie != _INNER_COOKIE | _WORD_SIZE
        or length != len(inflated) - _INNER.size
        or (offset, digits, least, highest) != _OURS
    ):
        raise Malformed("a histogram in it is none that a report has")
    _check_counts(inflated[_INNER.size :])


def _check_counts(data: bytes) -> None:
    """Check that these are as many counts as our histograms can have, and none is negative.

    Each is a number in ZigZag and LEB128; a negative number stands for a row of that many zeros.
    """
    at, total, places = 0, 0, 0
    while at < len(data):
        value, shift = 0, 0
        while True:
            if at >= len(data):
                raise Malformed("a histogram in it is damaged")
            byte = data[at]
            at += 1
            if shift == 56:  # The ninth byte has eight bits of the number.
                value |= byte << shift
                break
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        number = (value >> 1) ^ -(value & 1)
        total += max(number, 0)
        places += max(-number, 1)
    if total > MAX_NUMBER or places > _PLACES:
        raise Malformed("a histogram in it has counts that are out of range")


_PLACES: Final[int] = HdrHistogram(1, HIGHEST_US, SIGNIFICANT_DIGITS).counts_len
