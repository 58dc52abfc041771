"""Switch faults on and off for all pairs while the proxy runs."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

from echo_trio.behaviours import fault_prefix
from echo_trio.behaviours.fault_prefix import BadFault, FaultPrefix, MakeFault, UnknownFault
from echo_trio.behaviours.faults import Fault, Tally

if TYPE_CHECKING:
    from echo_trio.proxy.pair import Pair


class BadFaults(ValueError):
    """A text can't be read as faults; the message is for people.

    :ivar at: which of its faults is wrong, from 0; ``None`` if it is what stands behind them.
    """

    def __init__(self, message: str, at: int | None = None) -> None:
        super().__init__(message)
        self.at = at


class FaultSwitch:
    """The faults of all pairs of a process, and those pairs.

    :ivar text: the faults as they were written, like ``~delay/200ms/~drop/3``; empty for none.
    :ivar prefix: the same, read.
    :ivar pairs: the pairs that are open.
    :ivar tallies: what faults have done in all pairs since the start, those of clients' paths
        among them, by name (`up-delay`).
    """

    def __init__(self, text: str) -> None:
        self.prefix: FaultPrefix = read_faults(text)
        self.text: str = text
        self.pairs: set[Pair] = set()
        self.tallies: dict[str, Tally] = {}

    def set(self, text: str) -> None:
        """Replace the faults, from the next message on, of open pairs and of new ones.

        :raises BadFaults: if they can't be read; nothing changes then.
        """
        self.prefix = read_faults(text)
        self.text = text
        for pair in list(self.pairs):
            pair.change(self.prefix)

    def make(self, make: MakeFault) -> Fault:
        """Make one connection's own fault, whose doings are counted here."""
        fault = make()
        fault.tally = self.tallies.setdefault(make.name, fault.tally)
        return fault

    def count_refusal(self) -> None:
        """Count a client that a fault has refused."""
        tally = self.tallies.setdefault(fault_prefix.STATUS, Tally())
        tally.seen += 1
        tally.acted += 1


def read_faults(text: str) -> FaultPrefix:
    """Read faults as they stand before a path, without the slash before them.

    :raises BadFaults: if there is something else among them.
    """
    if not text:
        return FaultPrefix()
    try:
        prefix, rest = fault_prefix.split(text.split("/"))
    except UnknownFault as exc:
        raise BadFaults(unknown_fault(str(exc)), exc.at) from None
    except BadFault as exc:
        # Its list has lines of its own.
        raise BadFaults(" ".join(str(exc).split()), exc.at) from None
    if rest:
        raise BadFaults(
            f"{rest[0]!r} is no fault: write them like ~delay/200ms/~up-drop/3, without a path"
        )
    return prefix


def unknown_fault(part: str) -> str:
    """Say that there is no such fault, and which is near; or what is missing behind one."""
    up = "up-" if part.startswith("~up-") else ""
    name = part.removeprefix("~").removeprefix("up-")
    if missing := fault_prefix.parameters_of(name):
        return f"{part} lacks its parameters: {part}/{missing}"
    near = get_close_matches(name, fault_prefix.NAMES, n=1)
    hint = f"; did you mean ~{up}{near[0]}?" if near else "."
    return (
        f"{part} is no fault{hint} There are {fault_prefix.names()}; "
        "with ~up- for ~ they are done to what the client sends"
    )
