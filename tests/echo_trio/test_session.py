"""How a connection ended, of all that may be said of it: the first in the contract's order."""

from types import SimpleNamespace

import pytest

from echo_trio.metrics.counters import Counters, Outcome
from echo_trio.opening import REFUSAL_LINGER_S
from echo_trio.session import _deadline_of, _outcome, _serve_pair


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


class Connected(SimpleNamespace):
    """A connection that has ended, of which a session books what there was; only itself."""

    __hash__ = object.__hash__


@pytest.mark.parametrize("fails", [False, True])
async def test_a_pair_counts_for_as_long_as_it_lasts_and_leaves_its_parts_codes_and_losses(fails):
    client = Connected(
        **vars(connection(clean=True)), close_code=1000, closed_first="peer", messages_received=7,
        messages_sent=5, bytes_received=70, bytes_sent=50,
    )  # fmt: skip
    upstream = Connected(close_code=4001, closed_first="peer", evicted=False)
    counters = Counters()
    sessions = SimpleNamespace(counters=counters, connections=set(), upstreams=set())

    async def run() -> None:
        assert (counters.open, sessions.connections, sessions.upstreams) == (
            1, {client}, {upstream},
        )  # fmt: skip
        if fails:
            raise OSError("of the test")

    pair = SimpleNamespace(client=client, upstream=upstream, lost=2, run=run)
    if fails:
        with pytest.raises(OSError, match="of the test"):
            await _serve_pair(pair, sessions)
    else:
        end = await _serve_pair(pair, sessions)
        assert end.outcome is Outcome.CLEAN
        assert (end.details["code"], end.details["upstream_code"], end.details["lost"]) == (
            1000, 4001, 2,
        )  # fmt: skip
    assert (counters.open, sessions.connections, sessions.upstreams) == (0, set(), set())
    assert (counters.peak_open, counters.messages_unanswered) == (1, 2)
    assert (counters.messages_received, counters.messages_sent) == (7, 5)
    assert counters.close_codes == {1000: 1}
    assert counters.upstream_close_codes == {4001: 1}
