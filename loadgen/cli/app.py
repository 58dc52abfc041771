"""Hold the root of the command line, under whose name its commands complain."""

from __future__ import annotations

from typing import Final

from cyclopts import App, Group

from echo_trio.help_page import HelpPage

USAGE: Final = """loadgen COUNT [URL] [OPTIONS]
       loadgen compare | history | new | plan | record | recover …  (--help)"""

EPILOGUE: Final = """\
Example: loadgen 1000 ws://127.0.0.1:8765/ --fail-if 'latency.p99>50ms'

DURATION is written 250ms, 10s, 2m or 1h; SIZE 512, 64KiB or 1MiB;
COUNT 10000, 10k or 1m; RATE 100/s, 5k/s or 30/m.

--fail-if takes any number of the report by its path: latency.p99,
latency.service.p99, messages.lost, connections.failed, generator.loop_lag.max,
target.rss_bytes (with --console) …: docs/reference/thresholds.md

Exit codes: 0 valid, 1 failed, 2 bad usage, 3 generator-limited,
69 nothing opened, 99 a --fail-if holds, 130 interrupted.

Completion: source <(loadgen --completion bash); also zsh, fish.

More: docs/reference/loadgen.md, or docs/README.md for all pages.
"""


def read_version() -> str:
    """Read the version of the distribution that this is part of."""
    from importlib.metadata import version  # noqa: PLC0415 - slow, and rarely asked for

    return version("echo-trio")


app: Final = App(
    name="loadgen",
    help="Open many WebSockets, send messages, check every reply, and report the results.",
    help_format="plaintext",
    help_formatter=HelpPage(),
    usage=USAGE,
    help_epilogue=EPILOGUE,
    version=read_version,
    group_commands=Group("Commands", sort_key=0),
)
_HELP: Final = Group("Help", sort_key=7)
for _flag in ("--help", "--version"):
    app[_flag].group = _HELP
