"""The settings of a test's server, from its markers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from echo_trio.testing.marks import settings_of
from echo_trio.testing.serving import DEFAULTS

#: What is said of a setting that is for programs.
LOGS = (
    "log_level is for a program; here the log goes to Python's logger echo_trio, as in "
    'caplog.set_level("DEBUG", logger="echo_trio")'
)
PLAIN = replace(DEFAULTS, console=False)


def mark(*args: Any, **settings: Any) -> pytest.Mark:
    return pytest.mark.ws_server(*args, **settings).mark


def test_without_a_marker_it_is_a_plain_server_on_a_free_port() -> None:
    assert settings_of([]) == PLAIN
    assert (PLAIN.port, PLAIN.console_port, PLAIN.drain_timeout_s) == (0, 0, 1.0)


def test_the_nearest_marker_comes_first_and_what_is_given_before_all() -> None:
    marks = [mark(seed=1, port=1), mark(seed=2, compression=True), mark(compression=False, port=2)]
    assert settings_of(marks) == replace(PLAIN, seed=1, port=1, compression=True)
    assert settings_of(marks, seed=3) == replace(PLAIN, seed=3, port=1, compression=True)


def test_the_markers_numbers_of_replies_are_not_a_proxys() -> None:
    marks = [mark(seed=1, compression=True)]
    made = settings_of(marks, "ws_proxy", upstream="ws://127.0.0.1:1/")
    assert made == replace(PLAIN, upstream="ws://127.0.0.1:1/", compression=True)
    with pytest.raises(pytest.fail.Exception, match=r"^ws_proxy: --seed is for the numbers"):
        settings_of([], "ws_proxy", upstream="ws://127.0.0.1:1/", seed=1)


@pytest.mark.parametrize("path", ["cert.pem", Path("cert.pem")])
def test_a_file_may_be_a_text_and_a_marker_may_ask_for_a_console(path: Any) -> None:
    made = settings_of([mark(tls_cert=path, tls_key=None, console=True, workers=1)])
    assert made == replace(DEFAULTS, tls_cert=Path("cert.pem"), console=True)


@pytest.mark.parametrize(
    ("marker", "problem"),
    [
        (mark(1), "settings are given by name, like seed=1, not as 1"),
        (mark(sede=1), "there is no setting sede; did you mean seed?"),
        (mark(qqqqqq=1), "there is no setting qqqqqq"),
        (mark(workers=2), "workers=2 are processes, and a test's server has one in this process"),
        (mark(seed="1"), "seed is '1'. Expected int | None, got str"),
        (mark(tls_cert=1), "tls_cert is 1, and has to be the path of a file"),
        (
            mark(log_level="debug"),
            LOGS,
        ),
        (mark(tls_key="key.pem"), "--tls-key needs --tls-cert"),
    ],
)
def test_what_makes_no_sense_is_said_in_a_line(marker: pytest.Mark, problem: str) -> None:
    with pytest.raises(pytest.fail.Exception) as caught:
        settings_of([marker])
    assert str(caught.value) == f"@pytest.mark.ws_server: {problem}"
    assert caught.value.pytrace is False
