"""End the commands of this folder alike, and lay what was given over default settings."""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from functools import wraps
from pathlib import Path
from typing import TypeVar

from machine import UnsuitableMachine
from processes import ProcessFailed
from provision import Missing
from results import NoResults

Settings = TypeVar("Settings")
Main = Callable[[Sequence[str] | None], int | None]


def command(main: Main) -> Callable[..., int]:
    """Let a benchmark end with an exit code, and one line where it can't be done: 2, or 130."""

    @wraps(main)
    def ending(arguments: Sequence[str] | None = None) -> int:
        try:
            return main(arguments) or 0
        except (UnsuitableMachine, Missing, NoResults, ProcessFailed) as reason:
            script = Path(main.__code__.co_filename).name
            print(f"benchmarks/{script}: {reason}", file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            print("interrupted; what was measured is in the results", file=sys.stderr)
            return 130

    return ending


def overridden(default: Settings, given: argparse.Namespace) -> Settings:
    """Replace those settings of a default that were given; one that was not is ``None``."""
    named = {each.name: getattr(given, each.name) for each in fields(default)}
    return replace(default, **{name: value for name, value in named.items() if value is not None})
