"""Lift the shields of user code that would outlast the end of the run."""

from __future__ import annotations

import trio


def lift(task: trio.lowlevel.Task, within: trio.CancelScope, ends_s: float) -> None:
    """Lift the shields of a task and its children that nothing else ends in time.

    A user's `finally` may shield what it still has to do. It gets a time for that, and then is
    cancelled as everybody was. Trio has no public way to see a task's scopes; its version is
    pinned, and a test checks that this works with it.

    :param within: a scope around the task; shields outside are left alone.
    :param ends_s: shields with a deadline until then are left alone, too.
    """
    status: trio._core._run.CancelStatus | None = task._cancel_status  # noqa: SLF001
    while status is not None and (scope := status._scope) is not within:  # noqa: SLF001
        if scope.shield and scope.deadline > ends_s:
            scope.shield = False
        status = status._parent  # noqa: SLF001
    for nursery in task.child_nurseries:
        for child in nursery.child_tasks:
            lift(child, within, ends_s)
