from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadgen.preflight.check import Refused
from loadgen.preflight.costs import PROCESS_BYTES, SOCKET_BYTES
from loadgen.processes.placement import SPARE_FILES, Network, WorkerLimits, cut, deal
from loadgen.workload.plan import Plan

GIB = 2**30


def test_every_thread_gets_a_shard():
    workers = {"a": WorkerLimits(4, 8 * GIB, 20_000), "b": WorkerLimits(2, 8 * GIB, 20_000)}
    assert Counter(deal(60_000, workers)) == {"a": 4, "b": 2}


def test_there_are_no_more_shards_than_sockets_or_than_wanted():
    workers = {"a": WorkerLimits(4, 0, 20_000), "b": WorkerLimits(4, 0, 20_000)}
    assert len(deal(3, workers)) == 3
    assert len(deal(3, workers, 4)) == 3
    assert Counter(deal(1_000, workers, 4)) == {"a": 2, "b": 2}


def test_of_fewer_shards_than_threads_each_worker_has_its_share():
    workers = {"a": WorkerLimits(4, 0, 20_000), "b": WorkerLimits(2, 0, 20_000)}
    assert deal(1_000, workers, 3) == ["a", "b", "a"]
    assert Counter(deal(1_000, workers, 5)) == {"a": 3, "b": 2}


def test_memory_bounds_the_shards_of_a_worker():
    workers = {"a": WorkerLimits(8, 1 * GIB, 10**6), "b": WorkerLimits(8, 16 * GIB, 10**6)}
    dealt = Counter(deal(240_000, workers))
    assert dealt["b"] == 8
    assert 0 < dealt["a"] < 8


def test_a_worker_whose_files_do_not_suffice_gets_none():
    workers = {"a": WorkerLimits(2, 0, 1_024), "b": WorkerLimits(2, 0, 20_000)}
    assert Counter(deal(20_000, workers)) == {"b": 2}


@pytest.mark.parametrize(
    ("workers", "problem"),
    [
        pytest.param({}, "has no workers", id="none"),
        pytest.param(
            {"a": WorkerLimits(2, 0, 1_000)},
            "don't fit this cluster: 1 workers with 2 threads",
            id="files",
        ),
        pytest.param({"a": WorkerLimits(2, 10**6, 10**6)}, "don't fit", id="memory"),
    ],
)
def test_what_does_not_fit_is_refused(workers, problem):
    with pytest.raises(Refused, match=problem):
        deal(10_000, workers)


def fits(sockets, limits, shards=1):
    """Has a worker room for so many shards of so many sockets?"""
    memory = shards * (PROCESS_BYTES + sockets * SOCKET_BYTES)
    return (
        sockets + SPARE_FILES <= limits.files
        and shards <= limits.threads
        and (not limits.memory_bytes or memory <= limits.memory_bytes)
    )


@pytest.mark.parametrize("count", [1999, 2000, 2001])
def test_a_worker_is_filled_to_its_last_file_and_no_further(count):
    workers = {"a": WorkerLimits(2, 0, 1000 + SPARE_FILES)}
    if count <= 2000:
        assert deal(count, workers) == ["a"] * 2
    else:
        with pytest.raises(Refused):
            deal(count, workers)
    with pytest.raises(Refused):
        deal(1001, {"a": WorkerLimits(1, 0, 1000 + SPARE_FILES)})


def test_a_worker_is_filled_to_its_last_byte_and_no_further():
    exactly = 2 * (PROCESS_BYTES + 500 * SOCKET_BYTES)
    assert deal(1000, {"a": WorkerLimits(2, exactly, 10**6)}) == ["a"] * 2
    assert deal(1000, {"a": WorkerLimits(2, exactly - 1, 10**6)}) == ["a"]
    one = PROCESS_BYTES + 1000 * SOCKET_BYTES
    assert deal(1000, {"a": WorkerLimits(2, one, 10**6)}) == ["a"]
    with pytest.raises(Refused):
        deal(1000, {"a": WorkerLimits(2, one - 1, 10**6)})


@settings(deadline=None)  # on a busy machine
@given(
    st.integers(1, 10**6),
    st.dictionaries(
        st.text("abc", max_size=2),
        st.builds(WorkerLimits, st.integers(1, 16), st.integers(0, 2**34), st.integers(64, 10**5)),
        max_size=5,
    ),
)
def test_no_worker_gets_more_than_it_has_room_for(count, workers):
    try:
        dealt = deal(count, workers)
    except Refused:
        return
    each = -(-count // len(dealt))
    assert len(dealt) <= count
    for address, shards in Counter(dealt).items():
        limits = workers[address]
        assert fits(each, limits, shards), address


# -- Local addresses ------------------------------------------------------------------------


def test_a_shard_connects_from_its_machines_addresses_and_shares_them_with_those_beside_it():
    plan = Plan(8, source_ips=("10.0.0.0/24", "10.1.0.1"))
    networks = {
        "a": Network("one", (("10.0.0.2-10.0.0.4",), ())),
        "b": Network("two", (("10.0.0.9",), ("10.1.0.1",))),
        "c": Network("one", (("10.0.0.2-10.0.0.4",), ())),
    }
    shards = cut(plan, ["a", "b", "c", "b"], networks)
    assert [list(shard.sources()) for shard in shards] == [
        ["10.0.0.2", "10.0.0.4"],
        ["10.0.0.9"],
        ["10.0.0.3"],
        ["10.1.0.1"],
    ]
    assert [shard.conn(1) for shard in shards] == [4, 5, 6, 7]


def test_where_a_machine_has_fewer_addresses_than_shards_all_there_connect_from_all():
    plan = Plan(8, source_ips=("10.0.0.2",))
    networks = {"a": Network("one", (("10.0.0.2",),))}
    assert [list(each.sources()) for each in cut(plan, ["a", "a"], networks)] == [["10.0.0.2"]] * 2


def test_without_addresses_the_system_chooses_on_each_machine():
    shards = cut(Plan(2), ["a", "a"], {"a": Network("one", ())})
    assert shards == [Plan(2).shard(0, 2), Plan(2).shard(1, 2)]


@pytest.mark.parametrize(
    ("second", "problem"),
    [
        pytest.param(((), ()), "the machine of worker b has none of these addresses", id="machine"),
        pytest.param((("10.0.0.9",), ()), r"--source-ip 10\.1\.0\.1: not an address", id="address"),
    ],
)
def test_addresses_that_are_nowhere_are_refused(second, problem):
    plan = Plan(8, source_ips=("10.0.0.0/24", "10.1.0.1"))
    first = ("10.0.0.2",), () if second[0] else ("10.1.0.1",)
    with pytest.raises(Refused, match=problem):
        cut(plan, ["a", "b"], {"a": Network("one", first), "b": Network("two", second)})
