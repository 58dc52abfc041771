"""Lines that the outside can cause as often as it likes."""

from __future__ import annotations

import structlog
from structlog.testing import LogCapture

from echo_trio.sparing import SPARING_INTERVAL_S, Sparing

from .conftest import log_to


def test_a_kind_has_one_line_in_a_second_and_the_next_says_how_many_were_kept_back() -> None:
    now_s, logged = 100.0, LogCapture()
    everything = structlog.make_filtering_bound_logger(0)
    log = structlog.wrap_logger(None, processors=[logged], wrapper_class=everything)
    sparing = Sparing(log, clock=lambda: now_s)
    for _ in range(5):
        sparing.warning("trouble", n=1)
        sparing.info("ended", kind="abnormal")
        sparing.info("ended", kind="violation")
    now_s += SPARING_INTERVAL_S
    sparing.warning("trouble", n=2)
    sparing.info("ended", kind="violation")
    now_s += SPARING_INTERVAL_S
    sparing.warning("trouble", n=3)
    assert [entry for entry in logged.entries if entry["event"] == "trouble"] == [
        {"event": "trouble", "log_level": "warning", "n": 1},
        {"event": "trouble", "log_level": "warning", "n": 2, "kept_back": 4},
        {"event": "trouble", "log_level": "warning", "n": 3},
    ]
    assert [entry.get("kept_back") for entry in logged.entries if entry["event"] == "ended"] == [
        None,
        None,
        4,
    ]


def test_a_second_counts_from_the_last_line_however_many_are_kept_back_meanwhile() -> None:
    now_s, logged = 100.0, LogCapture()
    sparing = Sparing(log_to(logged), clock=lambda: now_s)
    for _ in range(5):
        sparing.warning("trouble")
        now_s += SPARING_INTERVAL_S / 4
    assert [entry.get("kept_back") for entry in logged.entries] == [None, 3]


def test_an_exception_has_one_line_in_a_second_too_with_its_traceback() -> None:
    logged = LogCapture()
    sparing = Sparing(log_to(logged), clock=lambda: 1.0)
    for _ in range(2):
        try:
            raise ValueError("of the test")
        except ValueError:
            sparing.exception("session failed", peer="a")
    assert logged.entries == [
        {"event": "session failed", "log_level": "error", "peer": "a", "exc_info": True}
    ]
