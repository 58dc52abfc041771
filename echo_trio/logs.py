"""What the server says on stderr: lines for people, or one JSON object a line. Never a message."""

from __future__ import annotations

import logging
import sys
from typing import Any

import structlog

from echo_trio.settings import Settings


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
        ]
    else:
        render = [
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
            )
        ]
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    # Bound here: an unbound logger binds anew at each call, even at one below the level.
    return structlog.get_logger().bind()
