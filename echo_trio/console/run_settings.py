"""A request for a load run, checked before anything starts: JSON becomes loadgen's command line.

Nothing here knows the settings of a run: they are those of `loadgen.workload.plan`, read by the
same parser that reads `python -m loadgen`, so that a value is good here if it is good there.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Final, NoReturn, get_origin
from urllib.parse import urlsplit

import msgspec
from cyclopts import App, Argument, CycloptsError, Parameter

from echo_trio import flags, units
from echo_trio.wire.addresses import ANY_ADDRESS, LOOPBACK_NAMES, parse_target
from loadgen.report import thresholds
from loadgen.workload.plan import HEADERS_OF_FILE, Plan
from loadgen.workload.target import DEFAULT_URL

#: These have a place of their own on the command line.
_POSITIONAL: Final = ("count", "url")
#: Files and machines of whoever runs the server: not for whoever can reach its console.
_NOT_FROM_HERE: Final = frozenset({"message-file", "cacert", "dask"})
_MAX_DIGITS: Final = 18

#: More settings than there are, each written in as many ways as there are.
MAX_FIELDS: Final = 64
MAX_NAME_CHARACTERS: Final = 64
#: Values of one setting. As many headers have room in a handshake.
MAX_VALUES: Final = 128
#: Of one value. A template may be longer; the body's own bound is enough for that.
MAX_CHARACTERS: Final = 8192
_LONG_TEXTS: Final = frozenset({"message"})


class BadOrder(Exception):
    """Why there won't be such a run.

    :ivar status: what HTTP calls it.
    :ivar field: the setting at fault, as it was written; None if it is none in particular.
    """

    def __init__(self, message: str, *, status: int = 422, field: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.field = field


@dataclass(frozen=True, slots=True)
class RunOrder:
    """A run that may be started.

    :ivar workers: how many processes share it.
    :ivar arguments: those of `python -m loadgen`.
    """

    plan: Plan
    workers: int
    arguments: tuple[str, ...]

    @property
    def shown_plan(self) -> dict[str, Any]:
        """The plan as a report has it."""
        shown: dict[str, Any] = msgspec.to_builtins(self.plan.settings())
        return shown | {"workers": self.workers, "dask": None}


@dataclass(frozen=True, slots=True)
class Targets:
    """Where a run may go: host and port, any path. By name: nothing is looked up.

    :ivar own_url: this server's; a run that names no target goes there.
    """

    own_url: str
    allowed: frozenset[tuple[str, int]]

    @classmethod
    def of(cls, own_url: str, listens_on: str, also: Iterable[str] = ()) -> Targets:
        """This server, under each of its names, and what `--run-target` allows.

        :param listens_on: the host that the server was told to listen on.
        """
        host, port = parse_target(own_url)
        hosts = {host, listens_on.lower()}
        if hosts & (LOOPBACK_NAMES | ANY_ADDRESS):
            hosts |= LOOPBACK_NAMES
        targets = {(name, port) for name in hosts - ANY_ADDRESS}
        return cls(
            _reachable(own_url, host, port), frozenset(targets | set(map(parse_target, also)))
        )

    def __contains__(self, target: tuple[str, int]) -> bool:
        """Is this host and port one of them?"""
        return target in self.allowed


def _reachable(url: str, host: str, port: int) -> str:
    """A URL to connect to: nobody can connect to every address."""
    if host not in ANY_ADDRESS:
        return url
    return f"{urlsplit(url).scheme}://{'127.0.0.1' if host == '0.0.0.0' else '[::1]'}:{port}/"


def read_order(body: bytes, targets: Targets, *, max_count: int) -> RunOrder:
    """What this body asks for.

    :param max_count: as many sockets as this machine's limit on open files allows.
    :raises BadOrder: if that can't be.
    """
    fields = _parse_json(body)
    names = _without_synonyms(fields)
    values = {name: _arguments_of(name, names[name], fields[names[name]]) for name in names}
    values = {"url": [targets.own_url], **{name: texts for name, texts in values.items() if texts}}
    if "count" not in values:
        raise BadOrder("count: how many sockets?", field="count")
    try:
        plan, workers = _parse(values)
    except ValueError as exc:
        at_fault = _find_fault(values, str(exc))
        raise BadOrder(str(exc), field=names.get(at_fault or "", at_fault)) from None
    if plan.count > max_count:
        raise BadOrder(
            f"count: this machine's limit on open files allows {max_count} sockets", field="count"
        )
    target = plan.target.host.lower(), plan.target.port
    if target not in targets:
        raise BadOrder(
            f"{plan.url} is not this server: allow it with --run-target {target[0]}:{target[1]}",
            status=400,
            field="url",
        )
    return RunOrder(plan, workers, tuple(_command_line(values)))


def _command_line(values: dict[str, list[str]]) -> list[str]:
    options = [text for name, texts in values.items() if name not in _POSITIONAL for text in texts]
    return [*values["count"], *values["url"], *options]


def _parse(values: dict[str, list[str]]) -> tuple[Plan, int]:
    """Read the settings as loadgen does; returns the plan, and how many processes are to share it.

    :raises ValueError: in one line, if it wouldn't have them.
    """
    try:
        command, bound, _ = _app().parse_args(
            _command_line(values), exit_on_error=False, print_error=False
        )
        parsed: tuple[Plan, int] = command(*bound.args, **bound.kwargs)
    except (CycloptsError, ValueError) as exc:
        raise ValueError(" ".join(str(exc).split()).rstrip(".")) from None
    return parsed


def _find_fault(values: dict[str, list[str]], complaint: str) -> str | None:
    """The setting that is wrong by itself; if they contradict each other, the one named first."""
    needed = {"count": ["1"], "url": [DEFAULT_URL]}
    for name, texts in values.items():
        try:
            _parse(needed | {name: texts})
        except ValueError:
            return name
    named = {name: complaint.find(f"--{name} ") for name in values}
    return min((name for name, at in named.items() if at >= 0), key=named.__getitem__, default=None)


def _parse_json(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(
            body,
            object_pairs_hook=_without_doubles,
            parse_constant=_Unreadable,
            parse_int=_bounded(int),
            parse_float=_bounded(float),
        )
    except (ValueError, RecursionError) as exc:
        reason = "it is nested too deeply" if isinstance(exc, RecursionError) else str(exc)
        raise BadOrder(f"the body is not JSON: {reason}", status=400) from None
    if not isinstance(found, dict):
        raise BadOrder('the body has to be an object, like {"count": 1000}')
    for name in found:
        if len(name) > MAX_NAME_CHARACTERS:
            shown = name[:MAX_NAME_CHARACTERS]
            raise BadOrder(f"{shown}…: a run has no such setting", field=shown)
    if len(found) > MAX_FIELDS:
        excess = list(found)[MAX_FIELDS]
        raise BadOrder(f"{excess}: a run has at most {MAX_FIELDS} settings", field=excess)
    return found


class _Unreadable(str):
    """A number that is none: NaN, Infinity, or one with more digits than anybody needs."""

    __slots__ = ()


def _bounded(read: Callable[[str], Any]) -> Callable[[str], Any]:
    def parse(text: str) -> Any:
        number = read(text) if len(text) <= _MAX_DIGITS else math.inf
        return number if math.isfinite(number) else _Unreadable(text)

    return parse


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            shown = name[:MAX_NAME_CHARACTERS]
            raise BadOrder(f"{shown}: given twice", field=shown)
        found[name] = value
    return found


def _without_synonyms(fields: dict[str, Any]) -> dict[str, str]:
    """What each setting was called, by its flag's name: it may be written with _ or -."""
    names: dict[str, str] = {}
    for written in fields:
        if names.setdefault(_normal(written), written) != written:
            raise BadOrder(f"{written}: given twice", field=written)
    return names


def _arguments_of(setting: str, name: str, value: Any) -> list[str]:
    """The arguments that say so; none for null or false, which leave the default.

    :param name: what the setting was called, for whoever called it so.
    """
    argument = _settings().get(setting)
    if argument is None:
        raise BadOrder(f"{name}: a run has no such setting", field=name)
    if setting in _NOT_FROM_HERE:
        raise BadOrder(f"{name}: only the command line has that", field=name)
    if value is None:
        return []
    if argument.hint is bool:
        if not isinstance(value, bool):
            raise BadOrder(f"{name}: true or false", field=name)
        return [argument.name] if value else []
    repeatable = get_origin(argument.hint) in (tuple, list)
    texts = value if repeatable and isinstance(value, list) else [value]
    if len(texts) > MAX_VALUES:
        raise BadOrder(f"{name}: at most {MAX_VALUES} of them", field=name)
    shown = [_text_of(name, text) for text in texts]
    if setting not in _LONG_TEXTS and any(len(text) > MAX_CHARACTERS for text in shown):
        raise BadOrder(f"{name}: at most {MAX_CHARACTERS} characters", field=name)
    if setting == "header" and any(text.startswith(HEADERS_OF_FILE) for text in shown):
        raise BadOrder(f"{name}: only the command line takes them from a file", field=name)
    if setting not in _POSITIONAL:
        return [f"{argument.name}={text}" for text in shown]
    if shown[0].startswith("-"):
        raise BadOrder(f"{name}: it can't begin with -", field=name)
    return shown


def _text_of(name: str, value: Any) -> str:
    def refuse(reason: str) -> NoReturn:
        raise BadOrder(f"{name}: {reason}", field=name)

    if isinstance(value, _Unreadable):
        refuse(f"{value[:_MAX_DIGITS]} is not a number that a setting can have")
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        refuse("a text or a number")
    if not isinstance(value, str):
        return format(value, "f").rstrip("0").rstrip(".") if "." in repr(value) else str(value)
    if "\0" in value or any("\ud800" <= ch <= "\udfff" for ch in value):
        refuse("it has a character that no argument can have")
    return value


def _normal(name: str) -> str:
    return name.lstrip("-").replace("_", "-").lower()


@cache
def _app() -> App:
    app = App(name="loadgen")

    @app.default
    def read(
        plan: Plan,
        *,
        fail_if: Annotated[tuple[str, ...], Parameter(negative="")] = (),
        workers: Annotated[int | None, flags.processes("--workers", default=1)] = None,
    ) -> tuple[Plan, int]:
        limits = [thresholds.parse(expression) for expression in fail_if]
        if problem := thresholds.find_unasked(limits):
            raise ValueError(f"--fail-if: {problem}: only the command line has that")
        if workers is not None and workers > (cores := units.parse_processes("auto")):
            raise ValueError(f"--workers: this machine has {cores} cores")
        return plan, workers or 1

    return app


@cache
def _settings() -> dict[str, Argument]:
    """What a run can be told, by name."""
    arguments = _app().assemble_argument_collection()
    return {_normal(one.name): one for one in arguments if one.parse and one.name != "*"}
