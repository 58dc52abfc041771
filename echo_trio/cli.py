"""`python -m echo_trio`: arguments, environment and file become settings, and an exit code."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import trio
from cyclopts import App, Parameter
from cyclopts.config import Dict, Env

from echo_trio import config_file, flags, logs
from echo_trio.service import CannotStart, check_machine, run_service
from echo_trio.settings import Settings

ENVIRONMENT_PREFIX = "ECHO_TRIO_"

app = App(
    name="echo_trio",
    help="A WebSocket echo server: each message comes back with a random number appended.",
    version=lambda: version("echo-trio"),
)


@app.default
def serve(settings: Settings = Settings()) -> int:  # noqa: B008 - frozen
    """Serve until SIGINT or SIGTERM, then drain."""
    log = logs.configure(settings)
    try:
        check_machine(settings)
        trio.run(partial(run_service, settings, log))
    except CannotStart as exc:
        return flags.complain(app, str(exc))
    return 0


@app.meta.default
def _read_config(
    *arguments: Annotated[str, Parameter(show=False, allow_leading_hyphen=True)],
    config: Path | None = None,
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
    """Run the command line; returns the exit code."""
    return flags.run_app(app, app.meta, arguments)
