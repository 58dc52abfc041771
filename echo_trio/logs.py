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
        render = [structlog.processors.dict_tracebacks, structlog.processors.JSONRenderer()]
    else:
        render = [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
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
