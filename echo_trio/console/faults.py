"""Tell and change the faults of a proxy, for `/api/faults`."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

FIELD: Final = "faults"
#: Characters of a text of faults: ten of them, each with its longest parameters, are a tenth.
MAX_CHARACTERS: Final = 8192
_LIKE: Final = 'like {"faults": "~delay/200ms"}, or "" for none'


@dataclass(frozen=True, slots=True)
class FaultControl:
    """The two functions by which the console reaches a proxy's faults.

    :ivar get: returns them as they were written.
    :ivar set: replaces them; may be async. A `ValueError` says why they can't be, and its `at`, if
        it has one, which of them is wrong, from 0.
    """

    get: Callable[[], str]
    set: Callable[[str], Any]


class BadFaults(Exception):
    """The reason why the faults stay as they were.

    :ivar status: the HTTP status.
    :ivar field: the field at fault; None if it is none in particular.
    """

    def __init__(self, message: str, *, status: int = 422, field: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.field = field


def read_faults(body: bytes) -> str:
    """Read the faults in a request's body.

    :raises BadFaults: if it is no JSON, or anything but an object with one text.
    """
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        raise BadFaults(f"the body is not JSON: write it {_LIKE}", status=400) from None
    if not isinstance(found, dict):
        raise BadFaults(f"the body has to be an object, {_LIKE}")
    for name in found:
        if name != FIELD:
            raise BadFaults(f"{name[:64]}: there is only {FIELD}", field=name[:64])
    text = found.get(FIELD)
    if not isinstance(text, str) or len(text) > MAX_CHARACTERS:
        raise BadFaults(f"{FIELD}: a text is needed, {_LIKE}", field=FIELD)
    return text
