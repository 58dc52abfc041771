"""Who has connected, as a proxy in front of us says it; what it asks for; how it is refused."""

from __future__ import annotations

import socket
from types import SimpleNamespace
from typing import Any

import pytest
import trio
from structlog.testing import LogCapture
from trio.testing import wait_all_tasks_blocked

from echo_trio import admission, opening
from echo_trio.admission import PlaceCapacity
from echo_trio.behaviours.player import ScriptPlayer
from echo_trio.callers import Caller, Peer, SessionEnd, Sessions
from echo_trio.metrics.counters import Counters, Outcome
from echo_trio.opening import (
    _learn_peer,
    _receive_request,
    _refuse,
    make_room,
    turn_away_at_once,
)
from echo_trio.places import Places
from echo_trio.proxies import parse_network
from echo_trio.settings import Settings
from echo_trio.wire.handshake import HandshakeRefused

from .conftest import log_to


@pytest.mark.parametrize(
    ("header", "name"),
    [
        (b"PROXY TCP4 203.0.113.9 127.0.0.1 4711 80\r\n", "203.0.113.9:4711"),
        (b"PROXY UNKNOWN\r\n", "127.0.0.1:5"),
    ],
)
async def test_who_a_trusted_proxy_names_is_the_client_and_the_last_hop(
    header: bytes, name: str
) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(header)
        ours.setblocking(False)
        caller: Any = SimpleNamespace(sock=ours)
        sessions: Any = SimpleNamespace(
            opening=lambda deadline_s: trio.CancelScope(deadline=deadline_s),
            places=SimpleNamespace(hear=lambda *_: None),
        )
        peer = Peer("127.0.0.1:5")
        assert await _learn_peer(caller, sessions, trio.current_time() + 600, peer) is None
    assert (peer.name, peer.hop) == (name, name)


@pytest.mark.parametrize("is_tls", [False, True])
@pytest.mark.parametrize("is_answered", [False, True])
async def test_who_is_sent_away_is_refused_once_and_its_socket_is_there_for_the_next(
    is_answered: bool, is_tls: bool
) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        caller: Any = SimpleNamespace(sock=ours, answered=is_answered, displaced=False)
        refused = list[HandshakeRefused]()
        sessions: Any = SimpleNamespace(
            places=SimpleNamespace(longest_silent=lambda *_: caller),
            count_refused=refused.append,
            tls=object() if is_tls else None,
        )
        assert make_room(sessions)
        assert caller.displaced is (not is_answered)
        assert [each.status for each in refused] == [503] * (not is_answered)
        assert ours.fileno() == -1
        theirs.settimeout(60)
        said = b"".join(iter(lambda: theirs.recv(4096), b""))
        assert bool(said) is (not is_answered and not is_tls)
        assert said[:13] in {b"", b"HTTP/1.1 503 "}
    sessions.places.longest_silent = lambda *_: None
    assert not make_room(sessions)


@pytest.mark.parametrize("is_draining", [False, True])
async def test_a_request_that_is_there_as_the_server_begins_to_stop_is_refused(
    is_draining: bool,
) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        theirs.sendall(
            b"GET / HTTP/1.1\r\nHost: here\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        caller: Any = SimpleNamespace(sock=ours, waits=False, observer=None)
        sessions: Any = SimpleNamespace(
            counters=SimpleNamespace(draining=is_draining),
            opening=lambda deadline_s: trio.CancelScope(deadline=deadline_s),
            places=SimpleNamespace(hear=lambda *_: None),
            proxies=(),
            tls=None,
        )
        peer = Peer("127.0.0.1:5")
        if is_draining:
            with pytest.raises(HandshakeRefused) as refused:
                await _receive_request(caller, sessions, trio.current_time() + 600, peer)
            assert refused.value.status == 503
        else:
            request, surplus = await _receive_request(
                caller, sessions, trio.current_time() + 600, peer
            )
            assert (request.path, surplus) == ("/", b"")


class Noting:
    """Notes who is told that it was refused, and lets nobody in."""

    def __init__(self) -> None:
        self.dismissed: list[Any] = []
        self.heard: list[Any] = []

    def dismiss(self, caller: Any) -> None:
        self.dismissed.append(caller)

    def hear(self, caller: Any, now_s: float) -> None:
        self.heard.append(caller)


class Ears:
    """An observer that notes each call."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []

    def accepted(self, peer: str) -> Ears:
        self.told.append(("accepted", peer))
        return self

    def __getattr__(self, call: str) -> Any:
        return lambda *what: self.told.append((call, *what))


@pytest.mark.parametrize("is_tls", [False, True])
@pytest.mark.parametrize("observed", [False, True])
async def test_who_is_turned_away_at_once_is_answered_where_that_can_be_read_and_counted(
    is_tls: bool, observed: bool
) -> None:
    ours, theirs = socket.socketpair()
    ears, ended = Ears(), list[tuple[Any, ...]]()
    refused = list[HandshakeRefused]()
    sessions: Any = SimpleNamespace(
        tls=object() if is_tls else None, observer=ears if observed else None,
        count_refused=refused.append, count_ended=lambda *what: ended.append(what),
    )  # fmt: skip
    ours.setblocking(False)
    with theirs:
        theirs.sendall(b"GET / HTTP/1.1\r\n\r\n")
        turn_away_at_once(ours, "peer:1", sessions, admission.full())
        theirs.settimeout(60)
        answer = b"" if is_tls else theirs.recv(4096)
        assert answer[:13] == (b"" if is_tls else b"HTTP/1.1 503 ")
        if not is_tls:  # What it had sent was read: the answer is followed by an end, not a reset.
            assert theirs.recv(4096) == b""
    assert ours.fileno() == -1
    ((end, peer, duration_s),) = ended
    assert (end.outcome, peer, duration_s) == (Outcome.REFUSED, "peer:1", 0.0)
    assert [each.reason.value for each in refused] == ["capacity"]
    told = [("accepted", "peer:1"), ("ended", end.outcome, end.details)]
    assert ears.told == (told if observed else [])


@pytest.mark.parametrize(
    ("sends", "ends_s"),
    [
        pytest.param([], 1.0, id="nothing"),
        pytest.param([(0.25, b""), (0.5, b"never")], 0.25, id="its end"),
        pytest.param([(0.1, b"x" * 1000)] * 5, 1.0, id="a little"),
        pytest.param([(0.1, b"x" * 2**19)] * 2 + [(0.1, b"x")], 0.2, id="a flood"),
        pytest.param([(0.1, b"x" * (2**20 - 1))] + [(0.1, b"x")] * 2, 0.2, id="a byte less"),
    ],
)
async def test_who_was_refused_has_a_second_to_read_that_and_no_more_than_a_bound_is_read(
    autojump_clock, monkeypatch: pytest.MonkeyPatch, sends: list[tuple[float, bytes]], ends_s: float
) -> None:
    left = iter(sends)

    async def receive(sock: Any, size_bytes: int) -> bytes:
        pause_s, data = next(left, (1e9, b""))
        await trio.sleep(pause_s)
        return data

    monkeypatch.setattr(opening.sockets, "receive_some", receive)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        caller: Any = SimpleNamespace(sock=ours, answered=False)
        sessions: Any = SimpleNamespace(places=Noting())
        began_s = trio.current_time()
        await _refuse(caller, sessions, admission.full())
        assert trio.current_time() - began_s == pytest.approx(ends_s)
        assert caller.answered
        assert sessions.places.dismissed == [caller]
        theirs.settimeout(60)
        said = b"".join(iter(lambda: theirs.recv(4096), b""))
        assert said.startswith(b"HTTP/1.1 503 ")


REQUEST = (
    b"GET / HTTP/1.1\r\nHost: here\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"X-Forwarded-For: 203.0.113.9, 10.0.0.2\r\n\r\n"
)


@pytest.mark.parametrize("trusted", [False, True])
@pytest.mark.parametrize("cut_at", [0, 3, len(REQUEST)])
async def test_a_request_is_read_in_whatever_parts_it_comes_and_told_to_whoever_listens(
    nursery: trio.Nursery, cut_at: int, trusted: bool
) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        theirs.sendall(REQUEST[:cut_at] + (b"surplus" if cut_at == len(REQUEST) else b""))

        async def say_the_rest() -> None:
            await wait_all_tasks_blocked()
            theirs.sendall(REQUEST[cut_at:] + b"surplus")

        if cut_at < len(REQUEST):
            nursery.start_soon(say_the_rest)
        ears = Ears()
        caller: Any = SimpleNamespace(sock=ours, waits=False, observer=ears)
        sessions: Any = SimpleNamespace(
            counters=SimpleNamespace(draining=False),
            opening=lambda deadline_s: trio.CancelScope(deadline=deadline_s),
            places=Noting(),
            proxies=(parse_network("10.0.0.0/8"),) if trusted else (),
            tls=None,
        )
        peer = Peer("10.0.0.1:5")
        request, surplus = await _receive_request(caller, sessions, trio.current_time() + 60, peer)
        assert (request.path, surplus) == ("/", b"surplus")
        assert ears.told == [("requested", request)]
        assert (peer.name, peer.hop) == ("203.0.113.9" if trusted else "10.0.0.1:5", "10.0.0.1:5")
        # What has arrived with the connection is none that it would have to be heard of for.
        parts = {0: 1, 3: 2, len(REQUEST): 0}[cut_at]
        assert sessions.places.heard == [caller] * parts


@pytest.mark.parametrize(
    ("waits", "arrives", "has_room", "reason"),
    [
        (False, False, False, "timeout"),
        (True, False, True, "capacity"),
        (True, True, False, "capacity"),
        (True, True, True, None),
    ],
)
async def test_who_waits_at_the_door_comes_in_by_its_request_if_there_is_room(
    autojump_clock, monkeypatch: pytest.MonkeyPatch,
    waits: bool, arrives: bool, has_room: bool, reason: str | None,
) -> None:  # fmt: skip
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        theirs.sendall(REQUEST if arrives else REQUEST[:-1])
        caller: Any = SimpleNamespace(sock=ours, waits=waits, observer=None)
        entered = list[bool]()

        def enter(_: Any) -> bool:
            entered.append(has_room and len(entered) == 1)
            return entered[-1]

        places = Noting()
        places.enter = enter  # type: ignore[attr-defined]
        monkeypatch.setattr(opening, "make_room", lambda _: has_room)
        sessions: Any = SimpleNamespace(
            counters=SimpleNamespace(draining=False), places=places, proxies=(), tls=None,
            opening=trio.move_on_at,
        )  # fmt: skip
        began_s = trio.current_time()
        reading = _receive_request(caller, sessions, began_s + 7, Peer("a:1"))
        if reason is None:
            request, _ = await reading
            assert request.path == "/"
        else:
            with pytest.raises(HandshakeRefused) as told:
                await reading
            assert told.value.reason.value == reason
        assert trio.current_time() - began_s == (0 if arrives else pytest.approx(7))
    # It is let in where there is a place, or where one is made for it.
    assert entered == ([] if not arrives else [False, True] if has_room else [False])


@pytest.mark.parametrize("wants", [False, True])
@pytest.mark.parametrize("offers", [False, True])
@pytest.mark.parametrize(("path", "is_played"), [("/plain", False), ("/delay/1s", True)])
async def test_an_open_connection_has_what_was_asked_for_and_both_ends_can(
    wants: bool, offers: bool, path: str, is_played: bool
) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        more = "Sec-WebSocket-Extensions: permessage-deflate\r\n" if offers else ""
        head = REQUEST.replace(b"GET / ", f"GET {path}?a=b ".encode())
        theirs.sendall(head[:-2] + f"Sec-WebSocket-Protocol: one, two\r\n{more}\r\n".encode())
        sessions = Sessions(
            Settings(port=0, console=False, compression=wants, seed=1), None, None,
            log_to(LogCapture()), Counters(),
            Places(PlaceCapacity(1, 1)),
        )  # fmt: skip
        caller, ears = Caller(ours, "peer:1", trio.current_time()), Ears()
        caller.observer = ears  # type: ignore[assignment]
        opened = await opening._shake_hands(
            caller, sessions, trio.current_time() + 60, Peer("peer:1")
        )
        assert isinstance(opened, tuple)
        connection, acting = opened
        compresses = wants and offers
        said = theirs.recv(4096).decode().lower()
        assert said.startswith("http/1.1 101 ")
        assert ("sec-websocket-extensions: permessage-deflate" in said) is compresses
        assert "sec-websocket-protocol: one\r\n" in said
        assert (connection.path, connection.subprotocol) == (f"{path}?a=b", "one")
        assert connection.is_server
        assert isinstance(acting, ScriptPlayer) is is_played
        (_, (call, subprotocol, extensions)) = ears.told
        assert (call, subprotocol, len(extensions)) == ("opened", "one", int(compresses))
        assert sessions.counters.handshake.histogram().count == 1


@pytest.mark.parametrize(
    ("sends", "outcome"), [(REQUEST.replace(b"GET / ", b"GET /x "), "refused"), (b"GET / H", "cut")]
)
async def test_one_that_does_not_open_ends_as_it_went(
    autojump_clock, sends: bytes, outcome: str
) -> None:
    ours, theirs = socket.socketpair()
    with ours:
        ours.setblocking(False)
        theirs.sendall(sends)
        if outcome == "cut":
            theirs.close()
        refused = list[HandshakeRefused]()
        sessions: Any = SimpleNamespace(
            counters=Counters(), places=Places(PlaceCapacity(1, 1)), proxies=(), proxy=None,
            tls=None, workers=1, origins=(), count_refused=refused.append,
            opening=trio.move_on_at,
        )  # fmt: skip
        caller = Caller(ours, "peer:1", trio.current_time())
        end = await opening._shake_hands(caller, sessions, trio.current_time() + 60, Peer("peer:1"))
        assert isinstance(end, SessionEnd)
        assert end.outcome.value == ("refused" if outcome == "refused" else "cut_in_handshake")
        assert [each.status for each in refused] == [404] * (outcome == "refused")
        theirs.close()


async def test_a_proxys_client_keeps_its_place_while_the_upstream_is_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        theirs.sendall(REQUEST)
        places: Places[Caller] = Places(PlaceCapacity(1, 1))
        sessions: Any = SimpleNamespace(
            counters=Counters(), places=places, proxies=(), origins=(), opening=trio.move_on_at
        )
        caller, pair = Caller(ours, "peer:1", 0.0), object()
        assert places.enter(caller)

        async def ask(*_: Any) -> object:
            assert places.longest_silent(1e9, lambda _: False) is None
            return pair

        monkeypatch.setattr(opening, "open_pair", ask)
        proxy: Any = object()
        until_s = trio.current_time() + 60
        assert await opening._open_pair(caller, sessions, proxy, until_s, Peer("a:1")) is pair
        assert places.taken == 1
        assert sessions.counters.handshake.histogram().count == 1


async def test_each_step_of_tls_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    sock, by_tls = object(), object()
    caller: Any = SimpleNamespace(sock=sock)
    sessions: Any = SimpleNamespace(places=Noting(), opening=trio.move_on_at)

    async def shake_hands(sock: Any, _: Any, *, on_progress: Any) -> None:
        assert sock is not by_tls
        on_progress(by_tls)
        on_progress(by_tls)

    monkeypatch.setattr(opening.tls, "shake_hands", shake_hands)
    context: Any = object()
    assert await opening._secure(caller, sessions, context, trio.current_time() + 60) is None
    assert caller.sock is by_tls
    assert sessions.places.heard == [caller] * 2
