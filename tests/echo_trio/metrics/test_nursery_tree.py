"""The nursery tree, folded."""

from __future__ import annotations

from dataclasses import dataclass, field

import trio
from trio.testing import wait_all_tasks_blocked

from echo_trio.metrics.nursery_tree import TaskNode, current_tasks, fold


@dataclass(frozen=True)
class FakeNursery:
    child_tasks: list[FakeTask]


@dataclass(frozen=True)
class FakeTask:
    name: str
    child_nurseries: list[FakeNursery] = field(default_factory=list)


def task(name: str, *nurseries: list[FakeTask]) -> FakeTask:
    return FakeTask(name, [FakeNursery(children) for children in nurseries])


def test_a_task_alone_is_a_leaf() -> None:
    assert fold(task("main")) == TaskNode("main", 1)


def test_equal_leaves_are_one_with_their_count_over_all_nurseries() -> None:
    main = task("main", [task("session")] * 3 + [task("accept")], [task("session")])
    assert fold(main).children == (TaskNode("accept", 1), TaskNode("session", 4))


def test_siblings_of_one_name_are_told_apart_by_what_they_have_below_them() -> None:
    busy = task("session", [task("write")])
    busier = task("session", [task("write"), task("write")])
    assert fold(task("main", [busy, task("session"), busier, busy])).children == (
        TaskNode("session", 2, (TaskNode("write", 1),)),
        TaskNode("session", 1, (TaskNode("write", 2),)),
        TaskNode("session", 1),
    )


def test_a_task_with_an_empty_nursery_is_a_leaf_too() -> None:
    assert fold(task("main", [task("a", []), task("a")])).children == (TaskNode("a", 2),)


async def test_trios_own_tree_is_read(nursery: trio.Nursery) -> None:
    def find(node: TaskNode, name: str) -> list[TaskNode]:
        here = [node] if node.name.endswith(name) else []
        return here + [found for child in node.children for found in find(child, name)]

    for _ in range(1000):
        nursery.start_soon(trio.sleep_forever)
    await wait_all_tasks_blocked()
    tree = current_tasks()
    assert tree is not None
    assert tree.name == "<init>"
    (sleepers,) = find(tree, "sleep_forever")
    assert sleepers.count == 1000
