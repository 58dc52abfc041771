"""Read the settings of a run that another program wants, in JSON.

The values are those of the command line, by the names of its flags, and read by the same parser: a
value is good here if it is good there. Settings that name a file or another machine are not for
those who can reach that program; the program says where the run may go and how large it may be.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Final, get_origin

import msgspec
from cyclopts import App, Argument, CycloptsError, Parameter

from echo_trio import flags, units
from echo_trio.masks import mask_line
from loadgen.report import thresholds
from loadgen.workload.headers import HEADERS_OF_FILE
from loadgen.workload.plan import Plan

#: These have a place of their own on the command line.
_POSITIONAL: Final = ("count", "url")
#: Flags that name files of this machine or ways to others, and those that need such a flag: for its
#: own users only. All other settings of a run may be requested; a test has their list, too.
LOCAL_ONLY: Final = frozenset(
    {"arrive", "cacert", "cert", "dask", "key", "message-file", "proxy", "scenario"}
)


#: Of these, those that may be had where there is a folder of scenarios.
_OF_SCENARIOS: Final = frozenset({"arrive", "scenario"})
#: A file of that folder, and perhaps the name of a scenario in it.
_SCENARIO_NAME: Final = re.compile(r"([A-Za-z0-9][\w.-]*\.py)(:[A-Za-z_]\w*)?")


class Order(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An order of another program, as one JSON object.

    :ivar settings: by the names of flags without dashes: a text, several, or true for a switch;
        null and false leave the default.
    :ivar url: the target of the run if the settings don't name one.
    :ivar targets: hosts, in lower case, and ports where it may go.
    :ivar max_count: the largest number of sockets that it may have.
    :ivar scenario_dir: the folder whose scenarios it may run, which is then the present folder of
        the process; None for none.
    :ivar html: the file that its page is written to, where a page can be made.
    :ivar history: the file that its report is added to; None for none.
    :ivar name: of the run, there; None for none.
    """

    settings: dict[str, str | list[str] | bool | None]
    url: str
    targets: list[tuple[str, int]]
    max_count: int
    html: str
    scenario_dir: str | None = None
    history: str | None = None
    name: str | None = None


class OrderAccepted(msgspec.Struct, frozen=True, tag="accepted"):
    """The first line of a run that begins.

    :ivar plan: the plan as the report will have it.
    :ivar target: host and port.
    :ivar page: true if there will be a page.
    """

    plan: dict[str, Any]
    target: str
    stop_timeout_s: float
    page: bool


class OrderRefused(msgspec.Struct, frozen=True, tag="refused"):
    """The first and only line of a run that does not begin.

    :ivar error: the reason, in one line.
    :ivar field: the setting at fault, by the name of its flag; None if it is none in particular.
    :ivar elsewhere: true if the reason is that the run may not go to this target.
    """

    error: str
    field: str | None = None
    elsewhere: bool = False


class BadSettings(Exception):
    """Settings that no run can have.

    :ivar refused: the answer to them.
    """

    def __init__(self, error: str, field: str | None = None, *, elsewhere: bool = False) -> None:
        super().__init__(error)
        self.refused: OrderRefused = OrderRefused(
            mask_line(" ".join(error.split()).rstrip(".")), field, elsewhere
        )


@dataclass(frozen=True, slots=True)
class AskedRun:
    """A run that may begin."""

    plan: Plan
    workers: int
    fail_if: tuple[str, ...]

    @property
    def shown_plan(self) -> dict[str, Any]:
        """The plan as a report has it."""
        shown: dict[str, Any] = msgspec.to_builtins(self.plan.settings())
        return shown | {"workers": self.workers, "dask": None}


def read(order: Order) -> AskedRun:
    """Read the settings of a run.

    :raises BadSettings: if they are wrong, or more than the order allows.
    """
    values = {
        name: _arguments_of(name, value)
        for name, value in order.settings.items()
        if order.scenario_dir is None or name not in _OF_SCENARIOS
    }
    if order.scenario_dir is not None:
        values |= _scenario_of(order.settings, order.scenario_dir)
    values = {"url": [order.url], **{name: texts for name, texts in values.items() if texts}}
    if "count" not in values:
        raise BadSettings("count: how many sockets?", "count")
    try:
        run = _parse(values)
    except _Fault as fault:
        field = fault.field or _named_in(str(fault), values) or _find_alone(values, order.url)
        raise BadSettings(str(fault), field) from None
    if run.plan.count > order.max_count:
        limit = f"this machine's limit on open files allows {order.max_count} sockets"
        raise BadSettings(f"count: {limit}", "count")
    target = run.plan.target.host.lower(), run.plan.target.port
    if target not in order.targets:
        allow = f"allow it with --run-target {target[0]}:{target[1]}"
        raise BadSettings(
            f"{run.plan.shown_url} is not this server: {allow}", "url", elsewhere=True
        )
    return run if run.plan.scenario is None else _with_scenario(run)


def _scenario_of(
    settings: Mapping[str, str | list[str] | bool | None], folder: str
) -> dict[str, list[str]]:
    """Find the scenario that is asked for in the folder where it has to be.

    :raises BadSettings: if its name is no name of a file there: no path leads out of the folder.
    """
    texts = {name: settings[name] for name in _OF_SCENARIOS if settings.get(name) is not None}
    for name, value in texts.items():
        if not isinstance(value, str):
            raise BadSettings(f"{name}: a text", name)
    arguments = {name: [f"--{name}={value}"] for name, value in texts.items()}
    asked = texts.get("scenario")
    if isinstance(asked, str):
        found = _SCENARIO_NAME.fullmatch(asked)
        path = None if found is None else Path(folder) / found[1]
        # A link may lead out of the folder.
        if found is None or path is None or path.is_symlink() or not path.is_file():
            raise BadSettings("scenario: there is none of this name in --scenario-dir", "scenario")
    return arguments


def _with_scenario(run: AskedRun) -> AskedRun:
    """Load the scenario of a run from the present folder: its files go with the plan.

    :raises BadSettings: if it can't be loaded.
    """
    from loadgen.scenario.engine import prepare  # noqa: PLC0415 - other runs don't need it
    from loadgen.scenario.errors import BadScenario, TooFewRows  # noqa: PLC0415

    try:
        return replace(run, plan=prepare(run.plan))
    except TooFewRows as exc:
        who = "count" if run.plan.arrive is None else "arrive"
        raise BadSettings(f"{who}: {exc}", who) from None
    except BadScenario as exc:
        raise BadSettings(str(exc), "scenario") from None


def _parse(values: dict[str, list[str]]) -> AskedRun:
    options = [text for name, texts in values.items() if name not in _POSITIONAL for text in texts]
    arguments = [*values["count"], *values["url"], *options]
    try:
        command, bound, _ = _app().parse_args(arguments, exit_on_error=False, print_error=False)
        parsed: AskedRun = command(*bound.args, **bound.kwargs)
    except CycloptsError as exc:
        raise _Fault(str(exc), None if exc.argument is None else _name_of(exc.argument)) from None
    except ValueError as exc:
        raise _Fault(str(exc)) from None
    return parsed


class _Fault(Exception):
    """An error of the parser, with the setting at fault, if it names one."""

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


def _named_in(complaint: str, values: dict[str, list[str]]) -> str | None:
    """Find the setting that a complaint names first."""
    named = {name: complaint.find(f"--{name}") for name in values}
    # Of --rate and --rate-per-conn in one place the longer is meant.
    found = [(at, -len(name), name) for name, at in named.items() if at >= 0]
    return min(found)[2] if found else None


def _find_alone(values: dict[str, list[str]], url: str) -> str | None:
    """Find the setting that is wrong by itself, for complaints that name none."""
    for name, texts in values.items():
        try:
            _parse({"count": ["1"], "url": [url], name: texts})
        except _Fault:
            return name
    return None


def _arguments_of(setting: str, value: str | list[str] | bool | None) -> list[str]:
    """Write a setting as arguments; none for null or false, which leave the default."""
    argument = settings().get(setting)
    if argument is None:
        raise BadSettings(f"{setting}: a run has no such setting", setting)
    if setting in LOCAL_ONLY:
        raise BadSettings(f"{setting}: only the command line has that", setting)
    if value is None:
        return []
    if argument.hint is bool:
        if not isinstance(value, bool):
            raise BadSettings(f"{setting}: true or false", setting)
        return [argument.name] if value else []
    repeatable = get_origin(argument.hint) in (tuple, list)
    texts = value if isinstance(value, list) and repeatable else [value]
    if not all(isinstance(text, str) for text in texts):
        raise BadSettings(f"{setting}: a text or a number", setting)
    shown = [str(text) for text in texts]
    if setting == "header" and any(text.startswith(HEADERS_OF_FILE) for text in shown):
        raise BadSettings(f"{setting}: only the command line takes them from a file", setting)
    if setting not in _POSITIONAL:
        return [f"{argument.name}={text}" for text in shown]
    if shown[0].startswith("-"):
        raise BadSettings(f"{setting}: it can't begin with -", setting)
    return shown


def _name_of(argument: Argument) -> str:
    return argument.name.lstrip("-").replace("_", "-").lower()


@cache
def _app() -> App:
    app = App(name="loadgen")

    @app.default
    def read(
        plan: Plan,
        *,
        fail_if: Annotated[tuple[str, ...], Parameter(negative="")] = (),
        workers: Annotated[int | None, flags.processes("--workers", default=1)] = None,
    ) -> AskedRun:
        try:
            limits = [thresholds.parse(expression) for expression in fail_if]
        except ValueError as exc:
            raise ValueError(f"--fail-if: {exc}") from None
        if any(limit.metric.is_the_targets for limit in limits):
            raise ValueError("--fail-if: only the command line has --console, which asks a target")
        if problem := thresholds.find_unasked(limits, plan):
            raise ValueError(f"--fail-if: {problem}")
        if workers is not None and workers > (cores := units.parse_processes("auto")):
            raise ValueError(f"--workers: this machine has {cores} cores")
        return AskedRun(plan, workers or 1, fail_if)

    return app


@cache
def settings() -> dict[str, Argument]:
    """List the settings that a run can have, by name."""
    arguments = _app().assemble_argument_collection()
    return {_name_of(one): one for one in arguments if one.parse and one.name != "*"}
