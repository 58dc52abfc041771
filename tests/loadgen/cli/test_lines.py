"""Lines come from a descriptor as they were written, however the bytes arrive."""

import os
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.cli import lines as lines_module
from loadgen.cli.lines import Lines


class Arriving:
    """A descriptor whose bytes arrive in these pieces."""

    def __init__(self, pieces):
        self._pieces = [piece for piece in pieces if piece]
        self.reads = 0

    def read(self, _, size_bytes):
        self.reads += 1
        if not self._pieces:
            return b""
        piece = self._pieces.pop(0)
        if piece[size_bytes:]:
            self._pieces.insert(0, piece[size_bytes:])
        return piece[:size_bytes]


DATA = st.lists(st.sampled_from([b"\n", b"a", b"bc"]), max_size=30).map(b"".join)


@given(DATA, st.lists(st.integers(0, 60), max_size=5))
def test_lines_are_those_of_the_whole_however_it_is_cut(data, places):
    edges = [0, *sorted(min(place, len(data)) for place in places), len(data)]
    arriving = Arriving(data[a:b] for a, b in pairwise(edges))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines_module.os, "read", arriving.read)
        lines, read = Lines(7), []
        while (line := lines.read()) is not None:
            read.append(line)
        assert lines.read() is None
    expected = data.split(b"\n")
    assert read == (expected if expected[-1] else expected[:-1])


@pytest.mark.parametrize(
    ("arrives", "line"),
    [
        ([b"12345\nmore\n"], b"12345"),
        ([b"123456\nmore\n"], None),
        ([b"12345", b"\n"], b"12345"),
        ([b"123456", b"never asked for"], None),
        ([b"123", b"456", b"never asked for"], None),
    ],
)
def test_a_line_has_a_longest_length_and_is_not_awaited_beyond_it(monkeypatch, arrives, line):
    arriving = Arriving(arrives)
    monkeypatch.setattr(lines_module.os, "read", arriving.read)
    assert Lines(7).read(5) == line
    assert arriving.reads == len([each for each in arrives if b"never" not in each])


def test_a_line_that_is_there_is_not_awaited():
    ours, theirs = os.pipe()
    try:
        os.write(theirs, b"one\n\ntwo\n")
        lines = Lines(ours)
        assert [lines.read() for _ in range(3)] == [b"one", b"", b"two"]
    finally:
        os.close(ours)
        os.close(theirs)
