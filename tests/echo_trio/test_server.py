"""A server in this process, asked by raw sockets: everything that it took is given back."""

from __future__ import annotations

import errno
import socket
import time
from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest
import structlog
import trio
from structlog.testing import LogCapture

from echo_trio import places
from echo_trio import server as server_module
from echo_trio.metrics.counters import Outcome
from echo_trio.server import ANSWERING_SHARE, END_OF_EACH_S, END_S, EchoServer, patience_of
from echo_trio.settings import Settings

from .conftest import CLOSE, handshake, log_to
from .served import PATIENCE_S, Served, message


async def read_to_end(stream: trio.SocketStream) -> None:
    while await stream.receive_some():
        pass


async def close(served: Served, _: int) -> None:
    stream = await served.open()
    await stream.send_all(CLOSE)
    await read_to_end(stream)


async def vanish(served: Served, _: int) -> None:
    await (await served.open()).aclose()


async def leave_early(served: Served, _: int) -> None:
    stream = await served.connect()
    await stream.send_all(b"GET / HT")
    await stream.aclose()


async def ask_for_nothing(served: Served, _: int) -> None:
    stream = await served.connect()
    await stream.send_all(handshake("/nowhere"))
    await read_to_end(stream)
    await stream.aclose()


async def violate(served: Served, _: int) -> None:
    stream = await served.open()
    await stream.send_all(b"\x81\x01m")
    await read_to_end(stream)
    await stream.aclose()


async def be_dropped(served: Served, _: int) -> None:
    stream = await served.open("/drop/1")
    await stream.send_all(message(b"m"))
    with pytest.raises(trio.BrokenResourceError):
        await read_to_end(stream)


async def be_closed(served: Served, _: int) -> None:
    stream = await served.open("/close/4000")
    await stream.send_all(message(b"m"))
    await stream.receive_some()
    await stream.send_all(CLOSE)
    await read_to_end(stream)


async def leave_half_a_message(served: Served, _: int) -> None:
    stream = await served.open()
    await stream.send_all(b"\x01\x85" + bytes(4) + b"hel")
    await stream.aclose()


async def leave_replies_behind(served: Served, _: int) -> None:
    stream = await served.open("/delay/1h")
    await stream.send_all(message(b"m") * 3)
    with trio.fail_after(PATIENCE_S):
        while sum(c.messages_received for c in served.sessions.connections) < 3:
            await trio.sleep(0.002)
    await stream.aclose()


ENDINGS = {
    close: Outcome.CLEAN,
    vanish: Outcome.ABNORMAL,
    leave_early: Outcome.CUT_IN_HANDSHAKE,
    ask_for_nothing: Outcome.REFUSED,
    violate: Outcome.VIOLATION,
    be_dropped: Outcome.ABNORMAL,
    be_closed: Outcome.CLEAN,
    leave_half_a_message: Outcome.ABNORMAL,
    leave_replies_behind: Outcome.ABNORMAL,
}


async def test_however_connections_end_their_places_are_given_back(serve):
    served = await serve(max_connections=2)
    ended = 0
    for end, outcome in ENDINGS.items():
        before = Counter(served.server.snapshot().outcomes)
        for number in range(3):  # one more than there are places
            with trio.fail_after(PATIENCE_S):
                await end(served, number)
            ended += 1
            await served.ended(ended)
        assert Counter(served.server.snapshot().outcomes) - before == {outcome: 3}, end.__name__
        served.assert_given_back()
    one, other = await served.open(), await served.open()
    await served.echo(one)
    await served.echo(other)
    assert (served.server.open, served.sessions.places.taken) == (2, 2)
    await one.aclose()
    await other.aclose()


async def test_one_more_than_there_are_places_is_told_so_and_counted(serve):
    served = await serve(max_connections=2)
    inside = [await served.open(), await served.open()]
    outside = await served.connect()
    await outside.send_all(handshake())
    answer = b""
    while chunk := await outside.receive_some():
        answer += chunk
    assert answer.startswith(b"HTTP/1.1 503 ")
    await outside.aclose()
    await served.ended(1)
    now = served.server.snapshot()
    assert (now.accepted, now.open, now.outcomes) == (3, 2, {Outcome.REFUSED: 1})
    assert (now.refused, now.refused_reasons) == ({503: 1}, {"capacity": 1})
    for stream in inside:
        await served.echo(stream)
        await stream.aclose()
    await served.ended(3)
    again = [await served.open(), await served.open()]
    for stream in again:
        await stream.aclose()


async def test_the_peak_is_the_most_that_were_open_at_a_time(serve):
    served = await serve()
    for together in (3, 1, 2):
        streams = [await served.open() for _ in range(together)]
        assert served.server.snapshot().open == together
        ended = served.sessions.counters.ended
        for stream in streams:
            await stream.aclose()
        await served.ended(ended + together)
    assert served.server.snapshot().peak_open == 3


async def test_traffic_of_those_that_have_ended_and_of_those_that_are_open_is_one_sum(serve):
    served = await serve()
    gone, there = await served.open(), await served.open()
    for text in (b"one", b"three", b"four"):
        await served.echo(gone, text)
    await served.echo(there, b"seven")
    silent = await served.open("/silent")
    await silent.send_all(message(b"x") * 4)
    with trio.fail_after(PATIENCE_S):
        while served.server.snapshot().messages_received < 8:
            await trio.sleep(0.002)
    await gone.aclose()
    await served.ended(1)
    now = served.server.snapshot()
    assert (now.messages_received, now.messages_sent) == (8, 4)
    assert now.bytes_received == 4 * 6 + 12 + 5 + 4 * 7
    assert now.bytes_sent == 4 * 2 + 12 + 5
    await silent.aclose()
    await there.aclose()
    await served.ended(3)
    assert served.server.snapshot().messages_received == 8


async def test_messages_that_a_behaviour_still_owed_a_reply_are_counted(serve):
    served = await serve()
    await leave_replies_behind(served, 0)
    await served.ended(1)
    now = served.server.snapshot()
    assert (now.messages_received, now.messages_sent, now.messages_unanswered) == (3, 0, 3)


async def test_each_that_was_open_has_the_code_of_the_first_close_frame(serve):
    served = await serve()
    for end in (close, vanish, be_closed, violate, ask_for_nothing, leave_early):
        await end(served, 0)
    await served.ended(6)
    assert served.server.snapshot().close_codes == {1000: 1, 1006: 1, 4000: 1, 1002: 1}


async def test_the_first_subprotocol_offered_is_chosen(serve):
    served = await serve()
    stream = await served.connect()
    more = "Sec-WebSocket-Protocol: second-best, other\r\n"
    await stream.send_all(handshake(more=more))
    assert b"second-best\r\n" in await stream.receive_some()
    await stream.aclose()


@pytest.mark.parametrize("clients", [0, 2])
async def test_a_drain_ends_when_the_last_is_gone_and_no_later(serve, clients):
    served = await serve(drain_timeout_s=3600.0, close_timeout_s=3600.0)
    streams = [await served.open() for _ in range(clients)]
    served.server.drain()
    for stream in streams:
        assert (await stream.receive_some()).startswith(b"\x88")
        await stream.send_all(CLOSE)
    with trio.fail_after(PATIENCE_S):
        await served.over.wait()
    assert all(listener.fileno() == -1 for listener in served.server._listeners)
    assert served.server.snapshot().outcomes == ({Outcome.CLEAN: clients} if clients else {})


async def test_whoever_does_not_answer_the_drain_is_dropped_in_time(serve):
    served = await serve(drain_timeout_s=0.5, close_timeout_s=3600.0)
    stream = await served.open()
    began_s = trio.current_time()
    served.server.drain()
    await served.ended(1)
    assert trio.current_time() - began_s < PATIENCE_S / 2
    assert served.server.snapshot().outcomes == {Outcome.DROPPED: 1}
    await stream.aclose()


async def test_what_keeps_it_from_accepting_is_counted_by_its_name(serve):
    served = await serve()
    for number in (errno.EMFILE, errno.EMFILE, errno.ENOMEM, None):
        served.server._count_accept_fault(OSError(number, "out of something"))
    now = served.server.snapshot()
    assert now.accept_fault_reasons == {"EMFILE": 2, "ENOMEM": 1, "other": 1}
    assert now.accept_faults == 4


async def test_who_is_open_keeps_its_place_however_silent_it_is(serve, monkeypatch):
    monkeypatch.setattr(places, "SILENCE_S", 0.0)  # Whoever is silent at all has been for too long.
    served = await serve(max_connections=1)
    silent = await served.connect()
    await silent.send_all(b"GET / HT")
    inside = await served.open()  # It takes the place of who had not asked for anything yet.
    await served.ended(1)
    outside = await served.connect()
    await outside.send_all(handshake())
    assert (await outside.receive_some()).startswith(b"HTTP/1.1 503 ")
    await outside.aclose()
    await served.ended(2)
    await served.echo(inside)
    assert served.server.snapshot().refused_reasons["capacity"] == 1
    await inside.aclose()


async def test_whoever_finds_no_descriptor_left_is_counted_and_told(serve):
    served = await serve()
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()) as client,
    ):
        accepted, _ = listener.accept()
        accepted.setblocking(False)
        served.server._turn_away_excess(accepted, "127.0.0.1:1")
        assert client.recv(1000).startswith(b"HTTP/1.1 503 ")
    now = served.server.snapshot()
    assert (now.accepted, now.outcomes) == (1, {Outcome.REFUSED: 1})
    assert now.refused_reasons == {"descriptors": 1}


async def test_what_a_behaviour_has_answered_counts_no_longer_against_its_client(serve):
    """Ten times as much passes as may wait at once: of each message the bytes are given back."""
    served = await serve()
    stream = await served.open("/delay/1ms")
    body = b"x" * 500_000
    with trio.fail_after(PATIENCE_S):
        for _ in range(20):
            await stream.send_all(b"\x82\xff" + len(body).to_bytes(8, "big") + bytes(4) + body)
            reply = b""
            while len(reply) < 10 or len(reply) < 10 + int.from_bytes(reply[2:10], "big"):
                reply += await stream.receive_some()
            assert reply[10 : 10 + len(body)] == body
    await stream.aclose()


@pytest.mark.parametrize("drain_timeout_s", [0.1, 1.0, 10.0])
@pytest.mark.parametrize("connections", [0, 1, 10_000, 1_000_000])
def test_a_drain_leaves_time_for_its_own_end_and_half_of_it_to_clients_at_least(
    drain_timeout_s: float, connections: int
) -> None:
    patience_s = patience_of(drain_timeout_s, connections)
    assert drain_timeout_s / 2 <= patience_s < drain_timeout_s
    own_s = END_S + connections * END_OF_EACH_S
    if patience_s > drain_timeout_s / 2:
        assert patience_s + own_s == pytest.approx(drain_timeout_s)
    else:
        assert own_s >= drain_timeout_s / 2


async def test_who_comes_while_few_descriptors_are_left_takes_a_silent_ones_or_is_told_so(
    serve, monkeypatch
):
    served = await serve()
    inside = await served.open()
    monkeypatch.setattr(server_module.process, "file_limit", lambda: 1)
    outside = await served.connect()
    assert (await outside.receive_some()).startswith(b"HTTP/1.1 503 ")
    await outside.aclose()
    await served.ended(1)
    now = served.server.snapshot()
    assert (now.refused_reasons, now.outcomes) == ({"descriptors": 1}, {Outcome.REFUSED: 1})
    await inside.aclose()


@pytest.mark.parametrize("spare", [0, 1])
async def test_the_descriptors_from_the_last_on_are_for_no_connection(
    serve, nursery, monkeypatch, spare
):
    served = await serve()
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()),
    ):
        accepted, _ = listener.accept()
        accepted.setblocking(False)
        last = accepted.fileno() + spare
        monkeypatch.setattr(server_module.admission, "last_descriptor", lambda _: last)
        served.server._start_session(nursery, accepted, "127.0.0.1:1")
        assert served.sessions.places.taken == spare
    await served.ended(1)
    assert served.server.snapshot().refused_reasons == ({} if spare else {"descriptors": 1})


@pytest.mark.parametrize(
    ("upstream", "asked", "limit", "allowed"),
    [
        (None, 0, 1024, None),
        (None, 960, 1024, None),
        (None, 961, 1024, 960),
        # A proxy's connection takes two descriptors.
        ("ws://127.0.0.1:9/", 480, 1024, None),
        ("ws://127.0.0.1:9/", 481, 1024, 480),
    ],
)
def test_who_asks_for_more_connections_than_fit_is_warned(
    monkeypatch, upstream, asked, limit, allowed
):
    monkeypatch.setattr(server_module.process, "file_limit", lambda: limit)
    logged = LogCapture()
    log = log_to(logged)

    async def make() -> None:
        settings = Settings(port=0, console=False, max_connections=asked, upstream=upstream)
        server = EchoServer.listen(settings, log)
        server.close()
        server.close()

    trio.run(make)
    warned = [(line["max_connections"], line["asked_for"], line["file_limit"])
              for line in logged.entries]  # fmt: skip
    assert warned == ([] if allowed is None else [(allowed, asked, limit)])


def log_of(served: Served) -> list[str]:
    """What the server has said."""
    return [line["event"] for line in served.server._log._processors[0].entries]


async def test_a_certificate_is_read_again_or_stays_as_it_was(serve, monkeypatch):
    served = await serve()
    served.server.reload()
    assert served.sessions.tls is None
    made: list[Any] = []

    def read(_: Settings) -> str:
        if made:
            raise OSError(2, "it is gone")
        made.append(1)
        return "new"

    monkeypatch.setattr(server_module, "tls_context_of", read)
    served.sessions.tls = "old"
    served.server.reload()
    assert served.sessions.tls == "new"
    served.server.reload()
    assert served.sessions.tls == "new"
    served.sessions.tls = None
    assert log_of(served)[-3:] == [
        "there is no certificate to read again",
        "the certificate was read again",
        "the certificate stays as it was",
    ]


async def test_only_a_proxy_has_faults_and_tells_what_they_did(serve):
    plain = await serve()
    assert (plain.server.faults, plain.server.snapshot().faults) == (None, None)
    with pytest.raises(ValueError, match="this server is no proxy"):
        plain.server.set_faults("~silent")
    proxy = await serve(upstream="ws://127.0.0.1:1", fault="~silent")
    proxy.server.set_faults("~status/418")
    assert proxy.server.faults == "~status/418"
    stream = await proxy.connect()
    await stream.send_all(handshake())
    assert (await stream.receive_some()).startswith(b"HTTP/1.1 418 ")
    await stream.aclose()
    await proxy.ended(1)
    tally = proxy.sessions.proxy.switch.tallies["status"]
    tally.seen += 5
    now = proxy.server.snapshot()
    assert (now.upstream, now.faults) == ("ws://127.0.0.1:1", "~status/418")
    assert (now.faults_seen, now.faults_acted) == ({"status": 6}, {"status": 1})


async def test_a_drain_counts_from_when_it_was_asked_for_and_once(serve):
    served = await serve(drain_timeout_s=3600.0, close_timeout_s=3600.0)
    stream = await served.open()
    served.server.drain(late_s=3600.0)
    served.server.drain(late_s=0.0)
    with trio.fail_after(PATIENCE_S):
        await served.over.wait()
    now = served.server.snapshot()
    assert (now.outcomes, now.draining, now.close_codes) == (
        {Outcome.DROPPED: 1}, True, {1001: 1},
    )  # fmt: skip
    await stream.aclose()


async def test_what_a_server_is_asked_of_is_what_it_has(serve):
    before_s = time.monotonic()
    served = await serve()
    after_s = time.monotonic()
    stream = await served.open()
    server = served.server
    at_least_s = time.monotonic() - after_s
    snapshot = server.snapshot()
    assert at_least_s - 0.001 <= snapshot.uptime_s <= time.monotonic() - before_s + 0.001
    assert (snapshot.url, snapshot.workers) == (server.url, 1)
    assert (server.open, server.ended, server.held_bytes) == (1, 0, 0)
    assert server.budget is served.sessions.budget
    assert server.activity is served.sessions.activity
    assert server.activity.last_s > 0
    await stream.aclose()
    await served.ended(1)
    assert (server.open, server.ended) == (0, 1)
    server.abandon()


def test_a_recording_that_cannot_be_made_leaves_no_port_taken(tmp_path, monkeypatch):
    listened: list[socket.socket] = []
    listen = server_module.sockets.listen

    def note(*where: Any) -> list[socket.socket]:
        listened.extend(listen(*where))
        return listened

    monkeypatch.setattr(server_module.sockets, "listen", note)
    (tmp_path / "taken").write_text("mine")

    async def make() -> None:
        settings = Settings(port=0, console=False, record=tmp_path / "taken")
        with pytest.raises(OSError, match="there is a file of that name"):
            EchoServer.listen(settings, structlog.get_logger())

    trio.run(make)
    assert [each.fileno() for each in listened] == [-1]


async def test_what_had_arrived_is_answered_before_a_goodbye_for_a_share_of_the_drain(
    autojump_clock,
) -> None:
    """The second connection takes longer to answer than all of them may."""
    done = list[tuple[int, str]]()

    class Noting:
        def __init__(self, number: int) -> None:
            self.number = number

        def answer_what_arrived(self) -> None:
            done.append((self.number, "answered"))
            if self.number == 1:
                autojump_clock.jump(ANSWERING_SHARE * 100 + 1)

        def drain(self, code: int, _: str) -> bool:
            done.append((self.number, f"closed with {code}"))
            return True

    settings = Settings(port=0, console=False, drain_timeout_s=100.0, drain_grace_s=0.0)
    server = EchoServer.listen(settings, log_to(LogCapture()))
    server.close()
    gone = trio.Event()
    gone.set()
    server._sessions = SimpleNamespace(  # type: ignore[assignment]
        counters=SimpleNamespace(ended=0, accepted=3), openings=(), all_gone=gone,
        connections=[Noting(0), Noting(1)], upstreams=[Noting(2)],
    )  # fmt: skip
    async with trio.open_nursery() as nursery:
        await server._say_goodbye(nursery)
    assert done == [
        (0, "answered"), (0, "closed with 1001"), (1, "answered"), (1, "closed with 1001"),
        (2, "closed with 1001"),
    ]  # fmt: skip
