"""Each remedy is given where it helps, and nowhere else; the page has the table."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from pathlib import Path

import pytest

from loadgen.cli.run import explain_nothing_opened
from loadgen.report import hints
from loadgen.report import json as report_json
from loadgen.report.build import make_report
from loadgen.results.latency import Histogram
from loadgen.results.ledger import Ending, Failure, Ledger
from loadgen.results.result import Workers
from loadgen.results.scenario import ScenarioBooks
from loadgen.workload.plan import Plan

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "hints.md"


def histogram_of(count: int) -> Histogram:
    histogram = Histogram()
    if count:
        histogram.record(1000, count)
    return histogram


def failed(reason: Failure, **more):
    return Ledger(10, failed=Counter({reason: 10}), **more)


def tls(error: str) -> Ledger:
    return failed(Failure.TLS, tls_errors=Counter({error: 10}))


def rejected(status: int) -> Ledger:
    return failed(Failure.REJECTED, failed_status=Counter({status: 10}))


THERE, HERE, PROXY = "ws://192.0.2.1/", "ws://127.0.0.1:9/", "http://127.0.0.1:3128"
#: Cause by cause, in the table's order: a run of that kind, and a part of what is said.
CASES = [
    (failed(Failure.REFUSED), "ws://[::1]:9/", "python -m echo_trio --port 9"),
    (failed(Failure.REFUSED), THERE, "is this its port?"),
    (failed(Failure.REFUSED), "PROXY", "--proxy"),
    (failed(Failure.REJECTED, details=Counter({(Failure.REJECTED, "proxy: HTTP 407"): 10})),
     THERE, "The proxy wants a user"),
    (failed(Failure.TIMEOUT), THERE, "No answer within 10s"),
    (failed(Failure.DNS), "ws://nowhere.invalid/", "no address here"),
    (failed(Failure.RESET), THERE, "should begin with wss://"),
    (failed(Failure.PROTOCOL, details=Counter({(Failure.PROTOCOL, "TLS answers there"): 10})),
     THERE, "begin the URL with wss://"),
    (tls("WRONG_VERSION_NUMBER"), "wss://h/", "begin the URL with ws://"),
    (tls("certificate verify failed: self-signed certificate"), "wss://h/", "--cacert FILE"),
    (tls("certificate verify failed: Hostname mismatch, certificate is not valid for 'h'"),
     "wss://h/", "another name"),
    (tls("certificate verify failed: certificate has expired"), "wss://h/", "renew it"),
    (tls("TLSV13_ALERT_CERTIFICATE_REQUIRED"), "wss://h/", "--cert FILE"),
    (rejected(403), THERE, "--header 'Authorization"),
    (rejected(404), THERE, "no WebSocket at this path"),
    (rejected(302), THERE, "redirects"),
    (rejected(503), THERE, "--connect-rate"),
    (failed(Failure.GREETING), THERE, "--expect"),
    (failed(Failure.FILE_LIMIT), THERE, "ulimit -n"),
    (failed(Failure.ADDRESS_IN_USE), THERE, "--source-ip"),
    (Ledger(10, opened=10, sent=9, received=9, plain_echoes=9), THERE, "--verify exact"),
    (Ledger(10, opened=10, sent=9, lost=9), THERE, "--verify off"),
    (Ledger(10, opened=10, sent=9, received=8, lost=1,
            verdicts=Counter({"echoed": 8})), THERE, "longer --stop-timeout tells late"),
    (Ledger(10, opened=10, early=Counter({(Ending.BY_PEER, 1009): 1})), THERE, "--size"),
    (Ledger(10, opened=10, closed=Counter({Ending.TIMEOUT: 1})), THERE, "slow server"),
    (Ledger(10, opened=10, sent=9, overdue=5), THERE, "--workers auto"),
    (Ledger(10, opened=10, sent=9), "BLOCKED", "up for 60% of the time, at step login most"),
    (Ledger(10, opened=10, sent=9), THERE, "50 replies are few for p99, which takes 1,000"),
]  # fmt: skip


def run_of(result_of, ledger, url, replies=0):
    plan = Plan(10, THERE if url.isupper() else url, proxy="http://p" if url == "PROXY" else None)
    scenario = None
    if url == "BLOCKED":
        scenario = ScenarioBooks()
        scenario.step("greeting", "expect").blocked_us = 500_000
        scenario.step("login", "request").blocked_us = 700_000
        scenario.begin_load(2.0)
    intended = histogram_of(replies)
    return dataclasses.replace(
        result_of(plan=plan), ledger=ledger, intended=intended, scenario=scenario
    )


@pytest.mark.parametrize(("ended_early", "is_given"), [(0, True), (9, True), (10, False)])
def test_replies_are_awaited_only_of_sockets_that_last(result_of, ended_early, is_given):
    early = Counter({(Ending.ABNORMAL, 1006): ended_early})
    ledger = Ledger(
        10, opened=10, sent=9, received=8, lost=1, verdicts=Counter(echoed=8), early=early
    )
    found = [hint for hint in hints.HINTS if hint.find(run_of(result_of, ledger, THERE))]
    assert any(hint.cause == "some messages get no reply" for hint in found) is is_given


@pytest.mark.parametrize("number", range(len(hints.HINTS)))
def test_a_hint_is_given_where_it_helps_and_nowhere_else(result_of, number):
    assert len(CASES) == len(hints.HINTS)
    for case, (ledger, url, says) in enumerate(CASES):
        found = hints.HINTS[number].find(
            run_of(result_of, ledger, url, 50 * (case == len(CASES) - 1))
        )
        assert (found is not None) == (case == number), hints.HINTS[case].cause
        if found is not None:
            assert says in hints.HINTS[number].text.format(**found)


#: Beside the causes: what is said, or is not, where one ends and another begins.
BOUNDARIES = [
    ("one-way messages", Ledger(10, opened=10, sent=9, one_way=4, lost=5), {}, "--verify off",
     True),
    ("published messages", Ledger(10, opened=10, sent=9, published=4, one_way=2, lost=3), {},
     "--verify off", True),
    ("999 replies", Ledger(10, opened=10), {"replies": 999}, "are few for p99", True),
    ("1,000 replies", Ledger(10, opened=10), {"replies": 1000}, "are few for p99", False),
    ("a proxy to here", failed(Failure.REFUSED), {"url": HERE, "proxy": PROXY}, "echo_trio", False),
    ("a proxy to there", failed(Failure.REFUSED), {"proxy": PROXY}, "is the server running", False),
    ("one process behind", Ledger(10, opened=10, overdue=5), {}, "--workers auto", True),
    ("two behind", Ledger(10, opened=10, overdue=5), {"processes": 2}, "--workers auto", False),
    ("wss is cut", failed(Failure.RESET), {"url": "wss://h/"}, "begin with wss://", False),
    ("one was open", failed(Failure.RESET, opened=1), {}, "begin with wss://", False),
    ("still sending", Ledger(10, opened=10, closed=Counter({Ending.TIMEOUT: 1}), still_sending=1),
     {}, "slow server", False),
]  # fmt: skip


@pytest.mark.parametrize(
    ("ledger", "how", "says", "is_said"), [case[1:] for case in BOUNDARIES],
    ids=[case[0] for case in BOUNDARIES],
)  # fmt: skip
def test_a_hint_is_given_up_to_where_its_cause_ends(result_of, ledger, how, says, is_said):
    result = dataclasses.replace(
        result_of(plan=Plan(10, how.get("url", THERE), proxy=how.get("proxy"))),
        ledger=ledger,
        intended=histogram_of(how.get("replies", 0)),
        workers=Workers(processes=how.get("processes", 1)),
    )
    assert any(says in hint for hint in hints.find_hints(result)) == is_said


def test_a_hint_is_in_the_report_and_in_the_line_of_a_run_that_opened_nothing(
    result_of,
):
    result = run_of(result_of, tls("self-signed certificate"), "wss://h/")
    document = json.loads(report_json.encode(make_report(result)))
    (hint,) = document["hints"]
    assert "--cacert" in hint
    assert explain_nothing_opened(result).endswith(hint)
    assert make_report(result_of()).hints == hints.find_hints(result_of())


def test_the_page_has_the_table():
    """Stale? `python -c 'from loadgen.report import hints; print(hints.make_table())'`."""
    assert hints.make_table() in PAGE.read_text()
