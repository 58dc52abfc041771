"""The server's log as lines of Python's own."""

from __future__ import annotations

import logging

import pytest

from echo_trio.testing.python_log import LOGGER_NAME, PythonLog


@pytest.mark.parametrize("level", ["debug", "info", "warning", "error"])
def test_a_line_has_its_level_and_its_details(caplog: pytest.LogCaptureFixture, level: str) -> None:
    caplog.set_level(logging.DEBUG, LOGGER_NAME)
    getattr(PythonLog(), level)("it went", code=1000, path="/a\nb")
    (record,) = caplog.records
    assert (record.name, record.levelname) == (LOGGER_NAME, level.upper())
    assert record.getMessage() == "it went code=1000 path='/a\\nb'"
    assert record.exc_info is None


@pytest.mark.parametrize("level", [logging.INFO, logging.WARNING])
def test_a_line_below_the_level_is_not_made(caplog: pytest.LogCaptureFixture, level: int) -> None:
    caplog.set_level(level, LOGGER_NAME)
    log = PythonLog()
    log.debug("one")
    log.info("two %s")
    assert [each.getMessage() for each in caplog.records] == ["two %s"] * (level == logging.INFO)


def test_an_exception_is_an_error_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    log = PythonLog()
    try:
        raise OSError("no")
    except OSError as exc:
        log.exception("failed", part="one")
        log.warning("failed", exc_info=exc)
    first, second = caplog.records
    assert (first.levelname, second.levelname) == ("ERROR", "WARNING")
    assert [each.getMessage() for each in (first, second)] == ["failed part='one'", "failed"]
    for record in (first, second):
        assert record.exc_info is not None
        assert isinstance(record.exc_info[1], OSError)
