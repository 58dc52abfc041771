import pytest
import trio
from trio_websocket import CloseReason, ConnectionClosed

from loadgen.engine.books import Books
from loadgen.engine.dialer import Dialer
from loadgen.engine.session import RunContext, Session
from loadgen.results.ledger import Ending, Ledger
from loadgen.workload.plan import Plan
from loadgen.workload.sources import Sources


class FakeConnection:
    """An open connection, to which nothing can be sent any more if it is `broken`."""

    closed, closed_first, clean, timed_out, failure = None, None, False, None, None
    close_received = None

    def __init__(self, *, broken=False, taken=True):
        self.broken, self.taken, self.sent, self.flushed = broken, taken, [], trio.Event()

    def send_nowait(self, message):
        if self.broken:
            raise ConnectionClosed(CloseReason(1006, None))
        self.sent.append(message)
        return self.taken

    async def flush(self):
        await self.flushed.wait()


@pytest.fixture
def ledger():
    return Ledger(1, opened=1)


@pytest.fixture
def session(ledger):
    return Session(0, RunContext(Plan(1), Dialer([], Sources(())), None, Books(ledger)))


def test_a_message_into_a_socket_that_has_just_broken_is_missed_and_not_sent(session, ledger):
    session.connection = FakeConnection(broken=True)
    session.send(0, None)
    assert (ledger.sent, session.sent, ledger.missed) == (0, 0, 1)


def test_a_message_for_a_socket_that_has_ended_is_missed(session, ledger):
    session._opening = None
    session.send(0, None)
    assert (ledger.sent, ledger.missed) == (0, 1)


def test_a_message_for_a_socket_that_is_yet_to_open_waits_for_it(session, ledger):
    session.send(7, None)
    session.send(8, None)
    assert (ledger.sent, ledger.missed, session.has_backlog) == (0, 0, True)
    session.connection = FakeConnection()
    session.send_backlog(None)
    assert (ledger.sent, session.has_backlog) == (2, False)
    assert [waiting.due_us for waiting in session._pending] == [7, 8]


def test_what_waits_for_a_socket_that_does_not_open_is_missed(session, ledger):
    session.send(7, None)
    session.miss_backlog()
    assert (ledger.missed, session.has_backlog) == (1, False)


def test_a_socket_of_age_sends_nothing_more_in_a_closed_loop(session):
    session._context.on_answered = Session.compose_next
    session.connection = FakeConnection()
    session.send(0, None)
    session.successor = session
    assert session._receive(f"{session.connection.sent[0]} 1") is None


async def test_one_task_waits_for_the_kernel_however_many_messages_do(session):
    session.connection = FakeConnection(taken=False)
    async with trio.open_nursery() as nursery:
        session.send(0, nursery)
        session.send(0, nursery)
        assert len(nursery.child_tasks) == 1
        session.connection.flushed.set()
    assert len(session.connection.sent) == 2


def test_in_a_closed_loop_the_reply_is_followed_by_the_next_message(session, ledger):
    session._context.on_answered = Session.compose_next
    session.connection = FakeConnection()
    session.send(0, None)
    following = session._receive(f"{session.connection.sent[0]} 1")
    assert following.startswith("0-1")
    assert ledger.sent == 2
    session._context.closing = True
    assert session._receive(f"{following} 1") is None
    assert ledger.sent == 2


@pytest.mark.parametrize(
    ("facts", "ending", "code"),
    [
        pytest.param({"clean": True, "closed_first": "us", "close_received": 1000},
                     Ending.CLEAN, 1000, id="closed-by-us"),
        pytest.param({"clean": True, "closed_first": "peer", "close_received": 1011},
                     Ending.BY_PEER, 1011, id="closed-by-the-peer"),
        pytest.param({"clean": True, "closed_first": "us", "close_received": 1000,
                      "timed_out": "close"}, Ending.CLEAN, 1000, id="only-tcp-did-not-end"),
        pytest.param({"closed_first": "us", "timed_out": "close"}, Ending.TIMEOUT, 1006,
                     id="no-answer"),
        pytest.param({"timed_out": "write"}, Ending.TIMEOUT, 1006, id="not-read"),
        pytest.param({}, Ending.ABNORMAL, 1006, id="cut"),
        pytest.param({"failure": 1002, "close_code": 1002, "timed_out": "close"},
                     Ending.ABNORMAL, 1002, id="protocol-broken"),
    ],
)  # fmt: skip
def test_an_ending_is_booked_by_who_ended_it_and_how(session, ledger, facts, ending, code):
    connection = FakeConnection()
    for name, value in facts.items():
        setattr(connection, name, value)
    session._book_ending(connection)
    assert ledger.closed == {ending: 1}
    assert ledger.close_codes == {code: 1}
    assert ledger.early == {(ending, code): 1}


def test_an_end_is_not_early_once_it_is_expected(session, ledger):
    session.connection = FakeConnection()
    session.expect_end()
    session._book_ending(session.connection)
    assert not ledger.early


def test_an_end_that_had_begun_before_it_was_expected_is_early(session, ledger):
    session.connection = FakeConnection()
    session.connection.closed = CloseReason(1001, None)
    session.expect_end()
    session._book_ending(session.connection)
    assert ledger.early.total() == 1
