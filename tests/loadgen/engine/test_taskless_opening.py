"""Open sockets without tasks, against listeners that the test itself plays, byte by byte."""

import errno
import socket
import struct
from contextlib import suppress
from itertools import chain

import pytest
import trio
import trio.testing

from echo_trio.wire import handshake, poller, server_handshake, sockets
from loadgen.engine.books import Books
from loadgen.engine.context import RunContext
from loadgen.engine.crowd import Crowd
from loadgen.engine.dialer import Dialer
from loadgen.engine.gate import Gate
from loadgen.engine.observer import CrowdObserver
from loadgen.engine.taskless_opening import TasklessOpenings
from loadgen.results.ledger import Failure, Ledger
from loadgen.workload.plan import Plan
from loadgen.workload.sources import Sources

pytestmark = pytest.mark.skipif(not poller.AVAILABLE, reason="without epoll each has a task")

PATIENCE_S = 60


class Opened:
    """A crowd that opens against a listener whose end the test plays."""

    def __init__(self, nursery, listener, count=1, **settings):
        self.nursery, self.listener = nursery, listener
        self.plan = Plan(count, "ws://127.0.0.1/", **settings)
        self.books = Books(Ledger(count))
        self.ledger = self.books.ledger
        address = (socket.AF_INET, listener.getsockname())
        self.poller = poller.Poller()
        self.context = RunContext(
            self.plan,
            Dialer([address], Sources(())),
            self.poller,
            self.books,
            CrowdObserver(self.plan, nursery),
        )
        self.gate = Gate(self.plan)
        self.crowd = Crowd(
            self.plan, self.context, self.context.observer, nursery, self.gate, range(count)
        )
        self.interruption = trio.CancelScope()
        self.is_open = trio.Event()
        self.accepted: list[socket.socket] = []

    async def start(self, before_opening=lambda: None):
        await self.nursery.start(self.poller.run)
        self.watched_before = self.watched
        before_opening()
        self.nursery.start_soon(self._open)

    @property
    def watched(self):
        """Count the descriptors that the poller waits for, its own included."""
        return sum(callback is not None for callback in self.poller._callbacks)

    async def _open(self):
        await self.crowd.open(self.interruption)
        self.is_open.set()

    async def accept(self):
        """Take the next connection; return it, and its request."""
        with trio.fail_after(PATIENCE_S):
            await trio.lowlevel.wait_readable(self.listener)
            sock, _ = self.listener.accept()
            self.accepted.append(sock)
            sock.setblocking(False)
            head, _ = await handshake.receive_head(
                lambda: sockets.receive_some(sock, handshake.MAX_HEAD_BYTES)
            )
        return sock, server_handshake.parse_request(head)

    async def settle(self):
        """Wait until every socket is open or will not be; see that the limiter is given back."""
        with trio.fail_after(PATIENCE_S):
            await self.is_open.wait()
        assert self.gate.limiter.borrowed_tokens == 0
        assert self.ledger.settled == self.ledger.requested
        assert not any(session.is_to_open for session in self.crowd.slots)


@pytest.fixture
def listener():
    (listener,) = sockets.listen("127.0.0.1", 0)
    yield listener
    listener.close()


@pytest.fixture
async def opening(nursery, listener):
    async def start(count=1, **settings):
        run = Opened(nursery, listener, count, **settings)
        accepted.append(run.accepted)
        await run.start()
        return run

    accepted: list[list[socket.socket]] = []
    yield start
    for sock in chain.from_iterable(accepted):
        sock.close()


async def is_closed(sock):
    """Wait for the end of a connection; true however it ends."""
    with trio.fail_after(PATIENCE_S):
        try:
            return await sockets.receive_some(sock, 100) == b""
        except ConnectionResetError:
            return True


async def test_neither_handshakes_under_way_nor_open_sockets_have_tasks(opening):
    run = await opening(20)
    callers = [await run.accept() for _ in range(20)]
    await trio.testing.wait_all_tasks_blocked()
    before = trio.lowlevel.current_statistics().tasks_living
    for sock, request in callers:
        sock.send(server_handshake.accept_response(request))
    await run.settle()
    assert (run.ledger.open, run.ledger.tcp, run.ledger.addresses["127.0.0.1"]) == (20, 20, 20)
    # The crowd's own two have ended: who opened it, and who watched over the deadlines.
    await trio.testing.wait_all_tasks_blocked()
    assert trio.lowlevel.current_statistics().tasks_living - before == -2
    assert run.books.connect.end_second().count == 20


async def test_an_answer_in_pieces_opens_the_socket_with_what_came_behind_it(opening):
    run = await opening(verify="exact", message="hi")
    sock, request = await run.accept()
    answer = server_handshake.accept_response(request)
    await trio.sleep(0.1)
    sock.send(answer[:30])
    await trio.testing.wait_all_tasks_blocked()
    assert not run.is_open.is_set()
    sock.send(answer[30:] + b"\x81\x02hi")
    await run.settle()
    with trio.fail_after(PATIENCE_S):
        while not run.ledger.received:
            await trio.sleep(0.001)
    assert run.ledger.open == 1
    # It counts from the request on, whoever waits for the answer.
    assert run.books.connect.end_second().min >= 100_000


async def test_the_first_frame_may_come_with_the_answer(opening):
    run = await opening()
    sock, request = await run.accept()
    sock.send(server_handshake.accept_response(request) + b"\x81\x02hi")
    await run.settle()
    with trio.fail_after(PATIENCE_S):
        while not run.ledger.received:
            await trio.sleep(0.001)
    sock.send(b"\x81\x02ho")
    with trio.fail_after(PATIENCE_S):
        while run.ledger.received < 2:
            await trio.sleep(0.001)


async def test_an_interim_answer_is_passed_over(opening):
    run = await opening()
    sock, request = await run.accept()
    sock.send(b"HTTP/1.1 103 Early Hints\r\n\r\n" + server_handshake.accept_response(request))
    await run.settle()
    assert run.ledger.open == 1


def reset(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


@pytest.mark.parametrize(
    ("end", "failure"),
    [
        (socket.socket.close, Failure.RESET),
        (reset, Failure.RESET),
        (lambda sock: sock.send(b"HTTP/1.1 503 No\r\n\r\nfull"), Failure.REJECTED),
        (lambda sock: sock.send(b"HTTP/1.1 101 Yes\r\n\r\n"), Failure.PROTOCOL),
        (lambda sock: sock.send(b"\x15\x03\x03\x00\x02\x02\x46"), Failure.PROTOCOL),
        (lambda sock: sock.send(b"nothing like it\r\n\r\n"), Failure.PROTOCOL),
    ],
    ids=["end", "reset", "rejected", "no accept", "TLS", "no HTTP"],
)
async def test_any_other_answer_is_booked_in_its_column(opening, end, failure):
    run = await opening()
    sock, _ = await run.accept()
    end(sock)
    with trio.fail_after(PATIENCE_S):
        if sock.fileno() != -1:
            sock.shutdown(socket.SHUT_WR)
            assert await is_closed(sock)
    await run.settle()
    assert run.ledger.failed == {failure: 1}
    assert run.ledger.tcp == 1
    assert run.watched == run.watched_before  # Its number may be the next socket's.
    if failure is Failure.REJECTED:
        assert run.ledger.details == {(failure, "HTTP 503: full"): 1}


async def test_who_listens_no_more_is_refused_and_no_tcp(opening, listener):
    run = await opening(3, connect_rate=1000.0)
    sock, request = await run.accept()
    listener.close()
    sock.send(server_handshake.accept_response(request))
    await run.settle()
    assert run.ledger.opened <= 1  # The others were in its queue, or came later.
    assert run.ledger.failed.keys() <= {Failure.REFUSED, Failure.RESET}
    assert run.ledger.failed[Failure.REFUSED] == 3 - run.ledger.tcp


async def test_a_socket_that_the_kernel_will_not_watch_does_not_open(
    nursery, listener, monkeypatch
):
    def refuse(*_):
        raise OSError(errno.ENOSPC, "max_user_watches")

    run = Opened(nursery, listener)
    await run.start(before_opening=lambda: monkeypatch.setattr(run.poller, "register", refuse))
    sock, _ = await run.accept()
    with sock:
        assert await is_closed(sock)
        await run.settle()
    assert (run.ledger.failed, run.ledger.tcp) == ({Failure.OTHER: 1}, 1)


async def test_who_has_not_answered_in_time_is_closed_and_who_has_half_as_well(opening):
    run = await opening(2, connect_timeout_s=0.3)
    (silent, _), (slow, _) = [await run.accept() for _ in range(2)]
    with suppress(OSError):  # On a busy machine its time is over already.
        slow.send(b"HTTP/1.1 101 ")
    assert await is_closed(silent)
    assert await is_closed(slow)
    await run.settle()
    assert run.ledger.failed == {Failure.TIMEOUT: 2}


async def test_who_is_ended_in_the_moment_of_its_deadline_has_timed_out(opening, autojump_clock):
    run = await opening(2, connect_timeout_s=0.3)
    await run.settle()
    assert (run.ledger.failed, run.ledger.not_attempted) == ({Failure.TIMEOUT: 2}, 0)


async def test_a_large_wave_that_waited_in_vain_is_given_up_once(opening):
    run = await opening(600, connect_concurrency=500, connect_timeout_s=0.5)
    await run.settle()
    # On a busy machine the time of some that were given up is over as well.
    assert run.ledger.failed.keys() == {Failure.TIMEOUT}
    assert 500 <= run.ledger.failed[Failure.TIMEOUT] == 600 - run.ledger.not_attempted


async def test_the_deadline_of_an_answer_in_pieces_stays_where_it_was(opening):
    run = await opening()
    sock, _ = await run.accept()
    (session,) = run.crowd.slots
    deadline_s = session._opening.deadline_s
    sock.send(b"HTTP/1.1 101 ")
    with trio.fail_after(PATIENCE_S):
        while not isinstance(session._opening, trio.CancelScope):
            await trio.sleep(0.001)
    await trio.testing.wait_all_tasks_blocked()
    assert session._opening.deadline == deadline_s
    run.interruption.cancel()
    await run.settle()


async def test_who_is_given_up_between_two_pieces_is_not_attempted_and_closed(opening):
    run = await opening(2)
    callers = [await run.accept() for _ in range(2)]
    callers[0][0].send(b"HTTP/1.1 101 ")
    await trio.testing.wait_all_tasks_blocked()
    run.interruption.cancel()
    await run.settle()
    for sock, _ in callers:
        assert await is_closed(sock)
    assert (run.ledger.not_attempted, run.ledger.failed.total()) == (2, 0)


async def test_who_is_given_up_before_its_task_begins_is_closed_as_well(opening):
    """Its answer and the order to stop come in the same turn."""
    run = await opening()
    sock, _ = await run.accept()
    (session,) = run.crowd.slots
    sock.send(b"HTTP/1.1 101 ")
    session._opening.on_readable()
    session.give_up_opening()
    await run.settle()
    assert await is_closed(sock)
    assert run.ledger.not_attempted == 1


async def test_a_run_that_fails_while_sockets_open_closes_them(listener):
    with pytest.RaisesGroup(pytest.RaisesExc(ZeroDivisionError)):
        async with trio.open_nursery() as nursery:
            run = Opened(nursery, listener)
            await run.start()
            sock, _ = await run.accept()
            raise ZeroDivisionError
    with sock:
        assert await is_closed(sock)


async def test_open_sockets_without_tasks_are_closed_when_the_run_is_cancelled(listener):
    async with trio.open_nursery() as nursery:
        run = Opened(nursery, listener, 2)
        await run.start()
        callers = [await run.accept() for _ in range(2)]
        for sock, request in callers:
            sock.send(server_handshake.accept_response(request))
        await run.settle()
        nursery.cancel_scope.cancel()
    for sock, _ in callers:
        with sock:
            assert await is_closed(sock)
    assert (run.ledger.opened, run.ledger.open) == (2, 0)


async def test_a_connection_that_takes_time_has_a_task_and_the_same_deadline(nursery):
    """Of a listener whose queue is full."""
    with socket.socket() as full, socket.socket() as waiting:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting.setblocking(False)
        waiting.connect_ex(full.getsockname())
        run = Opened(nursery, full, connect_timeout_s=0.2)
        await run.start()
        await run.settle()
    assert (run.ledger.failed, run.ledger.tcp) == ({Failure.TIMEOUT: 1}, 0)


def test_tls_a_proxy_and_greetings_need_tasks(listener):
    for settings in ({"expect": ("any",)}, {"proxy": "http://127.0.0.1:1"}):
        run = Opened(None, listener, **settings)
        assert TasklessOpenings.poller_for(run.context) is None
    run = Opened(None, listener)
    assert TasklessOpenings.poller_for(run.context) is run.poller
    run.context.tls = object()
    assert TasklessOpenings.poller_for(run.context) is None
