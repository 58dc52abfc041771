"""Take data from a file up to its bounds, and nothing beyond."""

import base64
import math
import struct
import zlib
from typing import Any

import msgspec
import pytest
from hdrh.histogram import HdrHistogram

from loadgen.report import bounds
from loadgen.report.bounds import MAX_DEPTH, MAX_NUMBER, Malformed
from loadgen.results.latency import Histogram


def nest(value, depth):
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize("place", [lambda n: n, lambda n: [n], lambda n: {"a": {"b": n}}])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_number_may_be_as_large_as_is_exact_and_no_larger(place, sign):
    bounds.check(place(sign * MAX_NUMBER))
    bounds.check(place(sign * float(MAX_NUMBER)))
    for beyond in (MAX_NUMBER + 1, float(MAX_NUMBER + 2), 10**400, math.inf):
        with pytest.raises(Malformed, match="out of range"):
            bounds.check(place(sign * beyond))
    with pytest.raises(Malformed, match="out of range"):
        bounds.check(place(math.nan))


def test_data_may_be_nested_as_deep_as_the_bound_and_no_deeper():
    assert (MAX_NUMBER, MAX_DEPTH) == (2**53, 16)
    bounds.check(nest(1, MAX_DEPTH))
    with pytest.raises(Malformed, match="too deep"):
        bounds.check(nest(1, MAX_DEPTH + 1))


def test_a_histogram_of_a_report_is_taken_whatever_times_are_in_it():
    histogram = Histogram()
    for value_us in (0, 1, 2047, 2048, 10**6, 3_600_000_000):
        histogram.record(value_us, 10**9)
    decoded = bounds.decode_histogram(histogram.encode())
    assert decoded.get_total_count() == histogram.count
    assert decoded.counts[:] == HdrHistogram.decode(histogram.encode()).counts[:]


class Shape(msgspec.Struct):
    a: int
    b: list[Any] = []


@pytest.mark.parametrize("read", [bounds.decode, bounds.convert])
def test_data_is_of_the_shape_asked_for_and_within_bounds(read):
    def data(value):
        return msgspec.json.encode(value) if read is bounds.decode else value

    assert read(data({"a": 5, "b": [1]}), Shape) == Shape(5, [1])
    for wrong, why in (
        ({"a": "5"}, "Expected `int`"), ({"b": []}, "missing required field `a`"),
        ({"a": MAX_NUMBER + 1}, "out of range"), ({"a": 1, "b": nest(1, MAX_DEPTH)}, "too deep"),
    ):  # fmt: skip
        with pytest.raises(Malformed, match=why):
            read(data(wrong), Shape)


def test_what_is_no_json_is_malformed_and_brackets_without_end_are_too_deep():
    for content in (b"", b"{", b'{"a": 1}{}', b"\xff\xfe{\0}\0", b'{"a": "\xff"}'):
        with pytest.raises(Malformed):
            bounds.decode(content, Shape)
    with pytest.raises(Malformed, match="too deep"):
        bounds.decode(b'{"a": 1, "b": ' + b"[" * 100_000, Shape)


# -- Histograms that were cut, edited or made up ---------------------------------------------------


def varint(count):
    """A count as HdrHistogram writes it: in ZigZag and LEB128, the ninth byte whole."""
    value, written = (count << 1) ^ (count >> 63), b""
    for _ in range(8):
        if value < 0x80:
            return written + bytes([value])
        written += bytes([value & 0x7F | 0x80])
        value >>= 7
    return written + bytes([value])


def encoded(counts=b"\x02", *, cookie=0x1C849314, more=b"", short=0, **fields):
    """A histogram of ours with these counts, in which the fields that are named are others."""
    fields = {"inner": 0x1C849313, "length": len(counts), "offset": 0, "digits": 3, "least": 1,
              "highest": 3_600_000_000} | fields  # fmt: skip
    inner = struct.pack(">IIIIqqd", *fields.values(), 1.0) + counts
    data = zlib.compress(inner) + more
    return base64.b64encode(struct.pack(">II", cookie, len(data) - short) + data).decode()


#: Counts that our histograms have places for.
PLACES = 23_552


@pytest.mark.parametrize(
    "whole",
    [encoded(), encoded(varint(2**53)), encoded(varint(2**53 - 1) + varint(1)),
     encoded(varint(5) + varint(1 - PLACES)), encoded(varint(1) * PLACES),
     encoded(varint(-3) + varint(300) + varint(-(PLACES - 4)))],
)  # fmt: skip
def test_as_many_counts_as_there_are_places_for_and_as_large_as_is_exact_are_taken(whole):
    assert bounds.decode_histogram(whole).get_total_count() > 0


@pytest.mark.parametrize(
    "damaged",
    [
        "", "not base64!", "AAAA", "é", encoded()[:-4], encoded(b"", cookie=1),
        encoded(cookie=0x1C849304), encoded(short=1), encoded(more=b"x"), encoded(cookie=1),
        *(
            pytest.param(lambda field=field: encoded(**field), id=next(iter(field)))
            for field in ({"inner": 0x1C849303}, {"length": 2}, {"offset": 1}, {"digits": 4},
                          {"least": 2}, {"highest": 3_600_000_001})
        ),
        encoded(varint(2**53 + 1)), encoded(varint(2**53) + varint(1)),
        encoded(varint(5) + varint(-PLACES)), encoded(varint(1) * (PLACES + 1)),
        encoded(b"\x81"), encoded(b"\x02\xff"), encoded(b"\xfe" * 27),
        pytest.param(lambda: encoded(bytes(2**22)), id="a bomb"),
    ],
)  # fmt: skip
def test_a_histogram_that_no_report_has_is_malformed_and_not_inflated(damaged):
    with pytest.raises(Malformed, match="a histogram in it"):
        bounds.decode_histogram(damaged() if callable(damaged) else damaged)
