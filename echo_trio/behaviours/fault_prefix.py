"""Read the faults that a path may begin with, as in `/~delay/200ms/~drop/3/chat`. Pure.

`faults` implements them, `parameters` reads their values. `~NAME` is for what is sent to the
client, `~up-NAME` for what the client sends.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from echo_trio.behaviours import faults, parameters
from echo_trio.behaviours.faults import Fault
from echo_trio.behaviours.parameters import BadParameter, Parameter
from echo_trio.behaviours.refusal import Refusal, refuse

#: The most faults before a path. Each may double what the one before lets through.
MAX_FAULTS: Final = 10
#: The part of a path behind which no more faults stand, whatever comes.
END: Final = "~"

MakeFault = Callable[[], Fault]


class UnknownFault(LookupError):
    """A part of a path begins with `~` and is no fault, or lacks its parameters; it is named."""


@dataclass(frozen=True, slots=True)
class FaultName:
    """A fault as it is written before a path.

    :ivar make: makes one connection's fault, given the values of the parameters.
    :ivar text: what happens to a message, in one line.
    """

    make: Callable[..., Fault]
    text: str
    parameters: Sequence[Parameter] = ()


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
    "delay": FaultName(faults.Delay, "passed on this long after it came", [parameters.DURATION]),
    "stall": FaultName(
        faults.Stall,
        "at every n-th, the connection first freezes for this long",
        [parameters.EVERY_MESSAGES, parameters.DURATION],
    ),
    "silent": FaultName(faults.Silence, "never passed on"),
    "drop": FaultName(
        faults.Drop, "this many are passed on, then a TCP reset", [parameters.MESSAGES]
    ),
    "close": FaultName(
        lambda code_and_reason: faults.CloseFirst(*code_and_reason),
        "instead of the first, closes with that code (4000) or code and reason (4000:why)",
        [parameters.CODE_AND_REASON],
    ),
    "duplicate": FaultName(
        faults.Duplicate, "every n-th is passed on twice", [parameters.EVERY_MESSAGES]
    ),
    "corrupt": FaultName(faults.Corrupt, "every n-th is altered", [parameters.EVERY_MESSAGES]),
    "reorder": FaultName(
        faults.Reorder,
        "every n-th is swapped with the next",
        [parameters.EVERY_MESSAGES],
    ),
    "swallow": FaultName(
        faults.Swallow, "every n-th is never passed on", [parameters.EVERY_MESSAGES]
    ),
    "fragment": FaultName(faults.Fragment, "in frames of this many bytes", [parameters.FRAGMENT]),
}
#: The one fault that leaves no connection: it refuses the handshake.
_STATUS: Final = "status"


def split(parts: Sequence[str]) -> tuple[FaultPrefix, list[str]]:
    """Split the parts of a path into its faults and the rest, which may be empty.

    A part that is `END` begins the rest.

    :raises UnknownFault: if a part before the rest is no fault, or lacks its parameters.
    :raises BadParameter: if a parameter is wrong, or there are too many faults.
    """
    incoming: list[MakeFault] = []
    outgoing: list[MakeFault] = []
    refusal: Refusal | None = None
    rest = list(parts)
    while rest and rest[0].startswith("~") and rest[0] != END:
        part = rest.pop(0)
        name = part[1:]
        is_incoming = name.startswith("up-")
        name = name.removeprefix("up-")
        count = 1 if name == _STATUS else len(FAULTS[name].parameters) if name in FAULTS else -1
        if count < 0 or len(rest) < count:
            raise UnknownFault(part)
        texts, rest = rest[:count], rest[count:]
        if name != _STATUS:
            (incoming if is_incoming else outgoing).append(_read_fault(name, texts))
        elif is_incoming:
            raise BadParameter("~up-status: what a client sends has no status, use ~status/{http}")
        else:
            refusal = refusal or _read_status(texts[0])
        if len(incoming) + len(outgoing) > MAX_FAULTS:
            raise BadParameter(f"there may be {MAX_FAULTS} faults before a path")
    return FaultPrefix(tuple(incoming), tuple(outgoing), refusal), rest


def _read_fault(name: str, texts: Sequence[str]) -> MakeFault:
    """Return a function that makes a connection's own fault."""
    fault = FAULTS[name]
    try:
        values = [
            parameter.read(parameters.decode(text))
            for parameter, text in zip(fault.parameters, texts, strict=True)
        ]
    except ValueError:
        allowed = [f"  {parameter.allowed}" for parameter in fault.parameters]
        raise BadParameter("\n".join([f"~{name} takes", *allowed])) from None
    return lambda: fault.make(*values)


def _read_status(text: str) -> Refusal:
    try:
        return refuse(parameters.STATUS.read(parameters.decode(text)))
    except ValueError:
        raise BadParameter(
            f"~status/{{http}} takes\n  {{http}}: {parameters.STATUS.allowed}"
        ) from None


def names() -> str:
    """List the names of all faults, in a line."""
    return " ".join(f"~{name}" for name in [*FAULTS, _STATUS])
