"""The columns of sessions that match by key or turn are those of a slow and obvious reference.

The reference looks through everything that was sent for each frame, and parses with the standard
library; it knows the contract's sentences and nothing of how sessions find a message.
"""

import json
import re
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadgen.engine.books import Books
from loadgen.engine.context import Observer, RunContext, now_us
from loadgen.engine.dialer import Dialer
from loadgen.engine.exchanges import make_session
from loadgen.results.ledger import Ending, Ledger
from loadgen.workload.plan import Plan
from loadgen.workload.sources import Sources

SOCKETS = 3
TICK = '{"type": "tick"}'
TEMPLATES = [
    '{"id": "{conn}-{seq}"}', '{"id": {seq}, "conn": {conn}}', '{"id": 1, "n": {seq}}',
    '{"id": "{random}"}', '{"id": true, "n": {seq}}', '{"id": "{seq}/{seq}"}',
]  # fmt: skip
STRAYS = [
    "", "hello", "{}", "[]", '{"id": null}', '{"id": [1]}', '{"id": "0-0"}', '{"id": "1"}',
    '{"id": 1}', '{"id": 1.0}', '{"id": true}', '{"id": 99}', '{"id": "0-00"}', '{"id": "2-1"}',
    '{"id": "0/1"}', b"\xff", b'{"id": 0}',
]  # fmt: skip


class Reference:
    """What the contract says, frame by frame; `None` is a key that there isn't."""

    def __init__(self, verify):
        self.verify = verify
        self.open = {conn: [] for conn in range(SOCKETS)}
        self.answered = {conn: [] for conn in range(SOCKETS)}
        self.columns = Counter()

    def key(self, frame):
        text = frame.decode("utf-8", "surrogateescape") if isinstance(frame, bytes) else frame
        if self.verify.startswith("regex:"):
            found = re.search(self.verify.removeprefix("regex:"), text)
            return None if found is None else ("text", found.group(1))
        try:
            document = json.loads(text)
        except ValueError:
            return None
        value = document.get("id") if isinstance(document, dict) else None
        if value is None or isinstance(value, list | dict):
            return None
        kinds = {bool: "truth", str: "text", int: "number", float: "number"}
        return kinds[type(value)], value

    def send(self, conn, message):
        self.columns["sent"] += 1
        if self.verify == "off":
            self.columns["one_way"] += 1
        else:
            self.open[conn].append(self.key(message) if self.verify != "turn" else None)

    def receive(self, conn, frame):
        self.columns["received"] += 1
        self.columns[self.claim(conn, frame)] += 1

    def claim(self, conn, frame):
        if frame == TICK or self.verify == "off":
            return "ignored"
        waiting = self.open[conn]
        if self.verify == "turn":
            if not waiting:
                return "unexpected"
            waiting.pop(0)
            return "echoed"
        key = self.key(frame)
        for at, other in enumerate(waiting):
            if key is not None and other == key:
                del waiting[at]
                self.answered[conn].append(key)
                return "corrupt" if isinstance(frame, bytes) else "echoed"
        return "duplicate" if key in self.answered[conn] else "unexpected"

    def end(self, *, interrupted):
        left = sum(map(len, self.open.values()))
        self.columns["in_flight" if interrupted else "lost"] += left


class Connection:
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


conns = st.integers(0, SOCKETS - 1)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("send"), conns),
        st.tuples(st.just("send"), conns),
        # Of any message so far, to any socket, as often as it likes, by either opcode.
        st.tuples(st.just("reply"), conns, st.integers(0, 30), st.booleans()),
        st.tuples(st.just("reply"), conns, st.integers(0, 30), st.just(False)),
        st.tuples(st.just("tick"), conns),
        st.tuples(st.just("stray"), conns, st.sampled_from(STRAYS)),
        st.tuples(st.just("close"), conns),
    ),
    max_size=80,
)


@settings(max_examples=150, deadline=None)
@given(
    steps,
    st.sampled_from(["json:id", r'regex:"id": "?([^",}]+)', "turn", "off"]),
    st.sampled_from(TEMPLATES),
    st.booleans(),
)
def test_for_any_interleaving_the_columns_are_those_of_the_reference(
    steps, verify, message, interrupted
):
    plan = Plan(SOCKETS, verify=verify, message=message, ignore=("json:type=tick",))
    ledger, reference = Ledger(SOCKETS), Reference(verify)
    books = Books(ledger)
    context = RunContext(plan, Dialer([], Sources(())), None, books, Observer())
    sessions = [make_session(conn, context) for conn in range(SOCKETS)]
    for session in sessions:
        session.connection = Connection()
        ledger.count_opened()
    everything = []
    for what, conn, *more in steps:
        session = sessions[conn]
        if session.connection is None:
            continue
        match what:
            case "send":
                session.send(0, None)
                everything.append(session.connection.sent[-1])
                reference.send(conn, everything[-1])
                continue
            case "close":
                session.expect_end()
                session._book_ending(session.connection)
                session.connection = None
                continue
            case "tick":
                frame = TICK
            case "stray":
                (frame,) = more
            case "reply":
                number, is_binary = more
                if number >= len(everything):
                    continue
                frame = everything[number].encode() if is_binary else everything[number]
        assert session._receiver()(frame) is None
        reference.receive(conn, frame)
    waiting = sum(map(len, reference.open.values()))
    reference.end(interrupted=interrupted)
    for session in sessions:
        if session.connection is not None:
            session.expect_end()
            session._book_ending(session.connection)
    assert ledger.awaited == 0
    assert ledger.abandoned == waiting
    ledger.settle_unanswered(interrupted=interrupted)
    ledger.check()
    columns = {name: getattr(ledger, name) for name in ("sent", "one_way", "received", "lost")}
    columns |= {"in_flight": ledger.in_flight}
    columns |= {str(verdict): count for verdict, count in ledger.verdicts.items()}
    assert Counter(columns) == reference.columns
    assert ledger.closed == {Ending.CLEAN: SOCKETS}
    books.end_second()
    assert books.intended.total.count == books.service.total.count == reference.columns["echoed"]


@pytest.mark.parametrize("verify", ["json:id", "turn"])
def test_of_messages_that_a_reply_fits_the_oldest_is_answered(verify):
    plan = Plan(1, verify=verify, message='{"id": 1, "n": {seq}}')
    books = Books(Ledger(1))
    session = make_session(0, RunContext(plan, Dialer([], Sources(())), None, books, Observer()))
    session.connection = Connection()
    ages_s = [300, 200, 100]
    for age_s in ages_s:
        session.send(now_us() - age_s * 1_000_000, None)
    latencies_s = []
    for number in range(len(ages_s)):
        session._receive(session.connection.sent[0])
        books.end_second()
        latencies_s.append(books.intended.total.sum_us / 1e6 - sum(latencies_s))
        assert session._count_pending() == len(ages_s) - number - 1
    # Each is 100 s from the next, so that nothing that holds this machine up makes them equal.
    assert latencies_s == [pytest.approx(age_s, abs=40) for age_s in ages_s]


@given(st.lists(st.sampled_from(["send", "frame"]), max_size=12))
def test_where_nothing_is_owed_a_socket_awaits_one_frame_however_much_it_has_sent(steps):
    plan = Plan(1, verify="off", closed_loop=True)
    context = RunContext(plan, Dialer([], Sources(())), None, Books(Ledger(1)), Observer())
    turns = []
    context.answered = turns.append
    session = make_session(0, context)
    session.connection = Connection()
    awaits, taken = False, 0
    for step in steps:
        if step == "send":
            session.send(0, None)
            awaits = True
        else:
            session._receive("anything")
            taken += awaits
            awaits = False
        assert (context.turns_open, len(turns)) == (awaits, taken)
    session._forget_pending()
    assert context.turns_open == 0


@pytest.mark.parametrize("verify", ["json:id", "turn"])
def test_finding_a_message_takes_as_long_however_many_are_open(verify):
    """Counted in comparisons of keys, not in seconds."""

    class Key(str):
        __slots__ = ()
        compared = 0

        def __eq__(self, other):
            Key.compared += 1
            return str.__eq__(self, other)

        __hash__ = str.__hash__

    plan = Plan(1, verify=verify, message='{"id": "{seq}"}')
    context = RunContext(plan, Dialer([], Sources(())), None, Books(Ledger(1)), Observer())
    if context.keys is not None:
        find = context.keys.find_own
        context.keys.find_own = lambda frame: Key(find(frame))
        context.keys.find_theirs = context.keys.find_own
    session = make_session(0, context)
    session.connection = Connection()
    for _ in range(2000):
        session.send(0, None)
    Key.compared = 0
    for frame in session.connection.sent[:1000]:
        session._receive(frame)
    # A dictionary compares once for what it finds; a few more where hashes collide.
    assert Key.compared < 1500
    assert session._count_pending() == 1000


def test_a_second_answer_is_a_duplicate_whatever_kind_of_key_it_has():
    for message in TEMPLATES:
        plan = Plan(1, verify="json:id", message=message)
        ledger = Ledger(1, opened=1)
        session = make_session(
            0, RunContext(plan, Dialer([], Sources(())), None, Books(ledger), Observer())
        )
        session.connection = Connection()
        session.send(0, None)
        for frame in (session.connection.sent[0], session.connection.sent[0], '{"id": "other"}'):
            session._receive(frame)
        expected = {"echoed": 1, "duplicate": 1, "unexpected": 1}
        assert {str(kind): n for kind, n in ledger.verdicts.items() if n} == expected, message


@pytest.mark.parametrize(("message", "remembers"), [('{"id": "{seq}"}', 0), ('{"id": true}', 1)])
def test_a_corrupt_reply_is_no_latency_and_keys_that_tell_their_number_are_not_remembered(
    message, remembers
):
    plan = Plan(1, verify="json:id", message=message)
    books = Books(Ledger(1))
    session = make_session(0, RunContext(plan, Dialer([], Sources(())), None, books, Observer()))
    session.connection = Connection()
    for number, is_binary in enumerate((True, False)):
        session.send(now_us(), None)
        sent = session.connection.sent[number]
        session._receive(sent.encode() if is_binary else sent)
    books.end_second()
    assert books.ledger.verdicts == {"corrupt": 1, "echoed": 1}
    assert (books.intended.total.count, books.service.total.count) == (1, 1)
    assert len(session._answered) == remembers


@pytest.mark.parametrize("verify", ["suffix", "exact", "json:id", "regex:([0-9]+)", "turn", "off"])
@pytest.mark.parametrize("closed_loop", [False, True])
def test_whatever_is_owed_each_message_is_counted_with_its_bytes_and_how_late_it_was(
    verify, closed_loop
):
    plan = Plan(1, verify=verify, message='{"id": {seq}}', closed_loop=closed_loop)
    books = Books(Ledger(1))
    session = make_session(0, RunContext(plan, Dialer([], Sources(())), None, books, Observer()))
    session.connection = Connection()
    late_us = (5_000_000, 70_000_000, 0)
    for late in late_us:
        session.send(now_us() - late, None)
    ledger = books.ledger
    assert (session.sent, ledger.sent, ledger.sent_bytes, ledger.missed) == (3, 3, 27, 0)
    assert ledger.one_way == (3 if verify == "off" else 0)
    assert session._context.turns_open == (verify == "off" and closed_loop)
    assert ledger.awaited == (0 if verify == "off" else 3)
    lag = books.scheduling_lag.end_second()
    assert lag.count == 3
    assert sum(late_us) <= lag.sum_us < sum(late_us) + 1_000_000
