"""How a connection ended, of all that may be said of it: the first in the contract's order."""

from types import SimpleNamespace

import pytest

from echo_trio.metrics.counters import Outcome
from echo_trio.opening import REFUSAL_LINGER_S
from echo_trio.session import _deadline_of, _outcome


def connection(**changes):
    rest = {"timed_out": None, "failure": None, "clean": False, "evicted": False}
    return SimpleNamespace(**rest | changes)


@pytest.mark.parametrize(
    ("of", "outcome"),
    [
        ({}, Outcome.ABNORMAL),
        ({"clean": True}, Outcome.CLEAN),
        ({"timed_out": "write"}, Outcome.WRITE_TIMEOUT),
        ({"timed_out": "ping"}, Outcome.PING_TIMEOUT),
        ({"timed_out": "idle"}, Outcome.IDLE_TIMEOUT),
        ({"timed_out": "idle", "clean": True}, Outcome.IDLE_TIMEOUT),
        ({"timed_out": "ping", "failure": 1011}, Outcome.PING_TIMEOUT),
        ({"timed_out": "write", "failure": 1009}, Outcome.WRITE_TIMEOUT),
        ({"timed_out": "close"}, Outcome.CLOSE_TIMEOUT),
        ({"timed_out": "close", "failure": 1009}, Outcome.VIOLATION),
        ({"failure": 1002}, Outcome.VIOLATION),
        ({"failure": 1002, "clean": True}, Outcome.VIOLATION),
    ],
    ids=str,
)
def test_the_outcome_is_what_ended_it(of, outcome):
    assert _outcome(connection(**of)) is outcome


@pytest.mark.parametrize(
    ("waits", "timeout_s", "ends_s"),
    [(False, 10.0, 10.0), (True, 10.0, REFUSAL_LINGER_S), (True, 0.25, 0.25), (False, 0.25, 0.25)],
)
def test_who_waits_at_the_door_has_no_longer_than_who_is_refused(waits, timeout_s, ends_s):
    caller = SimpleNamespace(waits=waits, accepted_s=100.0)
    sessions = SimpleNamespace(settings=SimpleNamespace(open_timeout_s=timeout_s))
    assert _deadline_of(caller, sessions) == 100.0 + ends_s
