"""Run `python -m echo_trio`: make settings of arguments, environment and file; exit with a code."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Final

from cyclopts import App, Group, Parameter

from echo_trio import completion, config_file, flags, setting_sources
from echo_trio.help_page import HelpPage
from echo_trio.settings import LOG, Settings

ENVIRONMENT_PREFIX: Final = "ECHO_TRIO_"

EPILOGUE: Final = """\
Example: python -m echo_trio --port 9000 --workers auto --seed 1

Each flag can also be an environment variable (ECHO_TRIO_OPEN_TIMEOUT for
--open-timeout) or a key of the file that --config names (open-timeout). Commas
separate the values of a repeatable flag in a variable.

DURATION is written 250ms, 10s, 2m or 1h; SIZE 512, 64KiB or 1MiB;
COUNT 10000, 10k or 1m.

Exit codes: 0 stopped in good order, 1 stopped by a second signal or by a fault,
2 bad usage or a port in use.

Completion: source <(echo-trio --completion bash); also zsh, fish.

More: docs/reference/server.md, or docs/README.md for all pages.
"""


def read_version() -> str:
    """Read the version of the distribution that this is part of."""
    from importlib.metadata import version  # noqa: PLC0415 - slow, and rarely asked for

    return version("echo-trio")


app: Final = App(
    name="echo_trio",
    help="A WebSocket echo server: each message comes back with a random number appended.",
    help_format="plaintext",
    help_formatter=HelpPage(),
    help_epilogue=EPILOGUE,
    usage="python -m echo_trio [OPTIONS]",
    version=read_version,
    group_commands=Group("Help", sort_key=7),
)


@app.default
def serve(
    settings: Settings = Settings(),  # noqa: B008 - frozen
    *,
    notes: Annotated[Sequence[str], Parameter(parse=False)] = (),
) -> int:
    """Serve until SIGINT or SIGTERM, then drain.

    :param notes: what to warn of in the log before anything else.
    """
    # Imported only when there is something to serve, so that `--help` is answered at once.
    import trio  # noqa: PLC0415

    from echo_trio import logs, signals  # noqa: PLC0415
    from echo_trio.service import (  # noqa: PLC0415
        CannotStart,
        check_machine,
        make_starter,
        run_service,
    )

    log = logs.configure(settings)
    for note in notes:
        log.warning(note)
    try:
        signals.outlive_hang_ups()
        check_machine(settings)
        with make_starter(settings) as starter:
            trio.run(partial(run_service, settings, log, starter))
    except CannotStart as exc:
        return flags.complain(app, str(exc))
    return 0


@app.meta.default
def _read_settings(
    *arguments: Annotated[str, Parameter(show=False, allow_leading_hyphen=True)],
    config: Annotated[Path | None, Parameter(metavar="FILE"), LOG] = None,
) -> int:
    """Read the sources of settings, the strongest first.

    Parameters
    ----------
    config
        TOML file with a key for each flag. Flags override environment variables, and both
        override the file.
    """
    table = setting_sources.make_table(app)
    try:
        given = setting_sources.read_variables(table, ENVIRONMENT_PREFIX, os.environ)
        if config is None and setting_sources.CONFIG in given.settings:
            config = Path(given.settings[setting_sources.CONFIG][1][0])
        if config is not None:
            keys = config_file.read(config)
            given.add_weaker(setting_sources.read_keys(table, keys, str(config)))
    except (config_file.Unreadable, setting_sources.BadSource) as exc:
        return flags.complain(app, str(exc))
    app.config = [given]
    try:
        return flags.run_app(app, app, arguments, explain=given.replace_names, notes=given.notes)
    finally:
        app.config = ()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if completion.asks_for_it(given):
        return completion.print_completion(app, "echo-trio", given)
    return flags.run_app(app, app.meta, given)
