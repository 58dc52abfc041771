"""What the server says on stderr."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import Literal

import pytest
import structlog

from echo_trio import logs
from echo_trio.settings import Settings


@pytest.fixture(autouse=True)
def configured_for_this_test_only() -> Iterator[None]:
    yield
    structlog.reset_defaults()


def test_json_is_one_object_a_line_also_with_a_traceback(
    capfd: pytest.CaptureFixture[str],
) -> None:
    log = logs.configure(Settings(log_format="json"))
    log.info("first", n=1)
    try:
        raise ZeroDivisionError("oh")
    except ZeroDivisionError:
        log.exception("second")
    first, second = (json.loads(line) for line in capfd.readouterr().err.splitlines())
    assert (first["event"], first["level"], first["n"]) == ("first", "info", 1)
    assert second["exception"][0]["exc_type"] == "ZeroDivisionError"


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_a_traceback_has_no_local_variables(
    capfd: pytest.CaptureFixture[str], log_format: Literal["json", "console"]
) -> None:
    log = logs.configure(Settings(log_format=log_format))
    secret = "".join(["pass", "word"])
    try:
        raise ZeroDivisionError(len(secret))
    except ZeroDivisionError:
        log.exception("second")
    said = capfd.readouterr().err
    assert "ZeroDivisionError" in said
    assert secret not in said


def test_a_line_for_people_has_colour_only_on_a_terminal(
    capfd: pytest.CaptureFixture[str],
) -> None:
    logs.configure(Settings()).info("hello")
    assert "\x1b" not in capfd.readouterr().err


def test_below_the_level_nothing_is_said(capfd: pytest.CaptureFixture[str]) -> None:
    logs.configure(Settings(log_level="warning")).info("hello")
    assert capfd.readouterr().err == ""


def test_lines_that_stderr_does_not_take_are_lost_and_the_next_one_says_how_many(
    capfd: pytest.CaptureFixture[str],
) -> None:
    log = logs.configure(Settings(log_format="json"))
    stderr, full = os.dup(2), os.open("/dev/full", os.O_WRONLY)
    try:
        os.dup2(full, 2)
        log.info("first")
        log.info("second")
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(full)
    log.info("third")
    log.info("fourth")
    third, fourth = (json.loads(line) for line in capfd.readouterr().err.splitlines())
    assert (third["event"], third["lost_lines"]) == ("third", 2)
    assert "lost_lines" not in fourth


def test_a_line_that_stderr_takes_in_parts_is_whole(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    log = logs.configure(Settings(log_format="json"))
    write = os.write
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:7]))
        log.info("first", path="/x")
        log.info("second")
    first, second = (json.loads(line) for line in capfd.readouterr().err.splitlines())
    assert (first["event"], first["path"], second["event"]) == ("first", "/x", "second")
    assert "lost_lines" not in second


def test_without_stderr_nothing_is_written_to_whatever_has_its_number(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", None)  # As Python does where the descriptor is closed.
    logs.configure(Settings()).info("hello")
    assert not logs.can_write()
    assert capfd.readouterr().err == ""


def test_a_clients_text_forges_no_line_and_reaches_no_terminal(
    capfd: pytest.CaptureFixture[str],
) -> None:
    log = logs.configure(Settings())
    hostile = "\x1b]0;owned\x07\r\n2026-01-01 [error] forged\u202e"
    log.info("closed", reason=hostile)
    log.info(hostile)
    try:
        raise ValueError(hostile)
    except ValueError:
        log.exception("second")
    said = capfd.readouterr().err
    assert all(line.isprintable() for line in said.split("\n"))
    assert r"\x1b]0;owned\x07\r\n2026-01-01" in said.splitlines()[0]


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_a_clients_text_is_no_command_to_a_ci_job_that_shows_the_log(
    capfd: pytest.CaptureFixture[str], log_format: Literal["json", "console"]
) -> None:
    log = logs.configure(Settings(log_format=log_format))
    log.info("##[error]event", path="##[add-mask]value")
    try:
        raise ValueError("\n::error::of an exception")
    except ValueError:
        log.exception("second")
    said = capfd.readouterr().err
    assert "##[" not in said
    assert "::error" not in said
    assert said.count("#[") == 2


def test_whether_a_line_could_be_written_at_once_is_known() -> None:
    ours, theirs = os.pipe()
    stderr = os.dup(2)
    try:
        os.dup2(theirs, 2)
        assert logs.can_write()
        os.set_blocking(theirs, False)
        with suppress(BlockingIOError):
            while True:
                os.write(theirs, bytes(4096))
        assert not logs.can_write()
    finally:
        os.dup2(stderr, 2)
        for each in (ours, theirs, stderr):
            os.close(each)
