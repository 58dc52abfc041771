"""Share among sessions: handshakes that can be interrupted, ends that are counted once."""

from __future__ import annotations

import socket
from types import SimpleNamespace
from typing import Any

import pytest
import trio
from structlog.testing import LogCapture

from echo_trio import admission
from echo_trio.admission import PlaceCapacity
from echo_trio.callers import Caller, Peer, SessionEnd, Sessions
from echo_trio.metrics.counters import Counters, Outcome
from echo_trio.origins import parse_origin
from echo_trio.places import Places
from echo_trio.settings import Settings
from echo_trio.wire.handshake import HandshakeRefused, Reason

from .conftest import log_to


@pytest.mark.parametrize("is_draining", [False, True])
async def test_a_part_of_a_handshake_is_interrupted_while_the_server_drains(
    is_draining: bool,
) -> None:
    sessions: Any = SimpleNamespace(
        openings=set[trio.CancelScope](), counters=SimpleNamespace(draining=is_draining)
    )
    with Sessions.opening(sessions, trio.current_time() + 60) as scope:
        assert sessions.openings == {scope}
        assert scope.cancel_called is is_draining
        await trio.lowlevel.checkpoint()
        assert not is_draining
    assert sessions.openings == set()
    assert scope.cancelled_caught is is_draining


async def test_a_part_of_a_handshake_that_fails_leaves_nothing_to_interrupt() -> None:
    sessions: Any = SimpleNamespace(
        openings=set[trio.CancelScope](), counters=SimpleNamespace(draining=False)
    )
    with pytest.raises(OSError, match="of the test"), Sessions.opening(sessions, 1e9):
        raise OSError("of the test")
    assert sessions.openings == set()


def sessions_of(**settings: Any) -> tuple[Sessions, LogCapture]:
    logged = LogCapture()
    log = log_to(logged)
    made = Sessions(
        Settings(port=0, console=False, **settings), None, None, log, Counters(),
        Places(PlaceCapacity(2, 2)),
    )  # fmt: skip
    return made, logged


async def test_what_sessions_share_is_as_the_settings_say() -> None:
    sessions, _ = sessions_of(
        max_held_bytes=1000, origin=("https://A.example",), trust_proxy=("10.0.0.0/8", "::1"),
        idle_timeout_s=7.0,
    )  # fmt: skip
    assert sessions.limits == sessions.settings.limits
    assert sessions.origins == {parse_origin("https://a.example:443")}
    assert [str(network) for network in sessions.proxies] == ["10.0.0.0/8", "::1/128"]
    assert sessions.connections is not sessions.upstreams
    assert (len(sessions.connections), len(sessions.upstreams)) == (0, 0)
    assert (sessions.workers, sessions.proxy, sessions.observer) == (1, None, None)


async def test_a_refusal_is_counted_by_its_status_and_by_its_reason() -> None:
    sessions, _ = sessions_of()
    for refused in (admission.full(), admission.draining(), admission.too_slow()):
        sessions.count_refused(refused)
    assert sessions.counters.refused == {503: 2, 408: 1}
    assert sessions.counters.refused_reasons == {"capacity": 1, "draining": 1, "timeout": 1}


@pytest.mark.parametrize("reason", list(Reason))
def test_why_an_upstream_refused_is_logged_and_what_a_client_did_is_not(reason: Reason) -> None:
    end = SessionEnd.refusal(HandshakeRefused(502, "x" * 500, reason))
    told = {"status": 502, "reason": reason.value}
    if reason.value in {"upstream_answer", "upstream_timeout", "upstream_unreachable"}:
        told["why"] = "x" * 300
    assert (end.outcome, end.details) == (Outcome.REFUSED, told)


@pytest.mark.parametrize("log_level", ["debug", "info"])
async def test_each_end_is_counted_and_logged_as_it_deserves(log_level: str) -> None:
    sessions, logged = sessions_of(log_level=log_level)
    active_s = sessions.activity.last_s
    for outcome in Outcome:
        for number in range(2):
            sessions.count_ended(SessionEnd(outcome, {"code": number}), "peer:1", 1.23456)
    assert sessions.counters.outcomes == dict.fromkeys(Outcome, 2)
    assert sessions.activity.last_s > active_s
    assert {line["event"] for line in logged.entries} == {"connection ended"}
    assert {(line["peer"], line["duration_s"]) for line in logged.entries} == {("peer:1", 1.235)}
    told = [(line["outcome"], line["log_level"], line["code"]) for line in logged.entries]
    if log_level == "debug":
        assert told == [(each.value, "debug", number) for each in Outcome for number in (0, 1)]
    else:  # one a second of each, and of those that went well none
        levels = {Outcome.MEMORY: "warning", Outcome.CLEAN: None}
        rest = [(each.value, levels.get(each, "info"), 0) for each in Outcome]
        assert told == [line for line in rest if line[1] is not None]


@pytest.mark.parametrize("draining", [False, True])
async def test_all_are_gone_when_the_last_has_ended_while_it_drains(draining: bool) -> None:
    sessions, _ = sessions_of()
    sessions.counters.accepted, sessions.counters.draining = 2, draining
    gone = []
    for _ in range(2):
        sessions.count_ended(SessionEnd(Outcome.CLEAN), "peer:1", 0.0)
        gone.append(sessions.all_gone.is_set())
    assert gone == [False, draining]


async def test_a_caller_was_heard_when_it_was_accepted_and_may_have_more_to_say() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        caller = Caller(ours, "peer:1", 12.5)
        assert (caller.heard_s, caller.has_place, caller.waits) == (12.5, False, False)
        assert (caller.answered, caller.displaced, caller.observer) == (False, False, None)
        assert not caller.has_unread()
        theirs.sendall(b"GET")
        assert caller.has_unread()
    peer = Peer("a:1")
    assert (peer.name, peer.hop) == ("a:1", "a:1")
