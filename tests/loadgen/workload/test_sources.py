import sys
from ipaddress import IPv4Address
from itertools import chain

import pytest

from loadgen.workload.sources import Sources, as_ranges


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        pytest.param(["127.0.0.2"], ["127.0.0.2"], id="one"),
        pytest.param(["127.0.0.254-127.0.1.1"],
                     ["127.0.0.254", "127.0.0.255", "127.0.1.0", "127.0.1.1"], id="range"),
        pytest.param(["10.0.0.0/30"], ["10.0.0.1", "10.0.0.2"], id="cidr-without-its-ends"),
        pytest.param(["10.0.0.5/30"], ["10.0.0.5", "10.0.0.6"], id="cidr-by-an-address-in-it"),
        pytest.param(["10.0.0.0/31"], ["10.0.0.0", "10.0.0.1"], id="cidr-of-two"),
        pytest.param(["10.0.0.7/32"], ["10.0.0.7"], id="cidr-of-one"),
        pytest.param(["fe80::1/127"], ["fe80::", "fe80::1"], id="ipv6"),
        pytest.param(["::1", "127.0.0.2"], ["::1", "127.0.0.2"], id="several"),
    ],
)  # fmt: skip
def test_addresses_ranges_and_blocks_are_read(texts, expected):
    assert list(Sources(texts)) == expected


@pytest.mark.parametrize(
    "text", ["", "localhost", "1.2.3", "127.0.0.9-127.0.0.2", "127.0.0.1-::1", "10.0.0.0/33", "-"]
)
def test_anything_else_is_refused_in_one_line(text):
    with pytest.raises(ValueError, match=r"write it like 127\.0\.0\.2") as caught:
        Sources([text])
    assert "\n" not in str(caught.value)


def test_a_block_of_millions_costs_nothing():
    sources = Sources(["10.0.0.0/8", "fd00::/64"])
    assert sources[16_777_213] == "10.255.255.254"
    assert sources[16_777_214] == "fd00::"


def test_every_nth_address_is_a_shards():
    assert list(Sources(["127.0.0.2-127.0.0.8"], start=1, step=3)) == ["127.0.0.3", "127.0.0.6"]


def test_each_family_has_its_own():
    sources = Sources(["127.0.0.2", "::1", "127.0.0.4-127.0.0.5"])
    assert list(sources.of_version(4)) == ["127.0.0.2", "127.0.0.4", "127.0.0.5"]
    assert list(sources.of_version(6)) == ["::1"]
    assert not Sources(["::1"]).of_version(4)


def test_a_block_with_more_addresses_than_can_be_counted_is_one_to_connect_from():
    sources = Sources(["fd00::/64"])
    assert sources.total == 2**64
    assert len(sources) == sys.maxsize
    assert list(sources[:2]) == ["fd00::", "fd00::1"]
    assert Sources(["fd00::/64"], start=1, step=2).total == 2**63
    assert Sources([]).total == Sources(["::1"], start=1, step=2).total == 0


@pytest.mark.parametrize(
    ("addresses", "ranges"),
    [
        pytest.param([], [], id="none"),
        pytest.param(["10.0.0.9"], ["10.0.0.9"], id="one"),
        pytest.param(["10.0.0.255", "10.0.1.0", "10.0.1.1", "10.0.1.3"],
                     ["10.0.0.255-10.0.1.1", "10.0.1.3"], id="a-gap"),
        pytest.param(["255.255.255.255", "::1:0:0"], ["255.255.255.255", "::1:0:0"],
                     id="families"),
        pytest.param(["fd00::", "fd00::1"], ["fd00::-fd00::1"], id="ipv6"),
        pytest.param(["10.0.0.2", "10.0.0.1"], ["10.0.0.2", "10.0.0.1"], id="downwards"),
    ],
)  # fmt: skip
def test_addresses_in_a_row_are_one_range(addresses, ranges):
    assert as_ranges(addresses) == ranges
    assert list(Sources(ranges)) == addresses


def test_a_shard_has_its_own_addresses_of_each_family():
    # As a machine has them that is reached by one of the two.
    texts = ["127.0.0.1-127.0.0.7"]
    dealt = [Sources(texts, start=turn, step=3) for turn in range(3)]
    assert [list(each.of_version(4)) for each in dealt] == [list(each) for each in dealt]
    assert sorted(chain.from_iterable(dealt), key=IPv4Address) == list(Sources(texts))
    assert [each.total for each in dealt] == [3, 2, 2]


@pytest.mark.parametrize(
    ("text", "first", "last", "count"),
    [
        pytest.param("10.0.0.0/24", "10.0.0.1", "10.0.0.254", 254, id="block"),
        pytest.param("10.0.0.8/30", "10.0.0.9", "10.0.0.10", 2, id="smallest-block"),
        pytest.param("10.0.0.8/31", "10.0.0.8", "10.0.0.9", 2, id="two"),
        pytest.param("10.0.0.8/32", "10.0.0.8", "10.0.0.8", 1, id="one"),
        pytest.param("fd00::/126", "fd00::", "fd00::3", 4, id="ipv6"),
        pytest.param("10.0.0.2-10.0.1.1", "10.0.0.2", "10.0.1.1", 256, id="range"),
    ],
)
def test_a_range_has_its_first_its_last_and_all_between(text, first, last, count):
    addresses = list(Sources([text]))
    assert (addresses[0], addresses[-1], len(addresses)) == (first, last, count)
    assert len(set(addresses)) == count
