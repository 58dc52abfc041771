"""Markdown, rendered by a renderer of others: nothing in a text of a peer becomes markup."""

from __future__ import annotations

import re
from collections import Counter

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from echo_trio.printable import printable
from loadgen.report import distribution, markdown, thresholds
from loadgen.report.scenario import CheckReport
from loadgen.results.latency import Histogram
from loadgen.results.ledger import Ending, Failure, Fault, Ledger
from loadgen.results.scenario import ScenarioBooks
from loadgen.results.verify import Verdict

RENDERER = MarkdownIt("gfm-like", {"linkify": False, "html": True}).enable("table")


def test_a_summary_shows_the_verdict_the_limits_and_the_figures(report_of):
    limits = [thresholds.parse("latency.p99>1ms"), thresholds.parse("messages.lost>0")]
    report = msgspec.structs.replace(
        report_of(),
        thresholds=thresholds.judge(report_of(), limits),
        checks=[CheckReport(name="price", passed=3, failed=1)],
    )
    shown = RENDERER.render(markdown.render(report, name="nightly").decode())
    assert "<h2>❌ nightly: valid, 1 of 2 limits breached</h2>" in shown
    rows = [
        re.sub("<[^>]+>", "", " ".join(re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row)))
        for row in re.findall(r"<tr>(.*?)</tr>", shown, re.DOTALL)
    ]
    assert "❌ latency.p99&gt;1ms latency.p99&gt;1ms: 3.5 ms" in rows
    assert "✅ messages.lost&gt;0 messages.lost&gt;0: 0" in rows
    assert "❌ price 3 passed, 1 failed" in rows
    assert "latency, since due (ms) 2.50 3.50 3.50 3.50 3.50" in rows
    assert "messages echoed 20 " in rows
    assert "sockets closed: clean 10 " in rows
    assert shown.count("<table>") == shown.count("</table>") == 3


@pytest.mark.parametrize(
    ("changed", "heading"),
    [
        ({}, "✅ nightly: valid"),
        ({"interrupted": True}, "⚠️ nightly: valid, interrupted"),
        ({"verdict": "generator-limited"}, "⚠️ nightly: generator-limited"),
        ({"verdict": "failed", "interrupted": True}, "❌ nightly: failed, interrupted"),
    ],
)
def test_a_summary_is_green_for_a_run_that_passes_its_job_alone(report_of, changed, heading):
    report = msgspec.structs.replace(report_of(), **changed)
    assert markdown.render(report, name="nightly").decode().startswith(f"## {heading}\n")


def test_the_distribution_is_drawn_as_the_terminal_has_it(report_of):
    many = Histogram()
    for value_us in range(1000, 99_000, 10):
        many.record(value_us)
    report = report_of(intended=many)
    shown = RENDERER.render(markdown.render(report).decode())
    drawn = distribution.draw(report.histograms.intended, 60)
    assert (
        "\n".join(drawn)
        in re.findall(
            r"<summary>.*<pre><code class=.language-text.>(.*)</code></pre>", shown, re.DOTALL
        )[0]
    )


@example("12. no item")
@example("3) nor this")
@given(st.text(max_size=40) | st.text("\\`*_{}[]()<>#+-.!|~$&@:=1w /h", max_size=40))
def test_any_text_is_shown_as_it_is(text):
    shown = RENDERER.render(f"- {markdown.escape(text)}\n")
    visible = shown.replace("\u200b", "")
    for entity, char in {"&lt;": "<", "&gt;": ">", "&quot;": '"', "&amp;": "&"}.items():
        visible = visible.replace(entity, char)
    assert re.sub(r"^<ul>\n<li>|</li>\n</ul>\n$", "", visible).split() == printable(text).split()


HOSTILE = "# x\n![](http://evil.example/x.png) @everyone fixes #1 | <img src=x> `` ` `` $x$ www.x.y"


@pytest.mark.parametrize("where", ["verdict_reasons", "hints", "checks"])
def test_text_of_a_peer_draws_nothing_loads_nothing_and_mentions_nobody(report_of, where):
    value = [CheckReport(name=HOSTILE, passed=1, failed=0)] if where == "checks" else [HOSTILE]
    plain = RENDERER.render(markdown.render(report_of()).decode())
    written = markdown.render(msgspec.structs.replace(report_of(), **{where: value})).decode()
    shown = RENDERER.render(written)
    assert "evil.example" in shown
    assert not re.search(r"<(img|a|h1|em|s)\b", shown)
    assert not re.search(r"@\w|#\d", shown)
    assert shown.count("<details>") == plain.count("<details>")


def test_each_figure_of_the_table_is_the_one_of_its_column(report_of):
    """No two of the report are alike, so that none can stand for another."""
    failed = {reason: 10 + at for at, reason in enumerate(Failure)}
    closed = {ending: 30 + at for at, ending in enumerate(Ending)}
    verdicts = {verdict: 100 + at for at, verdict in enumerate(Verdict)}
    ledger = Ledger(
        2000, opened=600, peak_open=500, failed=Counter(failed), closed=Counter(closed),
        other_faults=Counter({Fault.NETWORK: 1}), sent=7000, received=8000, lost=401, in_flight=402,
        one_way=403, published=404, missed=405, verdicts=Counter(verdicts),
    )  # fmt: skip
    page = markdown.render(report_of(ledger, load_s=10.0)).decode()
    shown = {
        cells[0].strip(): (cells[1].strip(), cells[2].strip())
        for line in page.splitlines()
        if line.startswith("|") and len(cells := line.strip("|").split("|")) == 3
    }
    expected = {
        "sockets requested": ("2,000", ""),
        "sockets opened": ("600", "500 at once"),
        "messages sent": ("7,000", "700/s"),
        "messages received": ("8,000", "800/s"),
        **{f"sockets failed: {name.replace('_', ' ')}": (str(n), "") for name, n in failed.items()},
        **{f"sockets closed: {name.replace('_', ' ')}": (str(n), "") for name, n in closed.items()},
        **{f"messages {name}": (str(n), "") for name, n in verdicts.items()},
        "messages lost": ("401", ""), "messages in flight": ("402", ""),
        "messages one way": ("403", ""), "messages published": ("404", ""),
        "messages missed": ("405", ""),
    }  # fmt: skip
    assert expected.items() <= shown.items()
    assert not [name for name in shown if name.startswith(("sockets", "messages"))
                and name not in expected]  # fmt: skip


def test_users_and_steps_have_lines_of_their_own(report_of):
    books = ScenarioBooks.of_users(5000)
    books.users.finished = 1234
    for cause, times in (("Lost|Reply", 2), ("KeyError", 1001)):
        books.users.fail(cause, "")
        books.users.failed_by[cause] = times
    step = books.step("a|b", "request")
    step.count = 1
    step.service.total.record(7000)
    page = markdown.render(report_of(scenario=books)).decode()
    for line in (
        "| users requested | 5,000 |  |", "| users finished | 1,234 |  |",
        "| users failed: KeyError | 1,001 |  |", "| users failed: Lost&#124;Reply | 2 |  |",
        "| a&#124;b, since sent (ms) | 7.00 | 7.00 | 7.00 | 7.00 | 7.00 |",
        "| connecting (ms) | 0.90 | 1.20 | 1.20 | 1.20 | 1.20 |",
    ):  # fmt: skip
        assert line in page.splitlines(), line
    assert "users" not in markdown.render(report_of()).decode()
    assert "<details>" not in page
