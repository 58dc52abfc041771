"""Let a script check what it has got."""

from __future__ import annotations

from loadgen.scenario.context import BOOKS


def check(name: str, passed: object) -> bool:
    """Count a check as passed or failed; returns which.

    A failed check ends nothing and fails no run by itself: that is for ``--fail-if
    'checks.failed>0'``, or for an `if` around it.

    :param name: under which the report counts it.
    :param passed: as a truth value.
    """
    has_passed = bool(passed)
    if (books := BOOKS.get()) is not None:  # None where a script is tried without a run.
        books.check(name, has_passed)
    return has_passed
