"""Let a script check what it has received."""

from __future__ import annotations

from loadgen.scenario.context import BOOKS


def check(name: str, passed: object) -> bool:
    """Count a check as passed or failed; return which.

    A failed check ends nothing and fails no run by itself: for that there is ``--fail-if
    'checks.failed>0'``, or an `if` around it.

    :param name: the name under which the report counts it.
    :param passed: as a truth value.
    :raises TypeError: if the name is no text: the two are easily swapped.
    """
    if not isinstance(name, str):
        raise TypeError(f"check(name, passed) takes its name first, as text, not {name!r}")
    has_passed = bool(passed)
    if (books := BOOKS.get()) is not None:  # None where a script is tried without a run.
        books.check(name, has_passed)
    return has_passed
