from collections import Counter

import pytest

from loadgen.results.ledger import Ending, Failure, Fault, Ledger, Unbalanced
from loadgen.results.verify import Verdict


def test_open_sockets_are_those_opened_and_not_ended():
    ledger = Ledger(3)
    ledger.count_opened()
    ledger.count_opened()
    ledger.count_ended(Ending.CLEAN, 1000, early=False)
    ledger.count_opened()
    assert (ledger.open, ledger.opened, ledger.peak_open) == (2, 3, 2)
    assert ledger.close_codes == {1000: 1}


def test_an_early_ending_is_booked_with_how_and_code():
    ledger = Ledger(1, opened=1)
    ledger.count_ended(Ending.BY_PEER, 1011, early=True)
    assert ledger.early == {(Ending.BY_PEER, 1011): 1}
    assert ledger.errors == 1


@pytest.mark.parametrize(
    ("interrupted", "lost", "in_flight"),
    [pytest.param(False, 3, 0, id="at-the-end"), pytest.param(True, 0, 3, id="interrupted")],
)
def test_unanswered_messages_are_lost_or_were_in_flight(interrupted, lost, in_flight):
    ledger = Ledger(1, sent=5, verdicts=Counter({Verdict.ECHOED: 1, Verdict.CORRUPT: 1}))
    ledger.settle_unanswered(interrupted=interrupted)
    assert (ledger.lost, ledger.in_flight) == (lost, in_flight)


def test_replies_are_awaited_only_on_sockets_that_are_there():
    assert Ledger(1, sent=5, abandoned=3, verdicts=Counter({Verdict.REORDERED: 1})).awaited == 1


def test_whatever_went_wrong_counts_as_an_error_once():
    ledger = Ledger(
        9,
        opened=7,
        failed=Counter({Failure.REFUSED: 1, Failure.DNS: 1}),
        lost=1,
        verdicts=Counter({Verdict.ECHOED: 50, Verdict.DUPLICATE: 1, Verdict.UNEXPECTED: 1}),
    )
    ledger.count_ended(Ending.ABNORMAL, 1006, early=True)
    ledger.count_ended(Ending.TIMEOUT, 1006, early=False)
    ledger.count_ended(Ending.ABNORMAL, 1006, early=False)
    ledger.count_ended(Ending.CLEAN, 1000, early=False)
    assert ledger.errors == 8
    assert (ledger.unanswered_closes, ledger.unclean_closes) == (1, 1)


@pytest.mark.parametrize(
    ("unbalanced", "identity"),
    [
        pytest.param({"not_attempted": 1}, "requested = opened", id="a-socket-too-many"),
        pytest.param(
            {"requested": 2, "failed": Counter({Failure.OTHER: 1}), "opened": 1},
            "opened = closed",
            id="a-socket-that-never-ended",
        ),
        pytest.param({"sent": 1}, "sent = echoed", id="a-message-nowhere"),
        pytest.param({"received": 1}, "received = echoed", id="a-reply-nowhere"),
    ],
)
def test_books_that_do_not_add_up_are_an_error(unbalanced, identity):
    with pytest.raises(Unbalanced, match=identity):
        Ledger(**({"requested": 0} | unbalanced)).check()


@pytest.mark.parametrize("interrupted", [False, True], ids=["to-the-end", "interrupted"])
def test_what_a_dead_process_leaves_is_written_off_and_the_books_add_up(interrupted):
    ledger = Ledger(10, opened=6, sent=9, received=5, due=12)
    ledger.verdicts[Verdict.ECHOED] = 5
    ledger.count_ended(Ending.BY_PEER, 1001, early=True)
    ledger.abandoned = 1
    ledger.write_off("its process died", interrupted=interrupted)
    ledger.check()
    assert (ledger.orphaned, ledger.closed[Ending.ABNORMAL]) == (5, 5)
    assert (ledger.failed[Failure.OTHER], ledger.failed_by(Fault.MACHINE)) == (4, 4)
    assert (ledger.lost, ledger.in_flight) == ((0, 4) if interrupted else (4, 0))
    assert ledger.orphaned_messages == (0 if interrupted else 3)
    assert ledger.missed == 3
    assert ledger.unclean_closes == 0
