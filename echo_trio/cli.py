"""Run `python -m echo_trio`: make settings of arguments, environment and file; exit with a code."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Final

from cyclopts import App, Parameter
from cyclopts.config import Dict, Env

from echo_trio import config_file, flags
from echo_trio.help_page import HelpPage
from echo_trio.settings import Settings

ENVIRONMENT_PREFIX: Final = "ECHO_TRIO_"

EPILOGUE: Final = """\
Example: python -m echo_trio --port 9000 --workers auto --seed 1

Each flag is a variable, too (--open-timeout is ECHO_TRIO_OPEN_TIMEOUT), and a key
in the file that --config names.

DURATION is written 250ms, 10s, 2m or 1h; SIZE 512, 64KiB or 1MiB;
COUNT 10000, 10k or 1m.

Exit codes: 0 stopped in good order, 1 stopped by a second signal or by a fault,
2 bad usage or a port in use.

More: docs/reference/server.md, or docs/README.md for all pages.
"""


def read_version() -> str:
    """Read the version of the distribution that this is part of."""
    from importlib.metadata import version  # noqa: PLC0415 - slow, and rarely asked for

    return version("echo-trio")


app = App(
    name="echo_trio",
    help="A WebSocket echo server: each message comes back with a random number appended.",
    help_format="plaintext",
    help_formatter=HelpPage(),
    help_epilogue=EPILOGUE,
    usage="python -m echo_trio [OPTIONS]",
    version=read_version,
)


@app.default
def serve(settings: Settings = Settings()) -> int:  # noqa: B008 - frozen
    """Serve until SIGINT or SIGTERM, then drain."""
    # Imported only when there is something to serve, so that `--help` is answered at once.
    import trio  # noqa: PLC0415

    from echo_trio import logs, signals  # noqa: PLC0415
    from echo_trio.service import CannotStart, check_machine, run_service  # noqa: PLC0415

    log = logs.configure(settings)
    try:
        signals.outlive_hang_ups()
        check_machine(settings)
        trio.run(partial(run_service, settings, log))
    except CannotStart as exc:
        return flags.complain(app, str(exc))
    return 0


@app.meta.default
def _read_config(
    *arguments: Annotated[str, Parameter(show=False, allow_leading_hyphen=True)],
    config: Annotated[Path | None, Parameter(metavar="FILE")] = None,
) -> int:
    """Read the sources of settings, the strongest first.

    Parameters
    ----------
    config
        TOML file with a key for each flag. Flags win over ECHO_TRIO_… variables, those over it.
    """
    app.config = [Env(ENVIRONMENT_PREFIX, command=False)]
    if config is not None:
        try:
            settings = config_file.read(config)
        except config_file.Unreadable as exc:
            return flags.complain(app, str(exc))
        app.config = [*app.config, Dict(settings, source=str(config))]
    return flags.run_app(app, app, arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    return flags.run_app(app, app.meta, arguments)
