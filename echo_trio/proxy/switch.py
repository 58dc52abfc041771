"""Switch faults on and off for all pairs while the proxy runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from echo_trio.behaviours import fault_prefix
from echo_trio.behaviours.fault_prefix import FaultPrefix, UnknownFault
from echo_trio.behaviours.parameters import BadParameter

if TYPE_CHECKING:
    from echo_trio.proxy.pair import Pair


class FaultSwitch:
    """The faults of all pairs of a process, and those pairs.

    :ivar text: the faults as they were written, like ``~delay/200ms/~drop/3``; empty for none.
    :ivar prefix: the same, read.
    :ivar pairs: the pairs that are open.
    """

    def __init__(self, text: str) -> None:
        self.prefix: FaultPrefix = read_faults(text)
        self.text: str = text
        self.pairs: set[Pair] = set()

    def set(self, text: str) -> None:
        """Replace the faults, from the next message on, of open pairs and of new ones.

        :raises ValueError: if they can't be read; nothing changes then.
        """
        self.prefix = read_faults(text)
        self.text = text
        for pair in list(self.pairs):
            pair.change(self.prefix)


def read_faults(text: str) -> FaultPrefix:
    """Read faults as they stand before a path, without the slash before them.

    :raises ValueError: if there is something else among them; the message is for people.
    """
    if not text:
        return FaultPrefix()
    try:
        prefix, rest = fault_prefix.split(text.split("/"))
    except UnknownFault as exc:
        raise ValueError(unknown_fault(str(exc))) from None
    except BadParameter as exc:
        raise ValueError(" ".join(str(exc).split())) from None  # Its list has lines of its own.
    if rest:
        raise ValueError(
            f"{rest[0]!r} is no fault: write them like ~delay/200ms/~up-drop/3, without a path"
        )
    return prefix


def unknown_fault(part: str) -> str:
    """Say that there is no such fault, and which there are."""
    return (
        f"{part} is no fault, or lacks its parameters. With ~up- for ~ they are done to what the "
        f"client sends. There are {fault_prefix.names()}"
    )
