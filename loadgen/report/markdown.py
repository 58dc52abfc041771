"""Write the report as Markdown, for the page of a CI job or a comment: the verdict and why.

It is GitHub's dialect, which GitLab and Gitea read as well. Texts of peers could otherwise draw a
heading, load a picture from elsewhere, or mention a person: every character that means something
there is written as a reference.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import msgspec

from echo_trio.printable import printable
from loadgen.report import distribution
from loadgen.report.describe import PERCENTILES, name_of, show_percentiles
from loadgen.report.model import Report
from loadgen.report.thresholds import explain
from loadgen.report.verdict import FAILED, VALID
from loadgen.workload.lever import explain_changes, show_changes

#: Characters that begin markup, a link, an entity or a formula anywhere in a line.
_MARKUP: Final = re.compile(r"[\\`*_{}\[\]<>()|~$&!:]|(?<=www)\.", re.IGNORECASE)
#: These mention a person or an issue, also when they are written as a reference; a space of no
#: width behind them keeps them from it. The # of a reference is none.
_MENTIONS: Final = re.compile(r"@|(?<!&)#")
#: What begins a heading, a list or a table if a line begins with it.
_LINE_STARTS: Final = re.compile(r"^(?:[-+=#]|\d+(?=[.)]))")
_PICTURE_WIDTH: Final = 60


def render(report: Report, name: str | None = None) -> bytes:
    """Write the report as Markdown.

    :param name: of the run; by default its scenario's, or its target's.
    """
    return ("\n".join(_write(report, name)) + "\n").encode()


def escape(text: str) -> str:
    """Write a text so that Markdown shows it as it is, in one line."""
    shown = _MARKUP.sub(lambda found: f"&#{ord(found[0])};", printable(text))
    shown = _MENTIONS.sub(lambda found: f"{found[0]}&#8203;", shown)
    return _LINE_STARTS.sub(lambda found: "&#8203;" + found[0], shown)


def code(text: str) -> str:
    """Write a text in a fixed font; unlike between backticks nothing in it can end that."""
    return f"<code>{escape(text)}</code>"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Write a table, whose cells are Markdown; all columns but the first are figures."""
    yield f"| {' | '.join(head)} |"
    yield f"| --- |{' ---: |' * (len(head) - 1)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _write(report: Report, name: str | None) -> Iterator[str]:
    yield f"## {_mark(report)} {escape(name_of(report, name))}: {_outcome(report)}"
    yield ""
    yield from (f"- {escape(reason)}" for reason in report.verdict_reasons)
    if report.changes:
        told = "; ".join(show_changes(report.changes))
        yield f"- {escape(f'{explain_changes(report.changes, report.paused_s)} ({told})')}"
    yield from (f"- 💡 {escape(hint)}" for hint in report.hints)
    if report.verdict_reasons or report.hints or report.changes:
        yield ""
    yield from _judged(report)
    yield from table(["", *PERCENTILES.values()], _latencies(report))
    yield ""
    yield from table(["", "count", ""], _counts(report))
    yield ""
    yield from _picture(report)


def _mark(report: Report) -> str:
    """Return the mark of the exit code: no run that fails a job looks as if it had passed."""
    if report.verdict == FAILED or any(limit.breached for limit in report.thresholds):
        return "❌"
    return "✅" if report.verdict == VALID and not report.interrupted else "⚠️"


def _outcome(report: Report) -> str:
    breached = sum(limit.breached for limit in report.thresholds)
    parts: list[str] = [report.verdict]
    if report.interrupted:
        parts.append("interrupted")
    if breached:
        parts.append(f"{breached} of {len(report.thresholds)} limits breached")
    return ", ".join(parts)


def _judged(report: Report) -> Iterator[str]:
    """Say what each --fail-if and each check came to."""
    rows = [
        ("❌" if judged.breached else "✅", code(judged.expr), escape(explain(judged)))
        for judged in report.thresholds
    ]
    rows += [
        (
            "❌" if check.failed else "✅",
            escape(check.name),
            f"{check.passed:,} passed, {check.failed:,} failed",
        )
        for check in report.checks
    ]
    if rows:
        yield "| | limit or check | measured |"
        yield "| --- | --- | --- |"
        yield from (f"| {' | '.join(row)} |" for row in rows)
        yield ""


def _latencies(report: Report) -> Iterator[list[str]]:
    titles = {"intended": "latency, since due (ms)", "service": "latency, since sent (ms)"}
    for key, title in titles.items():
        yield [title, *show_percentiles(getattr(report.latency, key))]
    yield ["connecting (ms)", *show_percentiles(report.connections.connect_ms)]
    for step in report.steps:
        yield [f"{escape(step.name)}, since sent (ms)", *show_percentiles(step.service)]


def _counts(report: Report) -> Iterator[list[str]]:
    """Yield what was asked for, and every column that is not empty."""
    connections, messages = report.connections, report.messages
    yield ["sockets requested", f"{connections.requested:,}", ""]
    yield ["sockets opened", f"{connections.opened:,}", f"{connections.peak_open:,} at once"]
    for part in (connections.failed, connections.closed):
        for key, count in msgspec.structs.asdict(part).items():
            if count:
                title = f"sockets {'failed' if part is connections.failed else 'closed'}"
                yield [f"{title}: {key.replace('_', ' ')}", f"{count:,}", ""]
    rates = {"sent": messages.sent_per_s, "received": messages.received_per_s}
    for key, value in msgspec.structs.asdict(messages).items():
        if isinstance(value, int) and value and not key.endswith("_bytes"):
            rate = rates.get(key)
            title = f"messages {key.replace('_', ' ')}"
            yield [title, f"{value:,}", "" if rate is None else f"{rate:,.0f}/s"]
    if report.users is not None:
        yield ["users requested", f"{report.users.requested:,}", ""]
        yield ["users finished", f"{report.users.finished:,}", ""]
        for cause, count in report.users.failed_by.items():
            yield [f"users failed: {escape(cause)}", f"{count:,}", ""]


def _picture(report: Report) -> Iterator[str]:
    """Draw the distribution of latency, folded away."""
    lines = distribution.draw(report.histograms.intended, _PICTURE_WIDTH)
    if lines:
        yield "<details><summary>Latency in ms, by how many messages had it</summary>"
        yield from ("", "```text", *lines, "```", "", "</details>")
