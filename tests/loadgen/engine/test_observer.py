"""React to sockets that open, are answered and end: on a virtual clock, with sessions that note."""

import pytest
import trio

from loadgen.engine.observer import CrowdObserver
from loadgen.workload.plan import Plan


class Noting:
    """A session that notes what is asked of it."""

    def __init__(self, conn=0, sent=0):
        self.conn, self.sent, self.asked = conn, sent, []

    def send_backlog(self, nursery):
        self.asked.append("backlog")

    def send(self, due_us, nursery):
        self.asked.append("send")

    def compose_next(self):
        self.asked.append("next")
        return "next"


def test_a_reply_leads_to_the_next_message_only_while_the_loop_runs():
    observer, session = CrowdObserver(Plan(1, closed_loop=True, messages=3), None), Noting(sent=2)
    assert observer.answered(session) is None
    with observer.looping():
        assert observer.answered(session) == "next"
        session.sent = 3
        assert observer.answered(session) is None
    session.sent = 2
    assert observer.answered(session) is None
    assert session.asked == ["next"]


async def test_who_thinks_is_due_when_its_pause_is_over_the_first_first(autojump_clock):
    observer = CrowdObserver(Plan(2, closed_loop=True, think_s=2.0), None)
    with observer.looping():
        began = trio.current_time()
        for conn in (1, 0):
            assert observer.answered(Noting(conn)) is None
            await trio.sleep(0.5)
    assert [(round(due - began, 1), conn) for due, conn, _ in observer.thinking] == [
        (2.0, 1), (2.5, 0),
    ]  # fmt: skip


@pytest.mark.parametrize("lifetime_s", [None, 5.0])
async def test_an_opened_socket_sends_what_waited_and_is_of_age_only_with_churn(
    lifetime_s, autojump_clock
):
    observer, session = CrowdObserver(Plan(1, lifetime_s=lifetime_s), None), Noting()
    await trio.sleep(1.0)
    observer.opened(session)
    assert session.asked == ["backlog"]
    assert [at for at, _ in observer.ages] == ([] if lifetime_s is None else [trio.current_time()])
    with observer.looping():
        observer.opened(session)
    assert session.asked == ["backlog", "backlog", "send"]


async def test_amid_a_pause_nobody_sends_the_next_and_who_opens_waits_for_its_end_as_well(
    autojump_clock,
):
    observer = CrowdObserver(Plan(2, closed_loop=True), None)
    observer.steering.begin()
    opened, answered, early = Noting(1), Noting(2), Noting(3)
    with observer.looping():
        for factor, later in ((0.0, [opened, answered]), (2.0, [])):
            observer.steering.turn(0.0, factor)
            observer.opened(opened)
            assert observer.answered(answered) == (None if later else "next")
            assert observer.held == later
            observer.held.clear()
    observer.steering.turn(0.0, 0.0)
    observer.opened(early)  # before the loop begins: it waits for nothing
    assert (opened.asked, answered.asked) == (["backlog", "backlog", "send"], ["next"])
    assert (early.asked, observer.held) == (["backlog"], [])


async def test_the_load_phase_ends_when_none_is_open_and_nothing_else_does(autojump_clock):
    observer = CrowdObserver(Plan(1), None)
    observer.none_open()  # while the sockets open
    with observer.loading():
        await trio.sleep(1.0)
        observer.none_open()
        await trio.sleep_forever()
    observer.none_open()  # while they are closed
    await trio.lowlevel.checkpoint()
    assert not observer.catch_up_s
