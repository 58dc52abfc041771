"""What the cross-check found, in words and tables: where a tool is not at one with the server."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import machine
import report
from cross_check_tools import AT_ONCE, LATE, OURS, PERCENTILES, REFUSING, TOOLS, Counter, Tool

PAGE = machine.REPOSITORY / "docs" / "explanation" / "cross-check.md"
BEGIN, END = "<!-- cross-check: begin (generated) -->", "<!-- cross-check: end -->"

REALTIME = (
    " All ran with real-time priority (`chrt -r 1`), so that nobody else's work came before theirs."
)
EXPLAINED = "with them agrees to the unit"
GENERATOR_LIMITED = 3
# Figures: a counter of the tool, and the count of the witness that it is held against.
FIGURES = {"opened": "opened", "refused": "refused", "sent": "messages", "replies": "replies"}
WORDS = {
    "opened": "handshakes",
    "refused": "refused handshakes",
    "closed_clean": "Close frames",
}


def differences(tool: Tool, row: Mapping) -> Iterator[str]:
    """In words, each figure of a tool that is not what the server counted."""
    for figure, witness in FIGURES.items():
        counter: Counter = getattr(tool, figure)
        said, counted = row[f"tool_{figure}"], row[f"server_{witness}"]
        if not counter.name or said == counted:
            continue
        if said is None:
            yield f"it says nothing of `{counter.name}`, the server counted {counted:,} {witness}"
            continue
        text = f"`{counter.name}` is {said:,}, the server counted {counted:,} {witness}"
        included = {key: row[f"server_{key}"] for key in counter.includes}
        if included and said == counted + sum(included.values()):
            also = ", ".join(
                f"{n:,} {WORDS[key]}" + (" once more" if key == witness else "")
                for key, n in included.items()
                if n
            )
            text += f"; it takes in {also}, and {EXPLAINED}"
        yield text
    if row["tool_faults"]:
        yield f"it counts {row['tool_faults']}"
    # One that was refused may say so by it; ours says so when it was the limit, and still counts.
    right = {0, GENERATOR_LIMITED} if tool.name == OURS else {0}
    if tool.ends and not row["server_refused"] and row["exit_code"] not in right:
        yield f"its exit code is {row['exit_code']}"


def percentile_keys(row: Mapping) -> list[str]:
    keys = [f"p{percent}" for percent in PERCENTILES]
    return [key for key in (*keys, "mean") if f"tool_{key}_ms" in row]


def pair(row: Mapping, figure: str) -> str:
    """`200 / 200`: the tool's figure, the server's."""
    said = row[f"tool_{figure}"]
    return f"{report.BLANK if said is None else f'{said:,}'} / {row[f'server_{FIGURES[figure]}']:,}"


def agreement(tool: Tool, row: Mapping) -> str:
    unlike = list(differences(tool, row))
    if not unlike:
        return "yes"
    explained = all(EXPLAINED in each for each in unlike)
    return "**no**, explained below" if explained else "**no**"


def counts_table(rows: Sequence[Mapping]) -> str:
    head = ["tool, server", "sockets opened", "refused", "messages sent", "replies"]
    head += ["closed clean / cut, by the server", "agree to the unit"]
    body = []
    for tool, row in with_tools(rows):
        closed = f"{row['server_closed_clean']:,} / {row['server_closed_abrupt']:,}"
        figures = [pair(row, figure) for figure in FIGURES]
        body.append([f"{tool.title}, {row['load']}", *figures, closed, agreement(tool, row)])
    return report.table(head, body)


def latency_table(rows: Sequence[Mapping]) -> str:
    head = ["tool", f"p50 / p95 / p99, mean, answered {AT_ONCE}", f"answered {LATE}"]
    head += ["the server held them back p50 / p95 / p99", "what it is"]
    by_tool: dict[str, dict[str, Mapping]] = {}
    for tool, row in with_tools(rows):
        if tool.sends:
            by_tool.setdefault(tool.name, {})[row["load"]] = row
    tools = {tool.name: tool for tool in TOOLS}
    body = []
    for name, of in by_tool.items():
        held = report.BLANK
        if LATE in of:
            held = " / ".join(f"{of[LATE][f'server_p{each}_ms']:.1f}" for each in PERCENTILES)
        cells = [times(of[each]) if each in of else report.BLANK for each in (AT_ONCE, LATE)]
        body.append([tools[name].title, *cells, held, tools[name].latency])
    return report.table(head, body)


def summary_means(rows: Sequence[Mapping]) -> Iterator[str]:
    """What one reads who takes a tool's summary for the messages' latency."""
    for tool, row in with_tools(rows):
        if row["tool_summary_mean_ms"] is not None and row["load"] != REFUSING:
            yield (
                f"- {tool.title}, {row['load']}: the mean of `{tool.sent.name}`, all that its "
                f"summary has without a transaction, is {row['tool_summary_mean_ms']:.1f} ms."
            )


def times(row: Mapping) -> str:
    if not percentile_keys(row):
        return report.BLANK
    ranked = " / ".join(f"{row[f'tool_p{percent}_ms']:.1f}" for percent in PERCENTILES)
    return f"{ranked}, {row['tool_mean_ms']:.1f} ms"


def with_tools(rows: Sequence[Mapping]) -> Iterator[tuple[Tool, Mapping]]:
    """In the catalogue's order."""
    for tool in TOOLS:
        for row in rows:
            if row["peer"] == tool.name:
                yield tool, row


def section(document: Mapping) -> str:
    rows, settings = document["repeats"], document["settings"]
    unlike = [
        f"- {tool.title}, {row['load']}: {each}."
        for tool, row in with_tools(rows)
        for each in differences(tool, row)
    ]
    versions = ", ".join(document["versions"]["tools"].values())
    parts = [
        BEGIN,
        report.provenance([document]),
        f"Tools: {versions}.",
        f"Plan: {settings['sockets']:,} sockets, {settings['messages']} messages on each, 1/s."
        + (REALTIME if settings["realtime"] else ""),
        "Counts, as the tool says / as the server counted:",
        counts_table(rows),
        "What differs:",
        "\n".join(unlike) or "Nothing, in the runs that came to their end.",
        "Latency in ms:",
        latency_table(rows),
        "\n".join(summary_means(rows)),
        report.absences([document]) if document["missing"] or document["failed"] else "",
        END,
    ]
    return "\n\n".join(part for part in parts if part)


def write_page(document: Mapping, path: Path) -> None:
    page = path.read_text() if path.exists() else "# Cross-check\n"
    path.write_text(report.replaced(page, section(document), BEGIN, END))
    print(f"written: {path}", flush=True)
