import errno
from collections import Counter
from types import SimpleNamespace

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from trio_websocket import CloseReason, ConnectionClosed

import loadgen.engine.session
from echo_trio.wire.client_handshake import HandshakeFailed
from loadgen.engine.books import Books
from loadgen.engine.context import Observer, RunContext
from loadgen.engine.dialer import Dialer
from loadgen.engine.session import Session, now_us
from loadgen.results.ledger import Ending, Ledger
from loadgen.results.verify import Verdict
from loadgen.workload.plan import Plan
from loadgen.workload.sources import Sources


class FakeConnection:
    """An open connection, to which nothing can be sent any more if it is `broken`."""

    evicted = False
    closed, closed_first, clean, timed_out, failure = None, None, False, None, None
    close_received, close_reason, bytes_received = None, "", 0

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
    return Session(0, RunContext(Plan(1), Dialer([], Sources(())), None, Books(ledger), Observer()))


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


class Following(Observer):
    """Every reply leads to the next message."""

    def answered(self, session):
        return session.compose_next()


@pytest.fixture
def looping(ledger):
    plan = Plan(1, closed_loop=True)
    return Session(0, RunContext(plan, Dialer([], Sources(())), None, Books(ledger), Following()))


def test_a_socket_of_age_sends_nothing_more_in_a_closed_loop(looping):
    session = looping
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


def test_in_a_closed_loop_the_reply_is_followed_by_the_next_message(looping, ledger):
    session = looping
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


# -- What is booked, and since when --------------------------------------------------------------


def opened(plan):
    ledger = Ledger(1, opened=1)
    made = Session(0, RunContext(plan, Dialer([], Sources(())), None, Books(ledger), Observer()))
    made.connection = FakeConnection()
    return made, ledger


def test_latency_counts_from_when_a_message_was_due_and_service_from_when_it_was_sent():
    session, _ = opened(Plan(1))
    for late_s in (5, 3):
        session.send(now_us() - late_s * 1_000_000, None)
        session._receive(f"{session.connection.sent[-1]} 1")
    books = session._context.books
    for recorder in (books.intended, books.service, books.scheduling_lag):
        recorder.end_second()
    assert (books.intended.total.min, books.intended.total.max) >= (3_000_000, 5_000_000)
    assert books.scheduling_lag.total.min >= 3_000_000
    assert books.service.total.max < 1_000_000
    assert books.intended.total.count == books.service.total.count == 2


def test_a_wrong_reply_has_no_latency():
    session, ledger = opened(Plan(1))
    session.send(now_us(), None)
    session._receive(f"{session.connection.sent[-1]} 1000000")
    session._context.books.intended.end_second()
    assert (ledger.verdicts[Verdict.CORRUPT], ledger.answered) == (1, 1)
    assert session._context.books.intended.total.count == 0


def test_a_wrong_reply_is_plain_if_it_is_the_message_itself():
    session, ledger = opened(Plan(1))
    for reply, plain in (("{} 1000000", 0), ("{}", 1), ("{}!", 1), ("{}", 2)):
        session.send(now_us(), None)
        session._receive(reply.format(session.connection.sent[-1]))
        assert ledger.plain_echoes == plain
    assert ledger.verdicts[Verdict.CORRUPT] == 4


@pytest.mark.parametrize("has_unread", [False, True])
@pytest.mark.parametrize("is_expected", [False, True])
@pytest.mark.parametrize(("more_bytes", "is_much"), [(65_536, False),
                                                     (65_537, True)])  # fmt: skip
def test_who_is_cut_while_it_goes_on_sending_is_told_from_who_says_nothing(
    has_unread, is_expected, more_bytes, is_much
):
    session, ledger = opened(Plan(1))
    connection = session.connection
    connection.has_unread, connection.abort = has_unread, lambda: None
    connection.close_nowait = lambda: True
    connection.bytes_received = 50
    if is_expected:
        session.expect_end()
        session.close(None)
    connection.bytes_received = 50 + more_bytes if is_expected else 0
    session.cut()
    session._book_ending(connection)
    assert ledger.closed == {Ending.TIMEOUT: 1}
    assert ledger.still_sending == (is_expected and (has_unread or is_much))


def test_payload_is_counted_in_bytes():
    session, ledger = opened(Plan(1, message="é{seq}", verify="exact"))
    session.send(now_us(), None)
    message = session.connection.sent[-1]
    session._receive(message)
    assert ledger.sent_bytes == ledger.received_bytes == len(message.encode()) > len(message)
    session._receive("€")
    assert ledger.received_bytes == len(message.encode()) + 3


def test_all_that_waits_for_a_socket_that_does_not_open_is_missed():
    session, ledger = opened(Plan(1))
    session.connection = None
    for due_us in (7, 8, 9):
        session.send(due_us, None)
    session.miss_backlog()
    session.miss_backlog()
    assert ledger.missed == 3


@pytest.mark.parametrize(("strays", "unanswered"), [(3, 1), (1, 3), (2, 2), (2, 0)])
def test_strays_were_the_answers_to_as_many_messages_as_got_no_other(strays, unanswered):
    session, ledger = opened(Plan(1))
    for _ in range(max(unanswered, 1)):
        session.send(now_us(), None)
    for _ in range(strays):
        session._receive("WRONG")
    if not unanswered:
        session._receive(f"{session.connection.sent[0]} 1")
    session.connection.closed_first, session.connection.clean = "us", True
    session._book_ending(session.connection)
    wrong = min(strays, unanswered)
    assert ledger.verdicts[Verdict.CORRUPT] == wrong
    assert ledger.verdicts[Verdict.UNEXPECTED] == strays - wrong
    assert ledger.abandoned == unanswered - wrong


def test_a_reply_is_late_if_a_later_message_was_answered_at_any_time_before():
    session, ledger = opened(Plan(1))
    for _ in range(4):
        session.send(now_us(), None)
    for number in (2, 0, 1, 3):
        session._receive(f"{session.connection.sent[number]} 1")
    assert ledger.verdicts[Verdict.REORDERED] == 2
    assert ledger.verdicts[Verdict.ECHOED] == 2


# -- Opening: on a virtual clock, with handshakes that the test lets end --------------------------


class Handshakes:
    """Handshakes that take so long and end in this way; and what is told when they are settled."""

    def __init__(self, monkeypatch, took_s=0.0, error=None, **settings):
        self.context = RunContext(
            Plan(1, connect_timeout_s=5.0, **settings), Dialer([], Sources(())), None,
            Books(Ledger(1)), Observer(),
        )  # fmt: skip
        self.session = Session(0, self.context)
        self.limiter = trio.CapacityLimiter(1)
        self.settled, self.begun, self.asked = [], [], []
        self.connection = OpenConnection()

        async def open_with(context, asked, begun):
            assert self.limiter.borrowed_tokens == 1
            self.asked.append(asked)
            self.begun.append(begun)
            await trio.sleep(took_s)
            if error is not None:
                raise error
            return self.connection, 1234

        monkeypatch.setattr(loadgen.engine.session, "open_with", open_with)

    def on_settled(self):
        self.settled.append((round(trio.current_time(), 1), self.session.is_to_open))

    async def run(self, *, begun=None, has_place=True):
        if has_place:
            self.limiter.acquire_on_behalf_of_nowait(self.session)
        with trio.fail_after(1e6):
            await self.session.run(self.limiter, self.on_settled, begun, has_place=has_place)
        assert self.limiter.borrowed_tokens == 0
        assert not self.session.is_to_open
        assert len(self.settled) == 1

    @property
    def columns(self):
        ledger = self.context.ledger
        return {
            "opened": ledger.opened, "not attempted": ledger.not_attempted,
            **{str(reason): count for reason, count in ledger.failed.items()},
        }  # fmt: skip


class OpenConnection(FakeConnection):
    """A connection that is open for ten seconds, then has been closed by us."""

    frames = ()

    async def run(self, on_message):
        self.on_message = on_message
        for frame in self.frames:
            on_message(frame)
        await trio.sleep(10.0)
        self.closed_first, self.clean, self.close_received = "us", True, 1000

    def close_nowait(self):
        return True


NOTHING = {"opened": 0, "not attempted": 0}


@pytest.mark.parametrize("has_place", [True, False])
async def test_a_socket_that_opens_gives_its_place_back_at_once_and_is_served_to_its_end(
    monkeypatch, autojump_clock, nursery, has_place
):
    run = Handshakes(monkeypatch, took_s=2.0)
    session, began_s = run.session, trio.current_time()
    assert session.is_to_open
    session.send(0, nursery)  # waits for it
    if not has_place:
        run.limiter.acquire_on_behalf_of_nowait("another")

        @nursery.start_soon
        async def make_room():
            await trio.sleep(1.0)
            run.limiter.release_on_behalf_of("another")

    @nursery.start_soon
    async def look():
        await trio.sleep(5.0)
        assert (run.columns, run.limiter.borrowed_tokens) == (NOTHING | {"opened": 1}, 0)
        assert (session.connection, session.has_backlog) == (run.connection, True)
        assert run.context.ledger.open == 1

    await run.run(has_place=has_place)
    took_s = 2.0 if has_place else 3.0
    assert run.settled == [(round(began_s + took_s, 1), False)]
    assert (session.connection, run.context.ledger.closed) == (None, {Ending.CLEAN: 1})
    assert round(trio.current_time() - began_s, 1) == took_s + 10.0
    run.context.books.end_second()
    assert run.context.books.connect.total.state.counts == {1234: 1}
    assert (run.asked[0].resource, run.begun) == ("/", [None])


@pytest.mark.parametrize(
    ("took_s", "error", "column"),
    [
        (1.0, ConnectionRefusedError(errno.ECONNREFUSED, "no"), "refused"),
        (1.0, HandshakeFailed("no accept"), "protocol"),
        (99.0, None, "timeout"),
    ],
)
async def test_a_socket_that_does_not_open_is_in_its_column_and_misses_what_waited_for_it(
    monkeypatch, autojump_clock, nursery, took_s, error, column
):
    run = Handshakes(monkeypatch, took_s, error)
    run.session.send(0, nursery)
    began_s = trio.current_time()
    await run.run()
    assert run.columns == NOTHING | {column: 1}
    assert (run.context.ledger.missed, run.session.has_backlog) == (1, False)
    assert round(trio.current_time() - began_s, 1) == min(took_s, 5.0)
    run.session.send(0, nursery)
    assert run.context.ledger.missed == 2


@pytest.mark.parametrize("when", ["before", "meanwhile", "as it waits for its place"])
async def test_a_socket_that_is_given_up_is_not_attempted(
    monkeypatch, autojump_clock, nursery, when
):
    run = Handshakes(monkeypatch, took_s=4.0)
    has_place = when != "as it waits for its place"
    if when == "before":
        run.session.give_up_opening()
    else:
        if not has_place:
            run.limiter.acquire_on_behalf_of_nowait("another")

        @nursery.start_soon
        async def give_up():
            await trio.sleep(1.0)
            run.session.give_up_opening()
            if not has_place:
                run.limiter.release_on_behalf_of("another")

    await run.run(has_place=has_place)
    assert run.columns == NOTHING | {"not attempted": 1}
    assert len(run.asked) == (when == "meanwhile")
    run.session.give_up_opening()  # It is over: nothing happens.
    assert run.columns == NOTHING | {"not attempted": 1}


async def test_what_has_begun_goes_on_with_its_own_deadline_or_is_abandoned(
    monkeypatch, autojump_clock
):
    for given_up in (False, True):
        run, abandoned = Handshakes(monkeypatch, took_s=99.0), []
        begun = SimpleNamespace(
            deadline_s=trio.current_time() + 2.0, abandon=lambda poller, to=abandoned: to.append(1)
        )
        if given_up:
            run.session.set_out(None)
            run.session.give_up_opening()
        began_s = trio.current_time()
        await run.run(begun=begun)
        assert round(trio.current_time() - began_s, 1) == (0.0 if given_up else 2.0)
        assert run.columns == NOTHING | {"not attempted" if given_up else "timeout": 1}
        assert (abandoned, run.begun) == (([1], []) if given_up else ([], [begun]))


async def test_who_is_set_out_is_given_up_by_who_opens_it(session):
    cancelled = []
    opening = SimpleNamespace(cancel=lambda: cancelled.append(1))
    session.set_out(opening)
    session.give_up_opening()
    assert (cancelled, session.is_to_open) == ([1], True)


@pytest.mark.parametrize("ignore", [(), ("regex:^tick",)])
async def test_a_socket_counts_as_open_when_its_greeting_is_complete_and_then_takes_replies(
    monkeypatch, autojump_clock, nursery, ignore
):
    run = Handshakes(monkeypatch, expect=("regex:^hello",), ignore=ignore, verify="exact")
    run.connection.frames = ("what?", "hello")
    session, ledger = run.session, run.context.ledger

    @nursery.start_soon
    async def go_on():
        await trio.sleep(1.0)
        assert (ledger.open, session.connection) == (1, run.connection)
        session.send(0, nursery)
        for frame in (run.connection.sent[0], "tick"):
            run.connection.on_message(frame)

    await run.run()
    assert run.columns == NOTHING | {"opened": 1}
    assert {str(verdict): count for verdict, count in ledger.verdicts.items() if count} == {
        "expected": 1, "unexpected": 1 + (not ignore), "echoed": 1
    } | ({"ignored": 1} if ignore else {})  # fmt: skip
    echo = len(run.connection.sent[0])
    assert (ledger.received, ledger.received_bytes) == (4, len("what?") + len("hello") + echo + 4)


@pytest.mark.parametrize("given_up", [False, True])
async def test_a_socket_whose_greeting_does_not_come_has_not_opened(
    monkeypatch, autojump_clock, nursery, given_up
):
    run = Handshakes(monkeypatch, expect=("regex:^hello", "any"))
    run.connection.frames = ("hello",)
    session, began_s = run.session, trio.current_time()

    @nursery.start_soon
    async def look():
        await trio.sleep(1.0)
        assert (run.settled, run.limiter.borrowed_tokens) == ([], 1)
        ((deadline_s, _),) = run.context.greetings
        assert round(deadline_s - began_s, 1) == 5.0
        if given_up:
            session.give_up_opening()
            assert (len(run.settled), run.limiter.borrowed_tokens) == (1, 0)

    await run.run()
    assert run.columns == NOTHING | {"not attempted" if given_up else "greeting": 1}
    assert run.context.ledger.closed == {}
    if not given_up:
        (detail,) = run.context.ledger.details
        assert detail[1] == "1 of 2 before it closed with 1000"


# -- Served, attended, closed ---------------------------------------------------------------------


async def test_who_is_open_is_served_to_its_end_and_booked_once(session, ledger, autojump_clock):
    connection = session.connection = OpenConnection()
    session.expect_end()
    await session.serve()
    assert (session.connection, ledger.closed, ledger.early) == (None, {Ending.CLEAN: 1}, {})
    assert connection.on_message == session._receive


def test_a_task_is_made_for_who_is_open_alone(session):
    attended = []
    session._context.attend = attended.append
    session.attend()
    session.connection = SimpleNamespace(attend=lambda: attended.append("connection"))
    session.attend()
    assert attended == ["connection"]
    served = []
    session.serve_unattended(SimpleNamespace(serve_unattended=lambda *with_: served.append(with_)))
    ((receive, attend),) = served
    attend()
    assert (receive, attended) == (session._receive, ["connection", session])


@pytest.mark.parametrize("is_taken", [True, False])
async def test_a_close_frame_that_the_kernel_does_not_take_at_once_is_flushed(
    session, nursery, is_taken
):
    session.close(nursery)  # It is not open: nothing happens.
    session.cut()
    assert len(nursery.child_tasks) == 0
    session.connection = FakeConnection()
    session.connection.close_nowait = lambda: is_taken
    session.close(nursery)
    assert len(nursery.child_tasks) == (0 if is_taken else 1)
    session.connection.flushed.set()


async def test_a_socket_that_is_free_again_takes_another_task_for_what_is_not_taken_next(session):
    connection = session.connection = FakeConnection(taken=False)
    async with trio.open_nursery() as nursery:
        for _ in range(2):
            session.send(0, nursery)
        connection.flushed.set()
        await trio.testing.wait_all_tasks_blocked()
        assert len(nursery.child_tasks) == 0
        connection.flushed = trio.Event()
        session.send(0, nursery)
        assert len(nursery.child_tasks) == 1
        connection.flushed.set()


def test_latencies_that_other_rules_book_are_since_due_and_since_sent(session):
    session._book_latencies((1000, 1200), 1500)
    books = session._context.books
    books.end_second()
    assert (books.intended.total.sum_us, books.service.total.sum_us) == (500, 300)


def test_a_message_composed_in_answer_is_due_as_it_is_sent(looping):
    session = looping
    session.connection = FakeConnection()
    before_us = now_us()
    assert session.compose_next() is not None
    (sent,) = session._pending
    assert before_us <= sent.due_us <= sent.sent_us <= now_us()
    session.prepare_to_close()


@pytest.mark.parametrize(("size", "shown"), [(200, "x" * 200), (201, "x" * 200 + "…")])
def test_of_what_a_peer_says_in_the_end_two_hundred_characters_are_kept(
    session, ledger, size, shown
):
    connection = FakeConnection()
    connection.closed_first, connection.close_received = "peer", 4000
    connection.close_reason = "x" * size
    session._book_ending(connection)
    assert ledger.close_reasons == {(4000, shown): 1}


def test_the_observer_is_told_that_the_last_has_ended_and_not_before():
    told = []

    class Noting(Observer):
        def none_open(self):
            told.append(1)

    ledger = Ledger(2, opened=2)
    context = RunContext(Plan(2), Dialer([], Sources(())), None, Books(ledger), Noting())
    for conn in range(2):
        assert told == []
        Session(conn, context)._book_ending(FakeConnection())
    assert told == [1]


# -- Properties ------------------------------------------------------------------------------------
# Whatever a server replies, every message and every reply ends in one column, the right one.
#
# A model of a faulty server does to each reply what the test tells it to, and keeps its own counts;
# real sessions of the generator take the replies, and their ledger has to agree to the unit.


SOCKETS = 3


class EndedConnection:
    """Takes what is sent, and has ended by closing handshake."""

    evicted = False
    closed = None
    closed_first, clean, timed_out, failure, close_received = "us", True, None, None, 1000
    close_reason, evicted, bytes_received = "", False, 0

    def __init__(self):
        self.sent = []

    def send_nowait(self, message):
        self.sent.append(message)
        return True


class Crowd:
    """A few sessions that never had a network."""

    def __init__(self, **settings):
        plan = Plan(SOCKETS, **settings)
        self.ledger = Ledger(SOCKETS)
        self.books = Books(self.ledger)
        self.context = RunContext(plan, Dialer([], Sources(())), None, self.books, Observer())
        self.sessions = [Session(conn, self.context) for conn in range(SOCKETS)]
        for session in self.sessions:
            session.connection = EndedConnection()
            self.ledger.count_opened()

    def send(self, conn):
        session = self.sessions[conn]
        session.send(0, None)
        return session.connection.sent[-1]

    def receive(self, conn, reply):
        assert self.sessions[conn]._receive(reply) is None

    def end(self, *, interrupted=False):
        for session in self.sessions:
            session.expect_end()
            session._book_ending(session.connection)
        self.ledger.settle_unanswered(interrupted=interrupted)
        self.ledger.check()
        assert self.ledger.closed == {Ending.CLEAN: SOCKETS}


class FaultyServer(RuleBasedStateMachine):
    """Knows of each message whether it was answered, and by what, without looking at any."""

    def __init__(self):
        super().__init__()
        self.crowd = Crowd()
        self.unanswered = {conn: [] for conn in range(SOCKETS)}
        self.answered = {conn: [] for conn in range(SOCKETS)}
        self.newest = dict.fromkeys(range(SOCKETS), -1)
        self.numbers = Counter()
        self.counts = Counter()

    conns = st.integers(0, SOCKETS - 1)
    suffixes = st.integers(0, 999_999)

    @rule(conn=conns)
    def send(self, conn):
        self.unanswered[conn].append((self.numbers[conn], self.crowd.send(conn)))
        self.numbers[conn] += 1
        self.counts["sent"] += 1

    def take(self, conn, data):
        """The message to answer next: often the oldest."""
        waiting = self.unanswered[conn]
        index = data.draw(st.just(0) | st.integers(0, len(waiting) - 1), label="which")
        return waiting.pop(index)

    def settle(self, conn, number, message):
        self.answered[conn].append(message)
        self.newest[conn] = max(self.newest[conn], number)

    @precondition(lambda self: any(self.unanswered.values()))
    @rule(conn=conns, suffix=suffixes, data=st.data())
    def echo(self, conn, suffix, data):
        if not self.unanswered[conn]:
            return
        number, message = self.take(conn, data)
        late = number < self.newest[conn]
        self.settle(conn, number, message)
        self.counts[Verdict.REORDERED if late else Verdict.ECHOED] += 1
        self.crowd.receive(conn, f"{message} {suffix}")

    @precondition(lambda self: any(self.answered.values()))
    @rule(conn=conns, suffix=suffixes, data=st.data())
    def duplicate(self, conn, suffix, data):
        if not self.answered[conn]:
            return
        message = data.draw(st.sampled_from(self.answered[conn]), label="again")
        self.counts[Verdict.DUPLICATE] += 1
        self.crowd.receive(conn, f"{message} {suffix}")

    @precondition(lambda self: any(self.unanswered.values()))
    @rule(conn=conns, data=st.data())
    def corrupt(self, conn, data):
        if not self.unanswered[conn]:
            return
        number, message = self.take(conn, data)
        how = data.draw(
            st.sampled_from(
                [
                    lambda m: m,  # no suffix
                    lambda m: f"{m} 1000000",
                    lambda m: f"{m} 07",
                    lambda m: f"{m}  7",
                    lambda m: f"{m} 7 ",
                    lambda m: f"{m}! 7",
                    lambda m: f"{m[:-1]} 7",
                    lambda m: f"{m[:-1]}! 7",
                    lambda m: f"{m} 7".encode(),  # the other opcode
                ]
            ),
            label="how",
        )
        self.settle(conn, number, message)
        self.counts[Verdict.CORRUPT] += 1
        self.crowd.receive(conn, how(message))

    @precondition(lambda self: any(self.unanswered.values()))
    @rule(conn=conns, suffix=suffixes, data=st.data())
    def misdeliver(self, conn, suffix, data):
        if not self.unanswered[conn]:
            return
        _, message = self.take(conn, data)
        other = data.draw(st.integers(0, SOCKETS - 1).filter(lambda c: c != conn), label="to")
        self.counts[Verdict.UNEXPECTED] += 1
        self.counts["lost"] += 1
        self.crowd.receive(other, f"{message} {suffix}")

    @precondition(lambda self: any(self.unanswered.values()))
    @rule(conn=conns, data=st.data())
    def swallow(self, conn, data):
        if not self.unanswered[conn]:
            return
        self.take(conn, data)
        self.counts["lost"] += 1

    @precondition(lambda self: self.crowd.ledger.awaited == 0)
    @rule(conn=conns, greeting=st.sampled_from(["Welcome!", b"\x00\xff", "", "hello 12"]))
    def greet(self, conn, greeting):
        self.counts[Verdict.UNEXPECTED] += 1
        self.crowd.receive(conn, greeting)

    @invariant()
    def every_reply_is_in_the_column_where_the_server_put_it(self):
        ledger = self.crowd.ledger
        assert ledger.sent == self.counts["sent"]
        for verdict in Verdict:
            assert ledger.verdicts[verdict] == self.counts[verdict], verdict

    def teardown(self):
        waiting = sum(map(len, self.unanswered.values()))
        self.crowd.end()
        self.every_reply_is_in_the_column_where_the_server_put_it()
        assert self.crowd.ledger.lost == self.counts["lost"] + waiting


TestAFaultyServerAndTheLedgerCountTheSame = FaultyServer.TestCase
TestAFaultyServerAndTheLedgerCountTheSame.settings = settings(
    max_examples=100, stateful_step_count=40, deadline=None
)

texts = st.one_of(
    st.text(max_size=40),
    st.binary(max_size=40),
    st.builds(
        "{}-{}{} {}".format,
        st.integers(0, SOCKETS),
        st.integers(0, 6),
        st.sampled_from(["", "." * 29, "." * 28]),
        st.integers(0, 1_000_001),
    ),
    st.builds("{}-{}{}".format, st.integers(0, SOCKETS), st.integers(0, 6), st.just("." * 29)),
)


@given(
    st.lists(st.tuples(st.integers(0, SOCKETS - 1), st.none() | texts), max_size=60),
    st.sampled_from(["suffix", "exact"]),
    st.sampled_from(["{conn}-{seq}", "{seq}", "same", "{random}", "{now}-{seq}"]),
    st.booleans(),
)
@settings(deadline=None)
def test_any_sequence_of_messages_and_replies_leaves_books_that_add_up(
    steps, verify, message, interrupted
):
    crowd = Crowd(verify=verify, message=message)
    for conn, reply in steps:
        if reply is None:
            crowd.send(conn)
        else:
            crowd.receive(conn, reply)
    crowd.end(interrupted=interrupted)
    ledger = crowd.ledger
    assert ledger.received == sum(reply is not None for _, reply in steps)
    assert ledger.sent == len(steps) - ledger.received
    assert (ledger.lost if interrupted else ledger.in_flight) == 0
    assert min(ledger.verdicts.values(), default=0) >= 0
    assert ledger.awaited == 0


@given(st.lists(st.sampled_from(["right", "garbage", "nothing"]), max_size=30))
@settings(deadline=None)
def test_replies_that_resemble_nothing_answer_the_messages_that_get_no_other(fates):
    crowd = Crowd()
    messages = [crowd.send(0) for _ in fates]
    replies = [
        f"{message} 1" if fate == "right" else "WRONG"
        for message, fate in zip(messages, fates, strict=True)
        if fate != "nothing"
    ]
    for reply in replies:
        crowd.receive(0, reply)
    crowd.end()
    counts = Counter(fates)
    unanswered = counts["garbage"] + counts["nothing"]
    # What comes when every message has its answer answers none.
    late = 0
    waiting = len(fates)
    for reply in replies:
        late += reply == "WRONG" and waiting == 0
        waiting -= reply != "WRONG"
    wrong = min(counts["garbage"] - late, unanswered)
    assert crowd.ledger.verdicts[Verdict.ECHOED] == counts["right"]
    assert crowd.ledger.verdicts[Verdict.CORRUPT] == wrong
    assert crowd.ledger.verdicts[Verdict.UNEXPECTED] == counts["garbage"] - wrong
    assert crowd.ledger.lost == unanswered - wrong
