"""Read the faults that a path may begin with, as in `/~delay/200ms/~drop/3/chat`. Pure.

`faults` implements them, `parameters` reads their values. `~NAME` is for what is sent to the
client, `~up-NAME` for what the client sends.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from echo_trio.behaviours import faults, parameters
from echo_trio.behaviours.faults import Fault
from echo_trio.behaviours.parameters import BadParameter, Parameter
from echo_trio.behaviours.refusal import Refusal, refuse

#: The most faults before a path. Each may double what the one before lets through.
MAX_FAULTS: Final = 10
#: The part of a path behind which no more faults stand, whatever comes.
END: Final = "~"


class UnknownFault(LookupError):
    """A part of a path begins with `~` and is no fault, or lacks its parameters; it is named.

    :ivar at: which of the faults it would be, from 0.
    """

    def __init__(self, part: str, at: int) -> None:
        super().__init__(part)
        self.at = at


class BadFault(BadParameter):
    """A fault has a wrong parameter, or there are too many faults.

    :ivar at: which of the faults it is, from 0.
    """

    def __init__(self, message: str, at: int) -> None:
        super().__init__(message)
        self.at = at


@dataclass(frozen=True, slots=True)
class MakeFault:
    """Make one connection's own fault, as often as it is called.

    :ivar name: the fault as it is written, without its `~` and its parameters: `up-delay`.
    """

    name: str
    make: Callable[[], Fault]

    def __call__(self) -> Fault:
        """Make a fault that has seen no message."""
        return self.make()


@dataclass(frozen=True, slots=True)
class FaultName:
    """A fault as it is written before a path.

    :ivar make: makes one connection's fault, given the values of the parameters.
    :ivar text: what happens to a message, in one line.
    :ivar parameters: by their names in braces, in the order of the path.
    """

    make: Callable[..., Fault]
    text: str
    parameters: Mapping[str, Parameter] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FaultPrefix:
    """The faults before a path.

    :ivar incoming: make those that the client's messages pass, in order, for each connection.
    :ivar outgoing: the same of those that the messages to the client pass.
    :ivar refusal: the status with which the handshake is refused, if one was asked for.
    """

    incoming: tuple[MakeFault, ...] = ()
    outgoing: tuple[MakeFault, ...] = ()
    refusal: Refusal | None = None


#: The faults that a path may begin with, with `~` or `~up-` before the name.
FAULTS: Final[dict[str, FaultName]] = {
    "delay": FaultName(
        faults.Delay, "passed on this long after it came", {"duration": parameters.DURATION}
    ),
    "stall": FaultName(
        faults.Stall,
        "at every n-th, the connection first freezes for this long",
        {"every": parameters.EVERY_MESSAGES, "duration": parameters.DURATION},
    ),
    "silent": FaultName(faults.Silence, "never passed on"),
    "drop": FaultName(
        faults.Drop, "this many are passed on, then a TCP reset", {"n": parameters.MESSAGES}
    ),
    "close": FaultName(
        lambda code_and_reason: faults.CloseFirst(*code_and_reason),
        "instead of the first, closes with that code (4000) or code and reason (4000:why)",
        {"code": parameters.CODE_AND_REASON},
    ),
    "duplicate": FaultName(
        faults.Duplicate, "every n-th is passed on twice", {"every": parameters.EVERY_MESSAGES}
    ),
    "corrupt": FaultName(
        faults.Corrupt, "every n-th is altered", {"every": parameters.EVERY_MESSAGES}
    ),
    "reorder": FaultName(
        faults.Reorder,
        "every n-th is swapped with the next",
        {"every": parameters.EVERY_MESSAGES},
    ),
    "swallow": FaultName(
        faults.Swallow, "every n-th is never passed on", {"every": parameters.EVERY_MESSAGES}
    ),
    "fragment": FaultName(
        faults.Fragment, "in frames of this many bytes", {"bytes": parameters.FRAGMENT}
    ),
}
#: The one fault that leaves no connection: it refuses the handshake.
STATUS: Final = "status"
STATUS_TEXT: Final = "none: the handshake is refused"


def split(parts: Sequence[str]) -> tuple[FaultPrefix, list[str]]:
    """Split the parts of a path into its faults and the rest, which may be empty.

    A part that is `END` begins the rest.

    :raises UnknownFault: if a part before the rest is no fault, or lacks its parameters.
    :raises BadFault: if a parameter is wrong, or there are too many faults.
    """
    at = -1
    incoming: list[MakeFault] = []
    outgoing: list[MakeFault] = []
    refusal: Refusal | None = None
    rest = list(parts)
    while rest and rest[0].startswith("~") and rest[0] != END:
        at += 1
        part = rest.pop(0)
        name = part[1:]
        is_incoming = name.startswith("up-")
        name = name.removeprefix("up-")
        count = 1 if name == STATUS else len(FAULTS[name].parameters) if name in FAULTS else -1
        if count < 0 or len(rest) < count:
            raise UnknownFault(part, at)
        texts, rest = rest[:count], rest[count:]
        if name != STATUS:
            fault = MakeFault(part[1:], _read_fault(name, texts, at))
            (incoming if is_incoming else outgoing).append(fault)
        elif is_incoming:
            raise BadFault("~up-status: what a client sends has no status, use ~status/{http}", at)
        else:
            refusal = refusal or _read_status(texts[0], at)
        if len(incoming) + len(outgoing) > MAX_FAULTS:
            raise BadFault(f"there may be {MAX_FAULTS} faults before a path", at)
    return FaultPrefix(tuple(incoming), tuple(outgoing), refusal), rest


def _read_fault(name: str, texts: Sequence[str], at: int) -> Callable[[], Fault]:
    """Return a function that makes a connection's own fault."""
    fault = FAULTS[name]
    try:
        values = [
            parameter.read(parameters.decode(text))
            for parameter, text in zip(fault.parameters.values(), texts, strict=True)
        ]
    except ValueError:
        allowed = [f"  {parameter.allowed}" for parameter in fault.parameters.values()]
        raise BadFault("\n".join([f"~{name} takes", *allowed]), at) from None
    return lambda: fault.make(*values)


def _read_status(text: str, at: int) -> Refusal:
    try:
        return refuse(parameters.STATUS.read(parameters.decode(text)))
    except ValueError:
        raise BadFault(
            f"~status/{{http}} takes\n  {{http}}: {parameters.STATUS.allowed}", at
        ) from None


#: The names of all faults.
NAMES: Final = (*FAULTS, STATUS)


def names() -> str:
    """List the names of all faults, in a line."""
    return " ".join(f"~{name}" for name in NAMES)


def parameters_of(name: str) -> str:
    """Show what has to follow a fault's name, like ``200ms``; nothing for one that isn't there."""
    if name == STATUS:
        return parameters.STATUS.example
    fault = FAULTS.get(name)
    return "/".join(each.example for each in fault.parameters.values()) if fault else ""
