"""What may happen in rooms, and what a slow and obvious reference says that it comes to."""

from collections import Counter

from hypothesis import strategies as st

from loadgen.results.fan_out import Copied, Joined, Left, Published
from loadgen.results.verify import Verdict

ROOMS = 2
LAST_CONN = 7


class Reference:
    """Goes through all that has happened, in this order, for each message and each socket."""

    def __init__(self, events):
        self.events = events

    def members(self, message):
        """List who was in a message's room when it was published."""
        inside = set()
        for event in self.events[: self.events.index(message)]:
            if event.room == message.room:
                if isinstance(event, Joined):
                    inside.add(event.conn)
                elif isinstance(event, Left):
                    inside.discard(event.conn)
        return inside

    def columns(self, *, interrupted):
        counts = Counter()
        joined = {
            event.conn: place
            for place, event in enumerate(self.events)
            if isinstance(event, Joined)
        }
        left = {event.conn for event in self.events if isinstance(event, Left)}
        messages = {(e.conn, e.seq): e for e in self.events if isinstance(e, Published)}
        copies = Counter((e.conn, e.seq, e.receiver) for e in self.events if isinstance(e, Copied))
        for message in messages.values():
            for receiver in self.members(message):
                counts["owed"] += 1
                if copies[message.conn, message.seq, receiver]:
                    counts["delivered"] += 1
                elif receiver in left:
                    counts["unsettled"] += 1
                else:
                    counts["in_flight" if interrupted else "missing"] += 1
        for (conn, seq, receiver), times in copies.items():
            if (message := messages.get((conn, seq))) is None:
                counts["unexpected"] += times
                continue
            if receiver in self.members(message):
                counts["extra"] += times - 1
            elif receiver % ROOMS == message.room and joined[receiver] > self.events.index(message):
                counts["owed"] += 1
                counts["unsettled"] += 1
                counts["extra"] += times - 1
            else:
                counts["extra"] += times
        return +counts

    def times(self):
        """List how long copies took that were owed: the first and the last of a message, each."""
        came, times = {}, {"first": [], "last": [], "each": []}
        for event in self.events:
            if isinstance(event, Copied):
                came.setdefault((event.conn, event.seq, event.receiver), event.at_us)
        for event in self.events:
            if not isinstance(event, Published):
                continue
            owed = [(event.conn, event.seq, to) for to in self.members(event)]
            took = sorted(came[key] - event.at_us for key in owed if key in came)
            times["first"] += took[:1]
            times["each"] += took
            times["last"] += took[-1:] if len(took) == len(owed) else []
        return {name: Counter(took) for name, took in times.items()}


@st.composite
def histories(draw, steps_us=(1, 10)):
    """What may happen: sockets join once and leave once; copies come to whoever is there.

    :param steps_us: the times from one to the next. At one moment what comes first in the list has
        happened first, which only one process can tell.
    """
    events, inside, gone, sent = [], set(), set(), []
    at_us = 0
    for _ in range(draw(st.integers(0, 60))):
        at_us += draw(st.sampled_from(steps_us))
        what = draw(st.sampled_from(["join", "leave", "publish", "publish", *["copy"] * 6]))
        if what == "join":
            conn = draw(st.integers(0, LAST_CONN))
            if conn not in inside | gone:
                inside.add(conn)
                events.append(Joined(at_us, conn % ROOMS, conn))
        elif not inside:
            continue
        elif what == "leave":
            conn = draw(st.sampled_from(sorted(inside)))
            inside.discard(conn)
            gone.add(conn)
            events.append(Left(at_us, conn % ROOMS, conn))
        elif what == "publish":
            conn = draw(st.sampled_from(sorted(inside)))
            seq = sum(sender == conn for sender, _ in sent)
            sent.append((conn, seq))
            events.append(Published(at_us, conn % ROOMS, conn, seq))
        else:
            receiver = draw(st.sampled_from(sorted(inside)))
            conn, seq = draw(st.sampled_from([*sent, (0, 99)]))
            events.append(Copied(at_us, receiver % ROOMS, receiver, conn, seq))
    return events


def columns(ledger):
    return +Counter(
        owed=ledger.owed, delivered=ledger.delivered, missing=ledger.missing,
        unsettled=ledger.unsettled, in_flight=ledger.copies_in_flight, extra=ledger.extra,
        unexpected=ledger.verdicts[Verdict.UNEXPECTED],
    )  # fmt: skip
