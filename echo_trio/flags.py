"""Read what users type on both command lines: durations, sizes, counts, rates; one-line errors.

Flags, environment variables and TOML keys all come from the fields of a frozen dataclass, which
cyclopts reads; this module gives it the units of the contract.
"""

from __future__ import annotations

import gc
import os
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

from cyclopts import App, CycloptsError, Parameter, Token
from cyclopts.exceptions import UnusedCliTokensError

from echo_trio import units
from echo_trio.masks import mask_line
from echo_trio.printable import printable

#: The exit code of a program that was called the wrong way.
EXIT_USAGE: Final = 2

#: Command lines that ask for help and nothing else.
_HELP: Final = (["--help"], ["-h"])

#: cyclopts knows each argument by a flag as well, and asks for that.
_POSITIONAL: Final = re.compile(r"Parameter --([A-Z]+) requires an argument")


def _reader(parse: Callable[[str], Any]) -> Callable[[type, Sequence[Token]], Any]:
    def convert(_: type, tokens: Sequence[Token]) -> Any:
        return parse(tokens[0].value)

    return convert


@dataclass(frozen=True, slots=True)
class Within:
    """A range that a number has to be in; a validator of cyclopts, which the reference reads."""

    low: float
    high: float

    def __call__(self, _: type, value: Any) -> None:
        """Check a value.

        :raises ValueError: if it is outside.
        """
        if value is not None and not self.low <= value <= self.high:
            raise ValueError(f"It has to be from {self.low} to {self.high}")


#: Marks, in its annotation, a setting whose value may be a secret: it is masked when shown.
MASKED: Final = "masked"

Port = Annotated[
    int,
    Parameter(
        metavar="PORT",
        converter=_reader(units.parse_whole),
        n_tokens=1,
        validator=Within(0, 65535),
    ),
]


def duration(name: str, *, default_s: float | None = None) -> Parameter:
    """Make a flag that takes a duration; its field is in seconds.

    :param default_s: for the help: the value that applies where the field is ``None``.
    """
    return _flag(name, "DURATION", units.parse_duration, units.show_duration, default=default_s)


def size(name: str) -> Parameter:
    """Make a flag that takes a size; its field is in bytes."""
    return _flag(name, "SIZE", units.parse_size, units.show_size)


def count(name: str, *, at_least: int = 0) -> Parameter:
    """Make a flag or argument that takes a count.

    :param at_least: the smallest count allowed; the largest is 10**12.
    """
    return _flag(name, "COUNT", units.parse_count, str, validator=Within(at_least, 10**12))


def whole(name: str) -> Parameter:
    """Make a flag that takes a whole number."""
    return _flag(name, "NUMBER", units.parse_whole, str)


def processes(name: str, *, default: int | None = None) -> Parameter:
    """Make a flag that takes a number of processes, or auto.

    :param default: for the help: the value that applies where the field is ``None``.
    """
    return _flag(name, "N|auto", units.parse_processes, str, default=default)


def rate(name: str, *, default_per_s: float | None = None) -> Parameter:
    """Make a flag that takes a rate; its field is per second.

    :param default_per_s: for the help: the value that applies where the field is ``None``.
    """
    return _flag(
        name, "RATE", units.parse_rate, lambda per_s: f"{per_s:g}/s", default=default_per_s
    )


def confidence(name: str) -> Parameter:
    """Make a flag that takes a confidence level; its field is a number from 0.5 to 0.9999."""
    return _flag(name, "PERCENT", units.parse_confidence, lambda share: f"{share:.4%}")


def several(name: str, parse: Callable[[str], Any], kind: str = "TEXT") -> Parameter:
    """Make a flag that may be repeated; its field is a tuple of what `parse` returns for each."""
    return several_of_each(name, lambda text: [parse(text)], kind)


def several_of_each(
    name: str, parse: Callable[[str], Iterable[Any]], kind: str = "TEXT"
) -> Parameter:
    """Make a flag that may be repeated, where `parse` returns several things for each value."""

    def convert(_: type, tokens: Sequence[Token]) -> Any:
        return tuple(made for token in tokens for made in parse(token.value))

    return Parameter(
        name=name,
        metavar=kind,
        converter=convert,
        n_tokens=1,
        negative="",
        show_default=False,
    )


def _flag(
    name: str,
    kind: str,
    parse: Callable[[str], Any],
    show: Callable[[Any], str],
    default: Any = None,
    **more: Any,
) -> Parameter:
    def show_default(value: Any) -> str | None:
        value = default if value is None else value
        return None if value is None else show(value)

    return Parameter(
        name=name,
        metavar=kind,
        converter=_reader(parse),
        n_tokens=1,
        # A negative number is read as a value, and refused as one.
        allow_leading_hyphen=name.startswith("--"),
        show_default=show_default,
        **more,
    )


def run_app(
    app: App,
    entry: App,
    arguments: Sequence[str] | None,
    *,
    explain: Callable[[str], str] = str,
    **extra: Any,
) -> int:
    """Parse the arguments, run the command, return its exit code.

    Bad arguments are reported on stderr in one line: those that cyclopts finds, and the
    `ValueError` of a settings class about what no single flag can know.

    :param entry: where parsing starts: the app itself, or its meta app.
    :param explain: rewrites a complaint about the arguments before it is printed.
    :param extra: given to a command that has parameters of these names with ``parse=False``.
    """
    if arguments is not None and list(arguments) in _HELP:
        # Parsing would look at every flag once more, a fifth of all that `--help` takes.
        gc.disable()  # There is hardly any garbage, and looking for it takes 3 % of the time.
        try:
            return _print_page(app, lambda: app.help_print([]))
        finally:
            gc.enable()
            gc.freeze()  # At its end the interpreter would look once more, for another 10 %.
    try:
        command, bound, unparsed = entry.parse_args(
            arguments, exit_on_error=False, print_error=False
        )
    except CycloptsError as exc:
        return complain(app, explain(_explain(exc)), command=" ".join(exc.command_chain or ()))
    except ValueError as exc:
        return complain(app, explain(_explain(exc)))
    own = {name: value for name, value in extra.items() if name in unparsed}
    if not isinstance(getattr(command, "__self__", None), App):
        return command(*bound.args, **bound.kwargs, **own) or 0
    # It is cyclopts' own: help, or the version.
    return _print_page(app, lambda: command(*bound.args, **bound.kwargs))


def write_page(app: App, text: str) -> int:
    """Print a page to stdout, or say in one line that it can't be; return the exit code."""
    return _print_page(app, lambda: print(text))


def _print_page(app: App, show: Callable[[], object]) -> int:
    if sys.stdout is None:
        return complain(app, "can't write to stdout: it is closed")
    try:
        show()
        sys.stdout.flush()
    except BrokenPipeError:
        _discard_stdout()  # Who reads it has seen enough.
    except OSError as exc:
        _discard_stdout()
        return complain(app, f"can't write to stdout: {exc.strerror}")
    return 0


def _discard_stdout() -> None:
    """Keep the interpreter from failing once more when it flushes stdout at its end."""
    sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115 - for as long as the process lasts


def _explain(exc: Exception) -> str:
    """Explain an error in one line, in our words where those of cyclopts mean nothing to a user."""
    if isinstance(exc, UnusedCliTokensError):
        return f"one argument too many: {' '.join(exc.unused_tokens or ())}"
    line = " ".join(str(exc).split()).rstrip(".")
    return _POSITIONAL.sub(r"\1 is missing", line)


def complain(app: App, message: str, *, command: str = "") -> int:
    """Say in one line what is wrong, and where help is; return the exit code for bad usage.

    :param command: the command of the app whose help has more to say.
    """
    name = app.name[0]
    asked = f"{name} {command}".rstrip()
    message = printable(mask_line(message))
    print(f"{name}: {message} (see {asked} --help)", file=sys.stderr)
    return EXIT_USAGE
