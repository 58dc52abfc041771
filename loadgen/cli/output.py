"""Write a report to its destinations: files, and stdout, to which only one form can go.

The flags are read before anything else; the forms of a report are imported when one is written.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import combinations
from typing import TYPE_CHECKING, Annotated, Final

from cyclopts import Group, Parameter

from echo_trio.masks import mask_line
from echo_trio.printable import printable
from loadgen.cli.destinations import (
    STDOUT,
    Destination,
    Stdout,
    is_same_file,
    is_stdout,
    open_destination,
)

if TYPE_CHECKING:
    from loadgen.report.model import Report

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_STDOUT, _STDERR = 1, 2

_File = Annotated[str | None, Parameter(metavar="FILE", allow_leading_hyphen=True)]


#: The flags for what has a run's name in it.
NAMED: Final = "--history, --junit, --markdown, --metrics or --otlp"
#: The group of these flags in the help.
OUTPUT: Final = Parameter(group=Group("Output", sort_key=6))


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True, slots=True)
class Output:
    """The destinations of a report."""

    json: Annotated[_File, OUTPUT] = None
    """Write the report as JSON to this file; - is stdout, which then carries nothing else."""

    csv: Annotated[_File, OUTPUT] = None
    """Write the figures of each second as CSV to this file; - is stdout."""

    html: Annotated[_File, OUTPUT] = None
    """Write the report with charts as one self-contained HTML file."""

    junit: Annotated[_File, OUTPUT] = None
    """Write the verdict, each --fail-if and each check as test cases, in JUnit XML, to this file;
    - is stdout."""

    markdown: Annotated[_File, OUTPUT] = None
    """Write a summary as Markdown, for the page of a CI job, to this file; - is stdout."""

    history: Annotated[_File, OUTPUT] = None
    """Add the report to this SQLite file, for `loadgen history`; it is made if it isn't there."""

    name: Annotated[str | None, Parameter(metavar="NAME", name="--name"), OUTPUT] = None
    """Name of the run in --history and in the files that other tools read; by default its scenario
    or its URL."""

    stream: Annotated[bool, Parameter(negative=""), OUTPUT] = False
    """Write one line of JSON per second to stdout, and the report as the last line."""

    quiet: Annotated[bool, Parameter(negative=""), OUTPUT] = False
    """Show no progress."""

    color: Annotated[bool, Parameter(name="--color", negative="--no-color"), OUTPUT] = True
    """Show no colours, even on a terminal."""

    _opened: Annotated[dict[str, Destination], Parameter(parse=False)] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @property
    def files(self) -> dict[str, str]:
        """The destination of each flag that names a file, or stdout."""
        given = {
            "--json": self.json,
            "--csv": self.csv,
            "--html": self.html,
            "--junit": self.junit,
            "--markdown": self.markdown,
        }
        return {
            flag: STDOUT if is_stdout(path) else path
            for flag, path in given.items()
            if path is not None
        }

    @property
    def of_one_run(self) -> str | None:
        """The first given flag that needs a single run; a search makes many."""
        given = [flag for flag in self.files if flag != "--json"]
        given += ["--history"] if self.history is not None else []
        return next(iter([*given, "--stream"] if self.stream else given), None)

    @property
    def _shows_name(self) -> bool:
        """True if one of the destinations has the run's name in it; GitHub's annotations have."""
        named = (self.history, self.junit, self.markdown)
        return any(named) or os.environ.get("GITHUB_ACTIONS") == "true"

    @property
    def takes_stdout(self) -> list[str]:
        """The flags that want stdout for themselves."""
        taking = [f"{flag} -" for flag, path in self.files.items() if path == STDOUT]
        return [*taking, "--stream"] if self.stream else taking

    def find_problem(self, journal: str | None = None, *, is_named: bool = False) -> str | None:
        """Open every destination; say what would keep a report from being written.

        That is better known before the run than after. Files are tried and left as they are.

        :param journal: the run's own file, which no report may replace.
        :param is_named: true if the run's name goes to something else as well.
        """
        if self.name is not None and not (is_named or self._shows_name):
            return f"--name is for what has a run's name in it: {NAMED}"
        if len(self.takes_stdout) > 1:
            return f"{' and '.join(self.takes_stdout)} can't both have stdout"
        if self.takes_stdout and not _is_stdout_open():
            return f"{self.takes_stdout[0]} needs stdout, which is closed"
        for flag, path in self.files.items():
            if path.startswith("-") and path != STDOUT:
                return f"{flag} needs a file, or - for stdout, before {path}"
        paths = [path for path in self.files.values() if path != STDOUT]
        written = [(path, "a report") for path in paths]
        written += [
            (path, what)
            for path, what in ((self.history, "the history"), (journal, "the journal"))
            if path is not None
        ]
        for (path, what), (other, others) in combinations(written, 2):
            if is_same_file(path, other):
                both = "two reports" if what == others else f"{what} and {others}"
                return f"{both} can't go to one file, {path}"
        if self.history is not None and (problem := self._find_problem_of_history(self.history)):
            return problem
        if self.html is not None:
            from loadgen.report import html  # noqa: PLC0415 - see the module's head

            if problem := html.find_problem():
                return problem
        for path in paths:
            try:
                self._opened[path] = open_destination(path)
            except OSError as exc:
                return f"can't write the report to {path}: {_why(exc, path)}"
        return None

    def _find_problem_of_history(self, path: str) -> str | None:
        from echo_trio.run_history import NotAHistory  # noqa: PLC0415 - as the next
        from loadgen.history import file  # noqa: PLC0415 - few runs have one

        if path.startswith("-"):
            return f"--history needs a file before {path}"
        try:
            file.check(path)
        except NotAHistory as exc:
            return f"--history: {exc}; it is left as it is"
        except OSError as exc:
            return f"can't add the report to {path}: {exc.strerror}"
        return None

    def write(self, report: Report) -> bool:
        """Write the report to every destination; false if one failed, which is said in one line."""
        # All are tried: that one disk is full is no reason to withhold the rest.
        written = [_attempt(write, path) for path, write in self._writes(report)]
        if os.environ.get("GITHUB_ACTIONS") == "true":
            from loadgen.report.annotations import annotate  # noqa: PLC0415 - as above

            with suppress(OSError):
                sys.stderr.writelines(f"{line}\n" for line in annotate(report, self.name))
        return all(written)

    def write_bytes(self, data: bytes, summary: str) -> bool:
        """Write JSON that is no report where the report would go; a summary to stdout if free."""
        path = self.files.get("--json")
        written = [path is None or _attempt(partial(self._write, data, path), path)]
        if path != STDOUT:
            line = f"{summary}\n".encode(errors="replace")
            written.append(_attempt(partial(write_stdout, line), STDOUT))
        return all(written)

    def _writes(self, report: Report) -> Iterator[tuple[str, Callable[[], object]]]:
        from loadgen.report import (  # noqa: PLC0415 - as above
            csv,
            html,
            json,
            junit,
            markdown,
            stream,
            text,
        )

        renders: dict[str, Callable[[Report], bytes]] = {
            "--json": json.encode,
            "--csv": csv.render,
            "--html": html.render,
            "--junit": partial(junit.render, name=self.name),
            "--markdown": partial(markdown.render, name=self.name),
        }
        for flag, path in self.files.items():
            yield path, partial(self._render, renders[flag], report, path)
        if self.history is not None:
            from loadgen.history import file  # noqa: PLC0415 - as above

            yield self.history, partial(file.add, self.history, report, self.name)
        if self.stream:
            yield STDOUT, partial(self._render, stream.encode, report, STDOUT)
        is_told = report.connections.opened or report.interrupted  # else one line has said it all
        if not self.takes_stdout and is_told and _is_stdout_open():
            yield STDOUT, partial(text.write, report, sys.stdout, color=self.color)

    def _render(self, render: Callable[[Report], bytes], report: Report, path: str) -> None:
        self._write(render(report), path)

    def _write(self, data: bytes, path: str) -> None:
        (self._opened.get(path) or open_destination(path)).write(data)


def replace_closed_streams() -> None:
    """Open the standard streams that are closed (`>&-`), before a socket gets their numbers.

    For reading only, so that writing to a closed stdout still fails.
    """
    # The system gives the lowest number that is free.
    while (descriptor := os.open(os.devnull, os.O_RDONLY)) <= _STDERR:
        pass
    os.close(descriptor)
    if sys.stdout is None:
        sys.stdout = os.fdopen(_STDOUT, "w")
    if sys.stderr is None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), _STDERR)
        sys.stderr = os.fdopen(_STDERR, "w")


def _is_stdout_open() -> bool:
    try:
        descriptor = sys.stdout.fileno()
    except OSError:  # stdout has no descriptor, as in tests
        return True
    try:
        if sys.platform != "win32" and hasattr(fcntl, "fcntl"):
            return fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE != os.O_RDONLY
        os.write(descriptor, b"")
    except OSError as exc:
        return exc.errno != errno.EBADF
    return True


def write_stdout(data: bytes) -> None:
    """Write to stdout, at once."""
    Stdout().write(data)


def _attempt(write: Callable[[], object], path: str) -> bool:
    """Call a write; if it fails, print why in one line."""
    try:
        write()
    except OSError as exc:
        if path == STDOUT:
            discard_stdout()
            if exc.errno in {errno.EPIPE, errno.EIO}:
                # Who read it has seen enough, `loadgen … | head`, or closed the terminal.
                return True
        where = "" if path == STDOUT else f" to {path}"
        warn(f"can't write the report{where}: {exc.strerror}")
        return False
    return True


def discard_stdout() -> None:
    """Keep the interpreter from failing once more when it flushes stdout at its end."""
    with suppress(OSError, ValueError):  # stdout has no descriptor, as in tests
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def warn(warning: str) -> None:
    """Print a line on stderr under the name of this program, if anybody is there to read it."""
    with suppress(OSError):
        print(f"loadgen: {printable(mask_line(warning))}", file=sys.stderr)


def _why(exc: OSError, path: str) -> str:
    """Explain why a file can't be written; a missing folder is named."""
    folder = os.path.dirname(path)  # noqa: PTH120 - as it was written
    if exc.errno == errno.ENOENT and folder and not os.path.isdir(folder):  # noqa: PTH112
        return f"there is no folder {folder}"
    return str(exc.strerror)
