"""Print what a shell needs to complete a program's flags: `--completion bash`, `zsh` or `fish`.

The script is made from the flags themselves. It is printed and not installed: which file a shell
reads is its user's business.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, Literal, get_args

from echo_trio import flags

if TYPE_CHECKING:
    from cyclopts import App

Shell = Literal["bash", "zsh", "fish"]
FLAG: Final = "--completion"


def asks_for_it(arguments: Sequence[str]) -> bool:
    """Tell whether a command line asks for completion, which excludes everything else."""
    return bool(arguments) and arguments[0].partition("=")[0] == FLAG


def print_completion(app: App, program: str, arguments: Sequence[str]) -> int:
    """Print the script that completes a program's flags; return the exit code.

    :param program: the name that the shell's user types.
    :param arguments: `FLAG` and the name of a shell.
    """
    words = [word for text in arguments for word in text.split("=", 1)]
    known = {name: name for name in get_args(Shell)}
    if len(words) != 2 or (shell := known.get(words[1])) is None:
        return flags.complain(app, f"{FLAG} takes one of {', '.join(known)}")
    return flags.write_page(app, app.generate_completion(prog_name=program, shell=shell))
