import dataclasses
import re
from collections import Counter

import pytest

from loadgen.report.verdict import judge_run
from loadgen.results.latency import Histogram
from loadgen.results.ledger import Ending, Failure, Fault, Ledger
from loadgen.results.result import Strain, Workers
from loadgen.results.scenario import ScenarioBooks
from loadgen.results.verify import Verdict
from loadgen.workload.plan import Plan


def histogram_of(*values_us):
    histogram = Histogram()
    for value_us in values_us:
        histogram.record(value_us)
    return histogram


def late(value_us, once_us=None, often_us=None):
    """Of 200 looks all late by so much; or all but one; or all but the twenty that are too many."""
    histogram = Histogram()
    histogram.record(value_us, 180)
    histogram.record(often_us or value_us, 19)
    histogram.record(once_us or value_us)
    return histogram


def test_a_run_with_nothing_wrong_is_valid_and_needs_no_reasons(result_of):
    assert judge_run(result_of()) == ("valid", [])


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        pytest.param({"failed": Counter({Failure.REFUSED: 1000})},
                     "1,000 of 10 sockets did not open: refused", id="refused"),
        pytest.param({"failed": Counter({Failure.FILE_LIMIT: 2})},
                     "2 of 10 sockets did not open: file limit (this machine's limit, not the "
                     "target's fault)", id="file-limit"),
        pytest.param({"failed": Counter({Failure.TLS: 1}), "tls_errors": Counter({"bad": 1})},
                     "1 of 10 sockets did not open: tls (bad)", id="tls"),
        pytest.param({"failed": Counter({Failure.OTHER: 1}),
                      "other_errors": Counter({"No route to host": 1}),
                      "other_faults": Counter({Fault.NETWORK: 1})},
                     "1 of 10 sockets did not open: No route to host (the network between)",
                     id="network"),
        pytest.param({"failed": Counter({Failure.REJECTED: 3}),
                      "failed_status": Counter({503: 2, 404: 1})},
                     "3 of 10 sockets did not open: rejected (HTTP 404, 503)", id="rejected"),
        pytest.param({"failed": Counter({Failure.OTHER: 1}),
                      "other_errors": Counter({"No route to host": 1})},
                     "1 of 10 sockets did not open: No route to host", id="other"),
        pytest.param({"not_attempted": 3, "opened": 0},
                     "3 sockets not attempted: none before had opened", id="not-attempted"),
        pytest.param({"early": Counter({(Ending.BY_PEER, 1011): 2})},
                     "the server closed 2 sockets before the end, code 1011", id="closed-early"),
        pytest.param({"closed": Counter({Ending.ABNORMAL: 1}),
                      "early": Counter({(Ending.ABNORMAL, 1006): 1})},
                     "the server cut 1 socket before the end, without a close frame", id="cut"),
        pytest.param({"closed": Counter({Ending.ABNORMAL: 1}),
                      "early": Counter({(Ending.ABNORMAL, 1002): 1})},
                     "the server broke the protocol on 1 socket, which we failed with code 1002",
                     id="protocol"),
        pytest.param({"closed": Counter({Ending.ABNORMAL: 1}),
                      "early": Counter({(Ending.ABNORMAL, 1009): 1})},
                     "the server sent more than is taken in, on 1 socket, which we failed with "
                     "code 1009", id="too-much"),
        pytest.param({"early": Counter({(Ending.BY_PEER, 1009): 2})},
                     "the server closed 2 sockets before the end, code 1009", id="too-much-for-it"),
        pytest.param({"closed": Counter({Ending.CLEAN: 9, Ending.TIMEOUT: 1}),
                      "early": Counter({(Ending.TIMEOUT, 1006): 1})},
                     "1 socket had to be cut: the server did not read what we sent",
                     id="not-read"),
        pytest.param({"closed": Counter({Ending.CLEAN: 9, Ending.TIMEOUT: 1})},
                     "1 socket had to be cut: no answer to our close frame in time",
                     id="close-unanswered"),
        pytest.param({"closed": Counter({Ending.CLEAN: 9, Ending.ABNORMAL: 1})},
                     "1 socket ended without an answer to our close frame", id="close-unclean"),
        pytest.param({"verdicts": Counter({Verdict.CORRUPT: 1})}, "1 reply corrupt", id="corrupt"),
        pytest.param({"verdicts": Counter({Verdict.REORDERED: 2})}, "2 replies reordered",
                     id="reordered"),
        pytest.param({"verdicts": Counter({Verdict.DUPLICATE: 2})}, "2 replies duplicate",
                     id="duplicate"),
        pytest.param({"verdicts": Counter({Verdict.UNEXPECTED: 2})}, "2 replies unexpected",
                     id="unexpected"),
        pytest.param({"lost": 1}, "1 message lost", id="lost"),
        pytest.param({"failed": Counter({Failure.TLS: 1}),
                      "tls_errors": Counter({"WRONG_VERSION_NUMBER": 1, "bad": 1})},
                     "1 of 10 sockets did not open: tls (WRONG_VERSION_NUMBER: no TLS answers "
                     "there, the URL should begin with ws://, bad)", id="no-tls"),
        pytest.param({"failed": Counter({Failure.GREETING: 2}),
                      "details": Counter({(Failure.GREETING, "0 of 1 within 3 s"): 2})},
                     "2 of 10 sockets did not open: no greeting (0 of 1 within 3 s)",
                     id="greeting"),
        pytest.param({"failed": Counter({Failure.REJECTED: 2}), "failed_status": Counter({503: 2}),
                      "details": Counter({(Failure.REJECTED, "HTTP 503: full"): 2})},
                     "2 of 10 sockets did not open: rejected (HTTP 503: full)",
                     id="rejected-with-why"),
        pytest.param({"failed": Counter({Failure.DNS: 1})},
                     "1 of 10 sockets did not open: dns", id="dns"),
        pytest.param({"failed": Counter({Failure.ADDRESS_IN_USE: 1})},
                     "1 of 10 sockets did not open: address in use (this machine's limit, not the "
                     "target's fault)", id="ports"),
        pytest.param({"failed": Counter({Failure.OTHER: 2}),
                      "other_errors": Counter({"b": 1, "a": 1}),
                      "other_faults": Counter({Fault.NETWORK: 1, Fault.MACHINE: 1})},
                     "2 of 10 sockets did not open: a, b", id="several-faults"),
        pytest.param({"owed": 9, "delivered": 7, "missing": 2}, "2 copies of 9 missing",
                     id="missing"),
        pytest.param({"extra": 1}, "1 copy too many", id="extra"),
    ],
)  # fmt: skip
def test_whatever_the_target_did_wrong_makes_a_run_failed(result_of, wrong, reason):
    ledger = Ledger(**({"requested": 10, "opened": 10} | wrong))
    assert judge_run(result_of(ledger)) == ("failed", [reason])
    # An interruption excuses what did not begin, and nothing that went wrong before it.
    excused = "not_attempted" in wrong
    assert (judge_run(result_of(ledger, interrupted=True))[0] == "failed") is not excused


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        pytest.param({"scheduling_lag": late(150_000)},
                     "1 % of the messages were sent more than 150 ms late", id="sent-late"),
        pytest.param({"loop_lag": late(150_000)},
                     "the generator's event loop was 150 ms late 1 % of the time", id="loop-late"),
        pytest.param({"loop_lag": late(100, once_us=2_000_000)},
                     "the generator stood still for 2.0 s", id="stopped-once"),
        pytest.param({"load_strain": Strain(wall_s=5, cpu_share=0.97)},
                     "the generator used 97% of a core: the rate is what it can do, not what the "
                     "target can", id="core-full"),
        pytest.param({"loop_lag": late(100, often_us=60_000),
                      "load_strain": Strain(wall_s=5, cpu_share=0.5, waiting_share=0.4)},
                     "other work kept the generator from its core for 40% of the time",
                     id="core-taken"),
    ],
)  # fmt: skip
def test_a_generator_that_set_the_numbers_says_so(result_of, changes, reason):
    assert judge_run(result_of(**changes)) == ("generator-limited", [reason])


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"scheduling_lag": late(20_000)}, id="sent-a-little-late"),
        pytest.param({"loop_lag": late(20_000)}, id="loop-a-little-late"),
        pytest.param({"scheduling_lag": histogram_of(60_000, 100)}, id="one-of-two-late"),
        pytest.param({"loop_lag": late(100, once_us=400_000)}, id="a-short-stop"),
        pytest.param({"load_strain": Strain(wall_s=5, cpu_share=0.9)}, id="core-nearly-full"),
        pytest.param({"load_strain": Strain(wall_s=0.5, cpu_share=1)}, id="too-short-to-tell"),
        pytest.param({"load_strain": Strain(wall_s=5, waiting_share=0.9)}, id="waits-unharmed"),
        pytest.param({"loop_lag": late(100, often_us=90_000)}, id="late-now-and-then"),
    ],
)
def test_an_honest_run_is_valid(result_of, changes):
    assert judge_run(result_of(**changes)) == ("valid", [])


def test_a_failure_outweighs_a_slow_generator(result_of):
    verdict, reasons = judge_run(result_of(Ledger(10, opened=10, lost=1), loop_lag=late(400_000)))
    assert verdict == "failed"
    assert reasons == [
        "1 message lost", "the generator's event loop was 400 ms late 1 % of the time"
    ]  # fmt: skip


def test_what_an_interruption_cut_short_is_no_fault_of_the_target(result_of):
    ledger = Ledger(10, opened=4, not_attempted=6, sent=4, in_flight=4)
    assert judge_run(result_of(ledger, interrupted=True)) == ("valid", [])


def looks(value_us, count=100):
    histogram = Histogram()
    histogram.record(value_us, count)
    return histogram


def strained(**changes):
    return Strain(**({"wall_s": 5.0, "cpu_share": 0.5, "waiting_share": 0.1} | changes))


#: What is judged, with the highest figure that is no reason, and the lowest told apart that is.
EDGES = [
    pytest.param(lambda us: {"scheduling_lag": looks(us, 99)}, 100_000, 100_100, id="sent-late"),
    pytest.param(lambda us: {"loop_lag": looks(us, 99)}, 100_000, 100_100, id="loop-late"),
    pytest.param(lambda us: {"scheduling_lag": looks(us)}, 30_000, 30_030, id="often-late"),
    pytest.param(lambda us: {"loop_lag": looks(us)}, 30_000, 30_030, id="loop-often-late"),
    pytest.param(lambda us: {"loop_lag": late(100, once_us=us)}, 500_000, 500_600, id="stop"),
    pytest.param(lambda n: {"load_strain": strained(cpu_share=n)}, 0.95, 0.951, id="core"),
    pytest.param(
        lambda n: {"load_strain": strained(waiting_share=n), "loop_lag": late(100, None, 60_000)},
        0.25, 0.251, id="waiting",
    ),
    pytest.param(
        lambda us: {"load_strain": strained(waiting_share=0.5), "loop_lag": late(100, None, us)},
        50_000, 50_100, id="loop-late-while-waiting",
    ),
    pytest.param(
        lambda us: {
            "load_strain": strained(waiting_share=0.5),
            "scheduling_lag": late(100, None, us),
        },
        50_000, 50_100, id="sent-late-while-waiting",
    ),
    pytest.param(
        lambda s: {"load_strain": strained(wall_s=s, cpu_share=1.0)}, 0.999, 1.0, id="short"
    ),
    pytest.param(lambda n: {"loop_lag": looks(40_000, n)}, 99, 100, id="few-looks"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "allowed", "beyond"), EDGES)
def test_each_limit_is_where_it_is_said_to_be(result_of, changes, allowed, beyond):
    rest = {"scheduling_lag": looks(100), "loop_lag": looks(100)}
    # A histogram tells one value in a thousand from the next: the edge is the upper end of one.
    assert judge_run(result_of(**rest | changes(allowed))) == ("valid", [])
    verdict, reasons = judge_run(result_of(**rest | changes(beyond)))
    assert (verdict, len(reasons)) == ("generator-limited", 1)


def test_what_fell_due_on_sockets_that_were_gone_is_a_limit_of_ours_unless_interrupted(result_of):
    ledger = Ledger(10, opened=10, due=5, sent=3, missed=2)
    assert judge_run(result_of(ledger)) == (
        "generator-limited",
        ["2 messages fell due on sockets that were gone, and were not sent"],
    )
    assert judge_run(result_of(ledger, interrupted=True)) == ("valid", [])


def test_not_attempted_is_no_fault_of_who_was_interrupted(result_of):
    ledger = Ledger(10, opened=4, not_attempted=6, sent=4)
    assert judge_run(result_of(ledger)) == (
        "failed", ["6 sockets not attempted: the run was over"]
    )  # fmt: skip
    assert judge_run(result_of(ledger, interrupted=True)) == ("valid", [])


def test_a_dead_process_is_the_reason_and_what_it_lost_is_not_the_targets_loss(result_of):
    ledger = Ledger(10, opened=10, sent=9, lost=5, orphaned_messages=3)
    assert judge_run(result_of(ledger, deaths=("a process died",))) == (
        "failed", ["a process died", "2 messages lost"]
    )  # fmt: skip
    ledger = Ledger(10, opened=10, sent=9, lost=3, orphaned_messages=3)
    assert judge_run(result_of(ledger, deaths=("a process died",)))[1] == ["a process died"]


@pytest.mark.parametrize(
    ("settings", "ledger", "interrupted", "reason"),
    [
        ({"rate": 0.1}, {"opened": 10}, False, "none fell due in the time"),
        ({"closed_loop": True}, {"opened": 10}, False, "no message was sent"),
        ({}, {"not_attempted": 10}, True, "interrupted before a socket was open"),
        ({}, {"opened": 10}, True, "interrupted before a message was sent"),
        ({"rate": 0.0}, {"opened": 10}, False, None),
        # What a server says by itself is no answer to a load that it never had.
        ({"rate": 0.1}, {"opened": 10, "received": 5}, False, "none fell due in the time"),
        ({"scenario": "s.py"}, {"opened": 10}, False, "no message was sent"),
        ({"scenario": "s.py"}, {"opened": 10, "received": 5}, False, None),
        ({"scenario": "s.py"}, {"opened": 10, "received": 5}, True, None),
    ],
)
def test_a_run_that_measured_nothing_is_not_valid(result_of, settings, ledger, interrupted, reason):
    result = dataclasses.replace(
        result_of(plan=Plan(10, **settings)), ledger=Ledger(10, **ledger), interrupted=interrupted
    )
    verdict, reasons = judge_run(result)
    assert verdict == ("generator-limited" if reason else "valid")
    assert not reason or reason in reasons[0]


def blocking(*, load_us=0, opening_us=0):
    """Books of users who held each other up at a step, before the load and in it."""
    books = ScenarioBooks()
    step = books.step("say", "request")
    step.blocked, step.blocked_us = opening_us // 50_000, opening_us
    books.begin_load(1.0)
    step.blocked, step.blocked_us = load_us // 50_000, load_us
    books.step("quick", "request").blocked_us = load_us // 10
    return books


def test_code_that_held_all_users_up_in_the_load_is_named_and_before_it_spoils_nothing(result_of):
    verdict, (reason,) = judge_run(result_of(scenario=blocking(load_us=500_000)))
    assert verdict == "generator-limited"
    assert reason == (
        "the scenario's own code held all users up for 6% of the time: at step say 10 times, "
        "50 ms each; what takes long goes into trio.to_thread.run_sync"
    )
    assert judge_run(result_of(scenario=blocking(opening_us=900_000)))[0] == "valid"
    assert judge_run(result_of(scenario=blocking(load_us=80_000)))[0] == "valid"


def test_each_process_of_a_scenario_holds_up_its_own_users_alone(result_of):
    books = blocking(load_us=200_000)
    assert judge_run(result_of(scenario=books))[0] == "generator-limited"
    assert judge_run(result_of(scenario=books, workers=Workers(processes=4)))[0] == "valid"


@pytest.mark.parametrize("causes", range(1, 6))
def test_the_most_frequent_causes_and_reasons_are_named_and_that_there_are_more(result_of, causes):
    """Of details of failures, and of what the peer said with the code that is told of."""
    counts = range(1, causes + 1)
    ledger = Ledger(
        100, opened=50, failed=Counter({Failure.PROTOCOL: 50}),
        details=Counter({(Failure.PROTOCOL, f"d{n}"): n for n in counts})
        + Counter({(Failure.DNS, "another's"): 99}),
        early=Counter({(Ending.BY_PEER, 1011): 40, (Ending.BY_PEER, 4000): 3}),
        close_reasons=Counter({(1011, f"r{n}"): n for n in counts}) + Counter({(4000, "bye"): 3}),
    )  # fmt: skip
    _, (failed, *closed) = judge_run(result_of(ledger))
    named = [str(n) for n in reversed(counts)][:3]
    details = "; ".join([f"d{n}" for n in named] + ["…"] * (causes > 3))
    assert failed == f"50 of 100 sockets did not open: protocol ({details})"
    reasons = ", ".join([f'"r{n}"' for n in named] + ["…"] * (causes > 3))
    assert closed == [
        f"the server closed 40 sockets before the end, code 1011: {reasons}",
        'the server closed 3 sockets before the end, code 4000: "bye"',
    ]


@pytest.mark.parametrize(("missed", "overdue"), [(7, 0), (7, 7), (7, 3), (1, 1), (1, 0)])
def test_what_was_missed_is_told_once_by_why_it_was(result_of, missed, overdue):
    ledger = Ledger(10, opened=10, sent=90, due=90 + missed, missed=missed, overdue=overdue)
    _, reasons = judge_run(result_of(ledger))
    told = [int(number) for reason in reasons for number in re.findall(
        r"^(\d+) messages? fell due on|, (\d+) were not sent", reason)[0] if number]  # fmt: skip
    assert told == [count for count in (missed - overdue, overdue) if count]
    assert all(f"of {90 + missed} messages that fell due" in reason for reason in reasons
               if "keep up" in reason)  # fmt: skip


def test_who_was_not_attempted_is_told_why(result_of):
    for opened, why in ((0, "none before had opened"), (7, "the run was over")):
        ledger = Ledger(10, opened=opened, not_attempted=3)
        assert judge_run(result_of(ledger))[1] == [f"3 sockets not attempted: {why}"]


def test_sockets_that_were_cut_are_told_once_however_many_had_gone_on_sending(result_of):
    for sending, told in ((0, [5]), (2, [2, 3]), (5, [5]), (9, [5])):
        ledger = Ledger(9, opened=9, closed=Counter({Ending.TIMEOUT: 5}), still_sending=sending)
        _, reasons = judge_run(result_of(ledger))
        assert [int(reason.split()[0]) for reason in reasons] == told
