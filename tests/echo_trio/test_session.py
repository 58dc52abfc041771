"""A session: its connection is counted once, given back whatever happens, and ends in one way."""

import socket
from types import SimpleNamespace

import pytest
import trio
from structlog.testing import LogCapture

from echo_trio import session as session_module
from echo_trio.admission import PlaceCapacity
from echo_trio.callers import Caller, SessionEnd, Sessions
from echo_trio.metrics.counters import Counters, Outcome
from echo_trio.opening import REFUSAL_LINGER_S
from echo_trio.places import Places
from echo_trio.session import _deadline_of, _outcome, _serve_pair, serve_session
from echo_trio.settings import Settings

from .conftest import log_to


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
        ({"evicted": True, "timed_out": "write", "failure": 1009}, Outcome.MEMORY),
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


async def test_a_pair_whose_upstream_took_too_much_memory_ended_for_that() -> None:
    client = Connected(
        **vars(connection(clean=True)), close_code=1000, closed_first="self", messages_received=7,
        messages_sent=5, bytes_received=70, bytes_sent=50,
    )  # fmt: skip
    upstream = Connected(close_code=1013, closed_first="peer", evicted=True)
    sessions = SimpleNamespace(counters=Counters(), connections=set(), upstreams=set())
    pair = SimpleNamespace(client=client, upstream=upstream, lost=2, run=trio.lowlevel.checkpoint)
    assert await _serve_pair(pair, sessions) == SessionEnd(
        Outcome.MEMORY,
        {
            "code": 1000, "closed_first": "self", "messages_received": 7, "messages_sent": 5,
            "upstream_code": 1013, "upstream_closed_first": "peer", "lost": 2,
        },
    )  # fmt: skip


class Observing:
    """An observer of one connection, of which it notes the end."""

    def __init__(self):
        self.ends = []
        self.peers = []

    def accepted(self, peer):
        self.peers.append(peer)
        return self

    def ended(self, outcome, details):
        self.ends.append((outcome, dict(details)))


class Served:
    """A session of which the test plays the opening."""

    def __init__(self, monkeypatch, opening):
        self.logged, self.observer = LogCapture(), Observing()
        self.sessions = Sessions(
            Settings(port=0, console=False, log_level="debug"), None, None,
            log_to(self.logged), Counters(accepted=1),
            Places(PlaceCapacity(1, 1)), self.observer,
        )  # fmt: skip
        self.sessions.connections = set()
        self.sock, self.theirs = socket.socketpair()
        self.caller = Caller(self.sock, "peer:1", trio.current_time())
        assert self.sessions.places.enter(self.caller)
        self._opening = opening
        monkeypatch.setattr(session_module, "open_connection", self._open)

    async def _open(self, caller, sessions, deadline_s, peer):
        assert (caller, sessions) == (self.caller, self.sessions)
        assert deadline_s == caller.accepted_s + sessions.settings.open_timeout_s
        return await self._opening(self, peer)

    async def serve(self):
        """Serve it; return what is logged of its end."""
        try:
            await serve_session(self.caller, self.sessions)
        finally:
            self.theirs.close()
            assert self.sock.fileno() == -1
            assert (self.sessions.places.taken, self.sessions.counters.handshaking) == (0, 0)
            assert self.observer.peers == ["peer:1"]
            (ended,) = [e for e in self.logged.entries if e["event"] == "connection ended"]
            assert self.observer.ends[0][0].value == ended["outcome"]
            assert self.sessions.counters.outcomes == {ended["outcome"]: 1}
        return ended

    def failures(self):
        return [e["event"] for e in self.logged.entries if e["log_level"] == "error"]


@pytest.mark.parametrize("displaced", [False, True])
async def test_a_fault_ends_one_session_and_is_logged_unless_it_was_sent_away(
    monkeypatch, autojump_clock, displaced
):
    async def fail(served, peer):
        peer.name = "never:1"
        served.caller.displaced = displaced
        raise ValueError("of the test")

    served = Served(monkeypatch, fail)
    ended = await served.serve()
    assert ended["peer"] == "peer:1"
    if displaced:
        assert (ended["outcome"], ended["reason"], served.failures()) == (
            "refused",
            "displaced",
            [],
        )
        assert served.observer.ends == [(Outcome.REFUSED, {"status": 503, "reason": "displaced"})]
    else:
        assert (ended["outcome"], served.failures()) == ("failed", ["session failed"])


async def test_one_that_does_not_open_ends_as_its_opening_says(monkeypatch, autojump_clock):
    async def refuse(served, peer):
        peer.name = "client:2"
        await trio.sleep(2)
        return SessionEnd(Outcome.TLS_FAILED, {"reason": "of the test"})

    served = Served(monkeypatch, refuse)
    ended = await served.serve()
    assert (ended["outcome"], ended["peer"], ended["duration_s"]) == ("tls_failed", "client:2", 2.0)
    assert served.observer.ends == [(Outcome.TLS_FAILED, {"reason": "of the test"})]
    assert served.failures() == []


async def test_one_that_is_cancelled_was_dropped(monkeypatch, autojump_clock):
    async def wait(served, peer):
        await trio.sleep_forever()

    served, ended = Served(monkeypatch, wait), []
    with trio.move_on_after(3) as scope:
        ended.append(await served.serve())
    assert scope.cancelled_caught
    assert ended == []
    assert served.sessions.counters.outcomes == {Outcome.DROPPED: 1}
    assert served.failures() == []


@pytest.mark.parametrize("fails", [False, True])
async def test_one_that_opens_is_open_until_it_ends_and_keeps_its_place(
    monkeypatch, autojump_clock, fails
):
    async def act(message):
        raise AssertionError

    async def open_it(served, peer):
        async def run(acting):
            assert acting is act
            assert served.sessions.places.longest_silent(1e9, lambda _: False) is None
            assert (counters.open, counters.peak_open) == (1, 1)
            assert served.sessions.connections == {opened}
            await trio.sleep(1)
            if fails:
                raise ValueError("of the test")

        counters = served.sessions.counters
        opened = Connected(
            **vars(connection(clean=True)), close_code=4000, closed_first="peer", run=run,
            messages_received=7, messages_sent=5, bytes_received=70, bytes_sent=50,
        )  # fmt: skip
        return opened, act

    served = Served(monkeypatch, open_it)
    ended = await served.serve()
    counters = served.sessions.counters
    assert (counters.open, counters.peak_open, served.sessions.connections) == (0, 1, set())
    assert (counters.messages_received, counters.bytes_sent) == (7, 50)
    assert (counters.close_codes, counters.messages_unanswered) == ({4000: 1}, 0)
    if fails:
        assert (ended["outcome"], served.failures()) == ("failed", ["session failed"])
    else:
        assert served.observer.ends == [
            (
                Outcome.CLEAN,
                {"code": 4000, "closed_first": "peer", "messages_received": 7, "messages_sent": 5},
            )
        ]
