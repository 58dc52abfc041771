"""Define the command that runs a load: its flags, and what is checked before any import.

Modules that a run needs are imported when there is one: `--help` and a mistake are answered at
once.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from functools import partial
from io import TextIOWrapper
from itertools import pairwise
from typing import Final

from echo_trio import completion, flags
from loadgen.cli.app import app
from loadgen.cli.command_help import (
    COMPARE_EPILOGUE,
    COMPARE_USAGE,
    HISTORY_EPILOGUE,
    HISTORY_USAGE,
    NEW_EPILOGUE,
    NEW_USAGE,
    PLAN_EPILOGUE,
    PLAN_USAGE,
    RECORD_EPILOGUE,
    RECORD_USAGE,
    RECOVER_EPILOGUE,
    RECOVER_USAGE,
)
from loadgen.cli.options import Options
from loadgen.cli.output import Output, replace_closed_streams
from loadgen.workload.plan import Plan

#: What word processors and chats make of the two dashes of a flag.
_ODD_DASH: Final = re.compile(r"[-\u2010-\u2015\u2212]*[\u2010-\u2015\u2212]-?(?=[a-z])")
#: The other commands by name: where each is imported from, and its help.
COMMANDS: Final = {
    "compare": (
        "loadgen.cli.compare:compare",
        "Compare runs by their JSON reports: what changed by more than noise.",
        COMPARE_USAGE,
        COMPARE_EPILOGUE,
    ),
    "history": (
        "loadgen.cli.history:history",
        "Say since when a figure of kept runs has changed.",
        HISTORY_USAGE,
        HISTORY_EPILOGUE,
    ),
    "new": (
        "loadgen.cli.new:new",
        "Write a scenario that you can start from.",
        NEW_USAGE,
        NEW_EPILOGUE,
    ),
    "plan": (
        "loadgen.cli.size:plan",
        "Compute the processes, machines and memory that a run takes.",
        PLAN_USAGE,
        PLAN_EPILOGUE,
    ),
    "record": (
        "loadgen.cli.record:record",
        "Turn traffic that a browser has recorded into a scenario.",
        RECORD_USAGE,
        RECORD_EPILOGUE,
    ),
    "recover": (
        "loadgen.cli.recover:recover",
        "Report what a killed run had measured.",
        RECOVER_USAGE,
        RECOVER_EPILOGUE,
    ),
}
for _name, (_home, _help, _usage, _epilogue) in COMMANDS.items():
    app.command(_home, name=_name, help=_help, usage=_usage, help_epilogue=_epilogue)

_DEFAULT_OPTIONS: Final = Options()
_DEFAULT_OUTPUT: Final = Output()


@app.default
def load(
    plan: Plan,
    *,
    options: Options = _DEFAULT_OPTIONS,
    output: Output = _DEFAULT_OUTPUT,
) -> int:
    """Run a load; the exit code tells how it went."""
    from loadgen.cli import run  # noqa: PLC0415 - half a second of imports

    return run.load(plan, options, output)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    replace_closed_streams()
    for ours in (sys.stdout, sys.stderr):
        if isinstance(ours, TextIOWrapper):
            ours.reconfigure(errors="replace")  # No terminal is too old for a report.
    given = list(sys.argv[1:] if arguments is None else arguments)
    if completion.asks_for_it(given):
        return completion.print_completion(app, app.name[0], given)
    if given and (problem := _find_misspelling(given[0])):
        return flags.complain(app, problem)
    return flags.run_app(app, app, given, explain=partial(_explain, given))


def _explain(given: Sequence[str], complaint: str) -> str:
    """Explain a bad header before complaints that follow; a stray word may be its secret."""
    values = [each.partition("=")[2] for each in given if each.startswith("--header=")]
    values += [value for flag, value in pairwise(given) if flag == "--header"]
    odd = next((each for each in given if _ODD_DASH.match(each)), None)
    if odd and odd in complaint:
        dashed = _ODD_DASH.sub("--", odd)
        return f"{odd} begins with a dash that is none of a flag: write {dashed}"
    for value in values:
        if re.fullmatch(r"[\w-]+:?", value):
            return "--header: write it like 'Name: value', with the quotes"
    return complaint


def _find_misspelling(first: str) -> str | None:
    """Explain a first argument that looks like a misspelt command, or COUNT or URL as a flag."""
    if re.match(r"wss?://", first, re.IGNORECASE):
        return f"COUNT is missing: write loadgen 1000 {first}"
    if first in ("--count", "--url"):
        name = first.removeprefix("--").upper()
        return f"{name} has no flag: write loadgen 1000 ws://127.0.0.1:8765/"
    if not re.fullmatch(r"[a-z]+(-[a-z]+)*", first) or first in COMMANDS:
        return None
    near = get_close_matches(first, COMMANDS, n=1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(COMMANDS)}"
    return f"{first!r} is no command, nor a COUNT of sockets: {hint}"
