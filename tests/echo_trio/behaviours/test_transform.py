"""The transform: for every message and number, the contract's reply."""

from __future__ import annotations

import re
from itertools import islice

from hypothesis import given
from hypothesis import strategies as st

from echo_trio.behaviours.scripts import echo_exactly, echo_with_suffix
from echo_trio.behaviours.transform import SUFFIX_RANGE, SeededSuffixes, append_suffix, suffixes

NUMBERS = st.integers(0, SUFFIX_RANGE - 1)
SUFFIX = re.compile(r" (0|[1-9][0-9]{0,5})")


@given(st.text(), NUMBERS)
def test_text_gets_a_space_and_the_number(message: str, number: int) -> None:
    reply = append_suffix(message, number)
    assert isinstance(reply, str)
    assert reply[: len(message)] == message
    assert SUFFIX.fullmatch(reply, len(message))
    assert int(reply[len(message) :]) == number


@given(st.binary(), NUMBERS)
def test_binary_gets_the_same_in_ascii(message: bytes, number: int) -> None:
    assert append_suffix(message, number) == message + append_suffix("", number).encode("ascii")  # type: ignore[union-attr]


@given(st.one_of(st.none(), st.integers()), st.integers(1, 50))
def test_every_suffix_is_in_range(seed: int | None, count: int) -> None:
    next_suffix = suffixes(seed)
    assert all(0 <= next_suffix() < SUFFIX_RANGE for _ in range(count))


@given(st.integers(), st.integers(1, 50))
def test_a_seed_always_stands_for_the_same_sequence(seed: int, count: int) -> None:
    one, other = suffixes(seed), suffixes(seed)
    assert [one() for _ in range(count)] == [other() for _ in range(count)]


@given(st.lists(st.tuples(st.binary(), st.booleans()), max_size=10), st.integers())
def test_what_an_echo_says_that_it_appends_is_what_it_appends(messages, seed: int) -> None:
    """A large message is answered by that alone, a small one by the whole, in any order."""
    echo, other = (echo_with_suffix(suffixes(seed)) for _ in range(2))
    for message, is_large in messages:
        reply = message + echo.appended() if is_large else echo(message)
        assert reply == other(message)
    plain = echo_exactly(suffixes(seed))
    assert plain(b"x") == b"x" + plain.appended()
    at_random = echo_with_suffix(suffixes(None))
    assert SUFFIX.fullmatch(at_random.appended().decode())


def test_the_sequence_is_splitmix64s() -> None:
    # The reference implementation's first outputs for seed 0 (Vigna, splitmix64.c).
    first = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]
    sequence = SeededSuffixes(0)
    assert [sequence() for _ in first] == [(x * SUFFIX_RANGE) >> 64 for x in first]


def test_a_seed_below_zero_is_one_of_its_own() -> None:
    sequences = {tuple(islice(iter(SeededSuffixes(seed), -1), 5)) for seed in (-2, -1, 0, 1, 2)}
    assert len(sequences) == 5


def test_seeded_suffixes_are_spread_evenly() -> None:
    sequence = SeededSuffixes(1)
    tenths = [0] * 10
    for _ in range(10_000):
        tenths[sequence() * 10 // SUFFIX_RANGE] += 1
    # 1,000 are expected in each; seven standard deviations of 30 are not a matter of chance.
    assert all(abs(count - 1000) < 210 for count in tenths)
