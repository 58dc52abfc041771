"""Choose the one exception of a nursery's group that its caller is to get."""

from __future__ import annotations

import trio


def main_exception(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Choose an error of our own, if the group has one; else a cancellation.

    For nurseries whose tasks serve one connection: the first task that fails cancels the others,
    so the group has one error, and `trio.Cancelled` from the rest. Of several errors it is the
    first. Raise it `from None`: what it stood beside tells nobody anything.
    """
    _, ours = group.split(trio.Cancelled)
    one: BaseException = ours or group
    while isinstance(one, BaseExceptionGroup):
        one = one.exceptions[0]
    return one
