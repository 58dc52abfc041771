import pytest

from loadgen.workload.plan import Plan


def test_a_shard_carries_the_file_with_it(tmp_path):
    (tmp_path / "m").write_text("ä {seq}")
    shard = Plan(2, message_file=str(tmp_path / "m")).shard(1, 2)
    (tmp_path / "m").unlink()
    assert shard.payloads().render(0, 7) == "ä 7"
    assert shard.conn(0) == 1


@pytest.mark.parametrize(
    ("index", "shards"), [pytest.param(0, 3, id="too-many"), pytest.param(2, 2, id="no-such")]
)
def test_no_more_shards_than_sockets(index, shards):
    with pytest.raises(ValueError, match="can't be cut"):
        Plan(2).shard(index, shards)
    with pytest.raises(ValueError, match="can't be cut"):
        Plan(2).shard(0, 2).shard(0, 1)


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_where_sockets_are_missing_only_what_is_due_on_all_together_is_due(missing):
    each_own = Plan(5, rate_per_conn=2.0, duration_s=10.0)
    for index, count in ((0, 3), (1, 2)):
        part = each_own.shard(index, 2)
        there = max(count - missing, 0)
        assert part.pace(there).total == 20 * there
    together = Plan(5, rate=10.0, duration_s=10.0)
    parts = [together.shard(index, 2) for index in (0, 1)]
    assert sum(part.pace(max(part.count - missing, 1)).total for part in parts) == 100


@pytest.mark.parametrize("shards", [2, 3, 4, 7])
def test_uneven_shards_connect_as_fast_as_they_are_large(shards):
    plan = Plan(7, connect_rate=70.0, connect_concurrency=5)
    parts = [plan.shard(index, shards) for index in range(shards)]
    assert [part.connect_rate for part in parts] == pytest.approx([10.0 * p.count for p in parts])
    assert [part.count for part in parts] == [len(range(i, 7, shards)) for i in range(shards)]
    assert all(part.connect_concurrency >= 1 for part in parts)
    assert sum(part.connect_concurrency for part in parts) == max(5, shards)


def test_shards_on_one_machine_share_its_addresses_and_each_has_one():
    plan = Plan(6, source_ips=("10.0.0.1-10.0.0.9",))
    placed = [plan.shard(i, 3).on_machine(["10.0.0.1-10.0.0.5"], i, 3) for i in range(3)]
    dealt = [list(each.sources()) for each in placed]
    assert dealt == [["10.0.0.1", "10.0.0.4"], ["10.0.0.2", "10.0.0.5"], ["10.0.0.3"]]
    few = [plan.shard(i, 3).on_machine(["10.0.0.1-10.0.0.2"], i, 3) for i in range(3)]
    assert [list(each.sources()) for each in few] == [["10.0.0.1", "10.0.0.2"]] * 3


def test_shards_take_the_local_addresses_in_turn():
    plan = Plan(6, source_ips=("10.0.0.1-10.0.0.4",))
    dealt = [list(plan.shard(index, 2).sources()) for index in (0, 1)]
    assert dealt == [["10.0.0.1", "10.0.0.3"], ["10.0.0.2", "10.0.0.4"]]


@pytest.mark.parametrize(
    ("addresses", "shards", "dealt"),
    [(2, 3, [2, 2, 2]), (3, 3, [1, 1, 1]), (4, 3, [2, 1, 1]), (1, 2, [1, 1]), (2, 2, [1, 1])],
)
def test_addresses_are_shared_out_from_one_for_each_on(addresses, shards, dealt):
    plan = Plan(6, source_ips=(f"10.0.0.1-10.0.0.{addresses}",))
    sources = [list(plan.shard(index, shards).sources()) for index in range(shards)]
    assert [len(each) for each in sources] == dealt
    assert {address for each in sources for address in each} == set(plan.sources())


def test_a_shards_turn_among_addresses_is_the_one_it_has_on_its_machine():
    alone, last = Plan(6).shard(2, 3), Plan(6).shard(1, 3)
    addresses = ["10.0.0.1-10.0.0.3"]
    assert list(alone.on_machine(addresses, 0, 2).sources()) == ["10.0.0.1", "10.0.0.3"]
    assert list(last.on_machine(addresses, 2, 3).sources()) == ["10.0.0.3"]
