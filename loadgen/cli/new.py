"""Write a sample scenario: the command `loadgen new`."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Annotated, Final

from cyclopts import Parameter

from echo_trio import flags
from echo_trio.printable import printable
from loadgen.cli.app import app
from loadgen.scenario.sample import make_sample

_complain: Final = partial(flags.complain, app, command="new")


def new(file: Annotated[str, Parameter(name="FILE")], /) -> int:
    """Write a commented scenario that users can start from.

    Parameters
    ----------
    file
        Python file to write; it must not exist yet.
    """
    path = Path(file)
    if path.suffix != ".py":
        return _complain(f"{file}: a scenario is a Python file, so its name ends with .py")
    try:
        with path.open("x", encoding="utf-8") as stream:
            stream.write(make_sample(path.name))
    except FileExistsError:
        return _complain(f"{file} is there already, and is left as it is")
    except OSError as exc:
        return _complain(f"can't write {file}: {exc.strerror}")
    print(
        printable(f"wrote {file}; try it: python -m loadgen 1 --scenario {file} --trace"),
        file=sys.stderr,
    )
    return 0
