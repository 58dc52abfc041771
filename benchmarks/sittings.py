"""Add repeats to the results of an earlier sitting, which is what `--go-on FILE` asks for."""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from command import overridden
from results import Recording

Settings = TypeVar("Settings")

#: The options that may be given beside it. All other settings are those of the file.
BESIDE = {"peers", "repeats", "go_on", "results"}


def add_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--go-on",
        type=Path,
        metavar="FILE",
        help="add repeats, by default one, of all in it or of --peers to these results",
    )


def continued(
    kind: str,
    settings_type: type[Settings],
    given: argparse.Namespace,
    parser: argparse.ArgumentParser,
) -> tuple[Settings, Recording]:
    """Take the settings from the results that are added to, and reopen these.

    Exits with the parser's error if another setting was given beside the file.

    :raises NoResults: as `Recording.reopened` does.
    """
    others = [name for name in vars(given) if name not in BESIDE]
    if any(getattr(given, name) != parser.get_default(name) for name in others):
        parser.error("--go-on has its file's settings: --peers and --repeats alone go with it")
    begun = Recording.reopened(kind, given.go_on)
    settings = replace(settings_type(**begun.head["settings"]), repeats=1)  # type: ignore[type-var]
    return overridden(settings, given), begun
