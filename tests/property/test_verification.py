"""Whatever a server replies, every message and every reply ends in one column, the right one.

A model of a faulty server does to each reply what the test tells it to, and keeps its own counts;
real sessions of the generator take the replies, and their ledger has to agree to the unit.
"""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from loadgen.engine.books import Books
from loadgen.engine.dialer import Dialer
from loadgen.engine.session import RunContext, Session
from loadgen.results.ledger import Ending, Ledger
from loadgen.results.verify import Verdict
from loadgen.workload.plan import Plan
from loadgen.workload.sources import Sources

SOCKETS = 3


class FakeConnection:
    """Takes what is sent, and has ended by closing handshake."""

    closed = None
    closed_first, clean, timed_out, failure, close_received = "us", True, None, None, 1000

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
        self.context = RunContext(plan, Dialer([], Sources(())), None, self.books)
        self.sessions = [Session(conn, self.context) for conn in range(SOCKETS)]
        for session in self.sessions:
            session.connection = FakeConnection()
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
    st.sampled_from(["suffix", "exact", "off"]),
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
