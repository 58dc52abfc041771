"""The command line's root, which its commands complain in the name of."""

from __future__ import annotations

from importlib.metadata import version

from cyclopts import App

app = App(
    name="loadgen",
    help="Opens many WebSockets, exchanges messages, checks every reply, accounts for everything.",
    version=lambda: version("echo-trio"),
)
