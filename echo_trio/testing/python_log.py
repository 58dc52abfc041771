"""Write the server's log to Python's own `logging`, where tests and other programs expect it."""

from __future__ import annotations

import logging
from typing import Any, Final

from echo_trio.printable import printable

LOGGER_NAME: Final = "echo_trio"


class PythonLog:
    """The server's logger, as far as it needs one, on the logger ``echo_trio``.

    A line is the event and its details, as ``connection ended outcome='abnormal'``; texts that came
    from a client are made printable.
    """

    def __init__(self) -> None:
        self._logger = logging.getLogger(LOGGER_NAME)

    def debug(self, event: str, **details: Any) -> None:
        """Log an event at the level of its name, as the methods below do."""
        self._log(logging.DEBUG, event, details)

    def info(self, event: str, **details: Any) -> None:  # noqa: D102 - as `debug`
        self._log(logging.INFO, event, details)

    def warning(self, event: str, **details: Any) -> None:  # noqa: D102 - as `debug`
        self._log(logging.WARNING, event, details)

    def error(self, event: str, **details: Any) -> None:  # noqa: D102 - as `debug`
        self._log(logging.ERROR, event, details)

    def exception(self, event: str, **details: Any) -> None:
        """Log an event as an error, with the exception that is being handled."""
        self._log(logging.ERROR, event, {"exc_info": True, **details})

    def _log(self, level: int, event: str, details: dict[str, Any]) -> None:
        if self._logger.isEnabledFor(level):
            exc_info = details.pop("exc_info", None)
            text = printable(" ".join([event, *(f"{k}={v!r}" for k, v in details.items())]))
            self._logger.log(level, "%s", text, exc_info=exc_info)
