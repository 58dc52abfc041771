"""Find the behaviour behind a path: the table, and behind the faults that it may begin with. Pure.

`scripts` and the files beside it implement the behaviours; `fault_prefix` reads the faults,
`parameters` the values.
A path is compared as it is written: with its case, its slashes and its percent signs. Only
parameters are percent-decoded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, Final

from echo_trio.behaviours import fault_prefix, parameters, scripts
from echo_trio.behaviours.login import login
from echo_trio.behaviours.parameters import BadParameter, Parameter
from echo_trio.behaviours.quota import quota
from echo_trio.behaviours.refusal import Refusal, refuse
from echo_trio.behaviours.rooms import room
from echo_trio.behaviours.rpc import rpc
from echo_trio.behaviours.scripts import Behaviour
from echo_trio.behaviours.ticker import ticker
from echo_trio.wire.close_codes import ABNORMAL_CLOSURE, NO_STATUS


class OneProcessOnly(Exception):
    """The path is for connections of one process, and there are several; the message says so."""


@dataclass(frozen=True, slots=True)
class Path:
    """A path of the table.

    :ivar make: makes the behaviour, given the values of the parameters.
    :ivar text: describes the behaviour, in one line.
    :ivar parameters: the parameters by their names in braces, in the order of the path.
    :ivar one_process: true if its connections have to be in one process.
    """

    make: Callable[..., Behaviour | Refusal]
    text: str
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    one_process: bool = False


# -- The tables -------------------------------------------------------------------------------


def _close(code: int, reason: str = "") -> Behaviour:
    if reason and code in {NO_STATUS, ABNORMAL_CLOSURE}:
        raise ValueError
    return scripts.close(code, reason)


BEHAVIOURS: Final[dict[str, Path]] = {
    "/": Path(
        lambda: scripts.echo_with_suffix,
        "each message, one space, a random number from 0 to 999999",
    ),
    "/plain": Path(lambda: scripts.echo_exactly, "each message, exactly"),
    "/info": Path(scripts.info, "first a message in JSON about the connection; then as /"),
    "/delay/{duration}": Path(
        scripts.delay,
        "each reply this long after its message arrived",
        {"duration": parameters.DURATION},
    ),
    "/stall/{every}/{duration}": Path(
        scripts.stall,
        "at every n-th message, freezes for this long, then replies",
        {"every": parameters.EVERY_MESSAGES, "duration": parameters.DURATION},
    ),
    "/silent": Path(lambda: scripts.silent, "reads, never replies"),
    "/drop/{n}": Path(
        scripts.drop,
        "n messages with their replies, then a TCP reset",
        {"n": parameters.MESSAGES},
    ),
    "/close/{code}": Path(
        _close, "at the first message, closes with that code", {"code": parameters.CLOSE_CODE}
    ),
    "/close/{code}/{reason}": Path(
        _close,
        "at the first message, closes with that code and reason",
        {"code": parameters.CLOSE_CODE, "reason": parameters.REASON},
    ),
    "/status/{http}": Path(
        refuse, "refuses the handshake with that HTTP status", {"http": parameters.STATUS}
    ),
    "/duplicate/{every}": Path(
        scripts.duplicate,
        "every n-th reply is sent twice",
        {"every": parameters.EVERY_REPLIES},
    ),
    "/corrupt/{every}": Path(
        scripts.corrupt,
        "every n-th reply is altered",
        {"every": parameters.EVERY_REPLIES},
    ),
    "/reorder/{every}": Path(
        scripts.reorder,
        "every n-th reply is swapped with the next",
        {"every": parameters.EVERY_REPLIES},
    ),
    "/swallow/{every}": Path(
        scripts.swallow,
        "every n-th reply is never sent",
        {"every": parameters.EVERY_REPLIES},
    ),
    "/fragment/{bytes}": Path(
        scripts.fragment, "each reply in frames of this many bytes", {"bytes": parameters.FRAGMENT}
    ),
    "/burst/{n}": Path(
        scripts.burst, "n replies to each message", {"n": parameters.count_of(1, 1000, "replies")}
    ),
    "/rpc": Path(lambda: rpc, "JSON-RPC 2.0: echo, wait, time, fail; batches, notifications"),
    "/room/{name}": Path(
        room,
        "each message to every connection of that room, in one order",
        {"name": parameters.NAME},
        one_process=True,
    ),
    "/ticker/{interval}": Path(
        ticker, "pushes a number and the time every interval", {"interval": parameters.INTERVAL}
    ),
    "/login/{token}": Path(
        login,
        "hello; to a login with that token welcome, then as /; else close 4401",
        {"token": parameters.NAME},
    ),
    "/quota/{rate}": Path(
        quota,
        "as /; at more messages a second than this, closes with 4429",
        {"rate": parameters.RATE},
    ),
}


# -- Finding ----------------------------------------------------------------------------------


def find(path: str, workers: int = 1) -> Behaviour | Refusal | None:
    """Find the behaviour or refusal behind a path; ``None`` if there is none.

    :param workers: processes that share the server's port.
    :raises BadParameter: if the path is in the table, but a parameter, also of a fault, is wrong.
    :raises OneProcessOnly: if the path is in the table, but not for that many processes.
    """
    found = BEHAVIOURS.get(path)
    if found and not found.parameters:
        return found.make()
    if path.startswith("/~"):
        return _find_behind_faults(path, workers)
    parts = path.split("/")
    for template, found in BEHAVIOURS.items():
        if (texts := _match(template.split("/"), parts)) is not None:
            behaviour = _make(template, found, texts)
            if found.one_process and workers > 1:
                raise OneProcessOnly(
                    f"{template} is for connections of one process, and this server has {workers}: "
                    "start it with --workers 1"
                )
            return behaviour
    return None


def _find_behind_faults(path: str, workers: int) -> Behaviour | Refusal | None:
    try:
        prefix, rest = fault_prefix.split(path.split("/")[1:])
    except fault_prefix.UnknownFault:
        return None
    if not rest or rest[0].startswith("~"):
        return None
    behaviour = find("/" + "/".join(rest), workers)
    if behaviour is None or isinstance(behaviour, Refusal):
        return behaviour
    return prefix.refusal or scripts.faulty(behaviour, prefix.incoming, prefix.outgoing)


def _match(template: list[str], parts: list[str]) -> dict[str, str] | None:
    """Return the text in the place of each name in braces, if all other parts are equal."""
    if len(template) != len(parts):
        return None
    texts = {}
    for name, text in zip(template, parts, strict=True):
        if name.startswith("{"):
            texts[name[1:-1]] = text
        elif name != text:
            return None
    return texts


def _make(template: str, path: Path, texts: dict[str, str]) -> Behaviour | Refusal:
    values: list[Any] = []
    try:
        for name, text in texts.items():
            values.append(path.parameters[name].read(parameters.decode(text)))
        return path.make(*values)
    except ValueError:
        allowed = [f"  {{{name}}}: {path.parameters[name].allowed}" for name in texts]
        raise BadParameter("\n".join([f"{template} takes", *allowed])) from None


def nearest(path: str) -> str | None:
    """Return the path of the table whose name is nearest to that of an unknown one, if any is."""
    names = {template.split("/")[1]: template for template in reversed(BEHAVIOURS)}
    near = get_close_matches(path.removeprefix("/").partition("/")[0], names, n=1)
    return names[near[0]] if near else None


def listing() -> str:
    """List all paths and faults, for the answer to an unknown path."""
    width = max(map(len, BEHAVIOURS))
    return "\n".join(
        ["There is nothing here. These paths echo, or do what clients should be tested with:"]
        + [f"  {template:<{width}}  {path.text}" for template, path in BEHAVIOURS.items()]
        + [
            "Faults can stand before any of them, as in /~delay/200ms/~drop/3/rpc; with ~up- for ~",
            "they are done to what the client sends. There are",
            "  " + fault_prefix.names(),
        ]
    )
