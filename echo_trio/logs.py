"""Log to stderr: lines for people, or one JSON object a line. Messages are never logged."""

from __future__ import annotations

import logging
import os
import select
import sys
from collections.abc import MutableMapping
from io import StringIO
from typing import Any, Final, TextIO

import structlog

from echo_trio.printable import disarm, printable, printable_lines
from echo_trio.settings import Settings

_STDERR: Final = 2


class _Stderr:
    """A writer of lines to the process's stderr.

    A line that can't be written, because the disk is full or the reader gone, does not end the
    echo: it is counted, and the next line that is written says so.

    Lines go straight to the descriptor, without a lock or a buffer, so that a signal's handler may
    log.
    """

    def __init__(self) -> None:
        self._lost = 0

    def say_lost(self, _: Any, __: str, event: MutableMapping[str, Any]) -> Any:
        """Add how many lines were lost before this one; a structlog processor."""
        if self._lost:
            event["lost_lines"] = self._lost
        return event

    def write(self, line: str) -> None:
        if sys.stderr is None:
            return  # We were started without one, so its number may be a client's by now.
        data = (line + "\n").encode(errors="backslashreplace")
        try:
            while data:
                data = data[os.write(_STDERR, data) :]
        except OSError:
            self._lost += 1
        else:
            self._lost = 0

    debug = info = warning = error = exception = write


def _make_printable(_: Any, __: str, event: MutableMapping[str, Any]) -> Any:
    """Make the event harmless, so that no client's text forges a line; a structlog processor.

    The event's values are written by ConsoleRenderer as Python writes them in a string; what a CI
    job would obey in them is escaped in the whole line.
    """
    event["event"] = printable(str(event["event"]))
    return event


def _write_traceback(stream: TextIO, exc_info: structlog.typing.ExcInfo) -> None:
    """Format a traceback line by line; an exception's message may be a client's text."""
    text = StringIO()
    structlog.dev.plain_traceback(text, exc_info)
    stream.write(printable_lines(text.getvalue()))


def can_write() -> bool:
    """Tell whether stderr would take a line at once; on Windows only whether there is one."""
    if sys.platform == "win32":  # `select` knows nothing but sockets there.
        return sys.stderr is not None
    else:  # noqa: RET505 - or the type checker calls it unreachable for Windows
        try:
            return sys.stderr is not None and bool(select.select([], [_STDERR], [], 0)[1])
        except (OSError, ValueError):
            return False


def configure(settings: Settings) -> Any:
    """Set up logging for the process and return the server's logger."""
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    render: list[Any]
    if settings.log_format == "json":
        # Without local variables, here and below: those are people's messages, and the token.
        tracebacks = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
        render = [
            structlog.processors.ExceptionRenderer(tracebacks),
            structlog.processors.JSONRenderer(),
            lambda _, __, line: disarm(line, r"\u00"),
        ]
    else:
        render = [
            _make_printable,
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr is not None and os.isatty(_STDERR),
                exception_formatter=_write_traceback,
            ),
            lambda _, __, line: disarm(line),
        ]
    stderr = _Stderr()
    structlog.configure(
        processors=[
            stderr.say_lost,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: stderr,
        cache_logger_on_first_use=True,
    )
    # Bound here: an unbound logger binds anew at each call, even at one below the level.
    return structlog.get_logger().bind()
