"""Show which tasks live in which nursery, with equal ones folded into one line and a count.

The tree is read from Trio itself, at the moment somebody asks: nothing is kept, so that it costs
nothing meanwhile. Ten thousand connections are ten thousand equal leaves.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from operator import attrgetter
from typing import Final, Protocol, Self

import msgspec
import trio

_NAME: Final = attrgetter("name")


class Nursery(Protocol):
    """The part of a `trio.Nursery` that is read."""

    @property
    def child_tasks(self) -> Iterable[Task]:
        """The tasks in it."""


class Task(Protocol):
    """The part of a `trio.lowlevel.Task` that is read."""

    @property
    def name(self) -> str:
        """The name that Trio gives it: the function it runs."""

    @property
    def child_nurseries(self) -> Iterable[Nursery]:
        """The nurseries it has open, the outermost first."""


class TaskNode(msgspec.Struct, frozen=True):
    """A number of tasks with one name, whose children look alike too."""

    name: str
    count: int
    children: tuple[TaskNode, ...] = ()

    def times(self, count: int) -> Self:
        """Return the same node with another count."""
        return self if count == self.count else msgspec.structs.replace(self, count=count)


def current_tasks() -> TaskNode | None:
    """Return the tree of this process's tasks; None outside of Trio.

    It is read in one go, without a checkpoint: if tasks came and went meanwhile, the tree would be
    one that never existed. Ten thousand connections take some 3 ms, for which the echo waits.
    """
    root = trio.lowlevel.current_root_task()
    return None if root is None else fold(root)


def fold(task: Task) -> TaskNode:
    """Make a node of a task and all below it; siblings of equal name and equal children are one."""
    children = [child for nursery in task.child_nurseries for child in nursery.child_tasks]
    nodes = Counter(fold(child) for child in children if child.child_nurseries)
    # By map and attrgetter: with thousands of connections, nearly all are leaves.
    leaves = Counter(map(_NAME, (child for child in children if not child.child_nurseries)))
    nodes.update({TaskNode(name, 1): count for name, count in leaves.items()})
    folded = [node.times(count) for node, count in nodes.items()]
    return TaskNode(task.name, 1, tuple(sorted(folded, key=_order)))


def _order(node: TaskNode) -> tuple[str, int, int]:
    """Give children an order, so that equal trees look alike: a set has none."""
    return node.name, -len(node.children), -node.count
