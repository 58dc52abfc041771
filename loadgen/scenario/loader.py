"""Load a user's script: from its file, or from the bytes that came with a plan.

An error in it is one line with the file and, where there is one, the line in it. It is told before
any socket opens.
"""

from __future__ import annotations

import inspect
import linecache
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from echo_trio import files
from loadgen.scenario.definition import WEIGHT, Scenario, deal
from loadgen.scenario.errors import BadScenario, TooFewRows
from loadgen.scenario.rows import LOADING, RowFiles, Rows
from loadgen.workload.lever import Lever, OwnRows
from loadgen.workload.plan import Plan

MAX_BYTES: Final = 4 * 2**20
#: The name that a script's module has.
MODULE: Final = "loadgen_scenario"

#: A script's files by name: its own first, then those of its rows.
ScriptFiles = tuple[tuple[str, bytes], ...]


@dataclass(frozen=True, slots=True)
class Script:
    """A script that has been loaded.

    :ivar file: its path, as it was given.
    :ivar turns: the scenario of each user, by number; the list repeats.
    :ivar rows: the files of rows that it reads.
    :ivar files: all files that another process needs to load the same script.
    """

    file: str
    scenarios: tuple[Scenario, ...]
    turns: tuple[Scenario, ...]
    rows: tuple[Rows, ...]
    files: ScriptFiles

    def of(self, number: int) -> Scenario:
        """Return the scenario of a user."""
        return self.turns[number % len(self.turns)]

    @property
    def are_journeys(self) -> bool:
        """True if none of its scenarios has a load phase of its own."""
        return all(each.is_journey for each in self.scenarios)

    @property
    def has_pace(self) -> bool:
        """True if the calls of one of its scenarios fall due at a rate."""
        return any(each.has_pace for each in self.scenarios)

    @property
    def own_rows(self) -> OwnRows | None:
        """The fewest rows of which each user has one for itself; ``None`` if there are no such."""
        own = (OwnRows(rows.name, len(rows)) for rows in self.rows if not rows.is_shared)
        return min(own, key=lambda each: each.rows, default=None)

    def make_lever(self, plan: Plan) -> Lever:
        """Make the lever of a plan that runs this script."""
        return Lever(plan, has_pace=self.has_pace, rows=self.own_rows)

    def check_rows(self, users: int) -> None:
        """Check that there is a row for each user.

        :raises TooFewRows: if there is not.
        """
        if (own := self.own_rows) is not None and own.rows < users:
            raise TooFewRows(
                f"{own.file} has {own.rows:,} rows for {users:,} users: have fewer users, "
                "or let them take turns with rows(…, shared=True)"
            )


def split(setting: str) -> tuple[str, str | None]:
    """Split a `--scenario` into the file and the name of a scenario in it, if there is one."""
    file, colon, name = setting.rpartition(":")
    if colon and name.isidentifier():
        return file, name
    return setting, None


def load(setting: str, script_files: ScriptFiles = ()) -> Script:
    """Load a script.

    :param setting: a `--scenario`: ``FILE.py`` or ``FILE.py:NAME``.
    :param script_files: its files, where they are known already; else they are read.
    :raises BadScenario: if it can't be loaded, or has no such scenario.
    """
    if not script_files:
        file, _ = split(setting)
        script_files = ((file, _read(file)),)
    return _load(setting, script_files)


def _read(file: str) -> bytes:
    try:
        return files.read(file, at_most=MAX_BYTES)
    except OSError as exc:
        hint = ""
        if Path(file).suffix != ".py":
            hint = "; a scenario is a Python file: write one with loadgen new chat.py"
        raise BadScenario(f"can't read --scenario {file}: {exc.strerror}{hint}") from None


@lru_cache(maxsize=1)
def _load(setting: str, script_files: ScriptFiles) -> Script:
    file, name = split(setting)
    (_, source), *others = script_files
    row_files = RowFiles(dict(others))
    module = _execute(file, source, row_files)
    found = _find_scenarios(file, module, name)
    return Script(
        file=file,
        scenarios=tuple(found),
        turns=tuple(deal(found)),
        rows=tuple(row_files.opened),
        files=(script_files[0], *row_files.contents.items()),
    )


def _execute(file: str, source: bytes, row_files: RowFiles) -> ModuleType:
    path = str(Path(file).absolute())
    module = ModuleType(MODULE)
    module.__file__ = path
    # For tracebacks, also where there is no such file.
    text = source.decode("utf-8-sig", "replace")
    linecache.cache[path] = (len(source), None, text.splitlines(keepends=True), path)
    sys.modules[MODULE] = module
    token = LOADING.set(row_files)
    try:
        with _importing_beside(path):
            exec(compile(source, path, "exec"), module.__dict__)  # noqa: S102 - the user's own
    except SyntaxError as exc:
        where = Path(exc.filename or path).name if exc.filename != path else file
        raise BadScenario(f"{where}:{exc.lineno}: {exc.msg}") from None
    except Exception as exc:
        raise BadScenario(f"{_where(file, path, exc)}: {_say(exc)}") from exc
    except SystemExit as exc:
        raise BadScenario(f"{_where(file, path, exc)}: it exits while it is loaded") from exc
    finally:
        LOADING.reset(token)
    return module


@contextmanager
def _importing_beside(path: str) -> Iterator[None]:
    """Let a script import modules beside it, as Python does for a program."""
    beside = str(Path(path).parent)
    sys.path.insert(0, beside)
    try:
        yield
    finally:
        sys.path.remove(beside)


def _where(file: str, path: str, exc: BaseException) -> str:
    """Return file and line where a script raised something while it was loaded."""
    lines = [frame.lineno for frame in traceback.extract_tb(exc.__traceback__)
             if frame.filename == path]  # fmt: skip
    return f"{file}:{lines[-1]}" if lines else file


def _say(exc: BaseException) -> str:
    said = " ".join(str(exc).split())
    if isinstance(exc, OSError) and exc.strerror:
        name = Path(os.fsdecode(exc.filename)).name if exc.filename else ""
        return f"{name}: {exc.strerror}" if name else exc.strerror
    kind = type(exc).__name__
    return said if isinstance(exc, ValueError) and said else f"{kind}: {said}" if said else kind


def _find_scenarios(file: str, module: ModuleType, name: str | None) -> list[Scenario]:
    marked = {
        key: value
        for key, value in vars(module).items()
        if callable(value) and hasattr(value, WEIGHT)
    }
    if name is not None:
        if name not in vars(module):
            near = get_close_matches(name, marked, n=1) or list(marked)
            hint = f": there is {', '.join(near)}" if near else ""
            raise BadScenario(f"{file} has no scenario {name!r}{hint}")
        return [_make(file, name, getattr(module, name))]
    if not marked:
        raise BadScenario(
            f"{file} has no scenario: write @scenario before an async function that takes a user"
        )
    # By its first name, at its first place: an alias is no second scenario.
    unique: dict[int, tuple[str, Any]] = {}
    for key, value in marked.items():
        unique.setdefault(id(value), (key, value))
    return [_make(file, key, value) for key, value in unique.values()]


def _make(file: str, name: str, function: Any) -> Scenario:
    code = getattr(inspect.unwrap(function) if callable(function) else function, "__code__", None)
    where = file if code is None else f"{file}:{code.co_firstlineno}"
    if not callable(function) or inspect.isclass(function):
        raise BadScenario(f"{where}: {name} is no function")
    if not inspect.iscoroutinefunction(inspect.unwrap(function)):
        raise BadScenario(f"{where}: {name} has to be async: write async def {name}(user)")
    try:
        inspect.signature(function).bind(object())
    except TypeError:
        raise BadScenario(
            f"{where}: {name} has to take the user and nothing else: "
            f"async def {name}(user: User) -> None"
        ) from None
    return Scenario.of(name, function, getattr(function, WEIGHT, 1))
