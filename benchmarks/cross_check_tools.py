"""Who takes part in the cross-check: how each tool is started, and what its own account says.

Each is asked for the same: open so many sockets, send so many messages on each, one a second,
check every reply, close. None of them is asked for what it cannot: massconnect opens only.
"""

import json
import math
import re
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import provision
from generator_catalogue import (
    ARTILLERY_EXCHANGE,
    OURS,
    Assignment,
    Launch,
    launch_artillery,
    launch_k6,
    launch_massconnect,
    launch_tsung,
)
from provision import HERE
from server_catalogue import our_python

SCRIPTS = HERE / "peers" / "cross_check"
PERCENTILES = (50, 95, 99)

ANSWER_AFTER_MS = 100
REFUSE_EVERY = 10
AT_ONCE, LATE, REFUSING = "at once", f"after {ANSWER_AFTER_MS} ms", "one in ten refused"
SERVERS = {
    AT_ONCE: [],
    LATE: [f"--answer-after={ANSWER_AFTER_MS}"],
    REFUSING: [f"--refuse-every={REFUSE_EVERY}"],
}

ARTILLERY_REFUSED = "errors.Unexpected server response: 404"


@dataclass(frozen=True)
class Counter:
    """One of a tool's own counters."""

    name: str = ""
    includes: Sequence[str] = ()
    """What of the witness's counts it takes in as well, beside what it is shown for."""


@dataclass(frozen=True)
class Account:
    """What a tool says of its run; `None` where it says nothing."""

    opened: int | None
    sent: int | None = None
    replies: int | None = None
    refused: int | None = None
    latency_ms: Mapping[str, float] = field(default_factory=dict)
    """Of the messages alone: p50, p95, p99, mean."""
    summary_mean_ms: float | None = None
    """The one mean of its summary, where that is of more than the messages."""
    faults: Mapping[str, int] = field(default_factory=dict)
    """Its own counters of what went wrong, those above zero."""


@dataclass(frozen=True)
class Finished:
    """What a tool left behind."""

    stdout: str
    assignment: Assignment


@dataclass(frozen=True)
class Tool:
    name: str
    title: str
    launch: Callable[[Assignment, int], Launch]
    """Of the assignment and the messages for each socket; raises `Missing` with the reason."""
    account: Callable[[Finished], Account]
    version: Callable[[], str]
    opened: Counter
    sent: Counter = field(default_factory=Counter)
    replies: Counter = field(default_factory=Counter)
    refused: Counter = field(default_factory=Counter)
    loop: str = ""
    latency: str = ""
    """What its latency is, for the table."""
    ends: bool = True
    """Of itself; else it is interrupted when the witness has seen all that can come."""

    @property
    def sends(self) -> bool:
        return bool(self.sent.name)


def _launch_ours(assignment: Assignment, messages: int) -> Launch:
    command = [our_python(), "-m", "loadgen", str(assignment.sockets), assignment.url]
    command += ["--messages", str(messages), "--rate-per-conn", "1/s", "--size", "16"]
    return Launch([*command, "--json=-", "--quiet", "--journal=off"])


def _our_account(finished: Finished) -> Account:
    report = json.loads(finished.stdout)
    connections, messages = report["connections"], report["messages"]
    service = report["latency"]["service"]
    columns = ("reordered", "corrupt", "lost", "in_flight", "duplicate", "unexpected", "missed")
    failed = dict(connections["failed"])
    rejected = failed.pop("rejected")
    counted = {column: messages[column] for column in columns} | failed
    return Account(
        connections["opened"],
        messages["sent"],
        messages["echoed"],
        rejected,
        {key: service[key] for key in ("p50", "p95", "p99", "mean") if service["count"]},
        faults={name: n for name, n in counted.items() if n},
    )


def _k6_account(finished: Finished) -> Account:
    metrics = json.loads(finished.stdout)

    def count(name: str) -> int:
        return round(metrics[name]["values"]["count"]) if name in metrics else 0

    trend = metrics.get("script_reply_ms", {"values": {}})["values"]
    names = {"p50": "med", "p95": "p(95)", "p99": "p(99)", "mean": "avg"}
    wrong = count("script_wrong_replies")
    return Account(
        count("ws_sessions"),
        count("ws_msgs_sent"),
        count("ws_msgs_received"),
        latency_ms={key: trend[name] for key, name in names.items() if name in trend},
        faults={"script_wrong_replies": wrong} if wrong else {},
    )


def _launch_artillery(assignment: Assignment, messages: int) -> Launch:
    turn = [{"think": 1}, {"function": "sending"}, ARTILLERY_EXCHANGE, {"function": "answered"}]
    return launch_artillery(
        assignment,
        [{"loop": turn, "count": messages}],
        ["--output", str(assignment.scratch / "artillery-report.json")],
        processor=str(SCRIPTS / "artillery.cjs"),
    )


def _artillery_account(finished: Finished) -> Account:
    report = finished.assignment.scratch / "artillery-report.json"
    aggregate = json.loads(report.read_text())["aggregate"]
    counters = aggregate["counters"]
    summary = aggregate["summaries"].get("script.reply_ms", {})
    refused = counters.pop(ARTILLERY_REFUSED, 0)
    return Account(
        counters.get("vusers.created", 0),
        counters.get("websocket.messages_sent", 0),
        counters.get("websocket.messages_received", 0),
        refused,
        {key: summary[key] for key in ("p50", "p95", "p99", "mean") if key in summary},
        faults={name: n for name, n in counters.items() if n and name.startswith("errors.")},
    )


def _tsung_account(finished: Finished) -> Account:
    # It makes a folder for each run, named by the minute.
    (log,) = finished.assignment.scratch.glob("*/tsung.log")
    counts: dict[str, int] = {}
    sums_ms: dict[str, float] = {}
    for name, rest in re.findall(r"^stats: (\w+) (.+)$", log.read_text(), re.MULTILINE):
        numbers = rest.split()
        if len(numbers) == 2:  # of these ten seconds, and of the whole run
            counts[name] = int(numbers[1])
        else:  # a sample: how many in these ten seconds, their mean, …
            counts[name] = counts.get(name, 0) + int(numbers[0])
            sums_ms[name] = sums_ms.get(name, 0) + int(numbers[0]) * float(numbers[1])

    def mean_ms(name: str) -> float:
        return sums_ms.get(name, math.nan) / counts.get(name, 1)

    raw = (log.parent / "tsung-fullstats.log").read_text()
    samples = sorted(
        float(number)
        for numbers in re.findall(r"\{sample,tr_message,\s*\[?([^\]}]+)", raw)
        for number in numbers.split(",")
    )
    latency_ms = {f"p{percent}": percentile(samples, percent) for percent in PERCENTILES}
    latency_ms["mean"] = mean_ms("tr_message")
    return Account(
        counts.get("websocket_succ", 0),
        counts.get("request", 0),
        counts.get("match", 0),
        counts.pop("error_unknown", 0),
        latency_ms=latency_ms if samples else {},
        summary_mean_ms=mean_ms("request"),
        faults={
            name: n for name, n in counts.items() if n and name.startswith(("error", "nomatch"))
        },
    )


def percentile(ranked: Sequence[float], percent: float) -> float:
    """By nearest rank; of nothing: not a number."""
    return ranked[max(math.ceil(len(ranked) * percent / 100), 1) - 1] if ranked else math.nan


def _launch_massconnect(assignment: Assignment, _messages: int) -> Launch:
    launch = launch_massconnect(assignment)
    # What it prints would stay in its buffer: it never ends of itself.
    return replace(launch, environment={**launch.environment, "PYTHONUNBUFFERED": "1"})


def _massconnect_account(finished: Finished) -> Account:
    said = re.search(r"connected (\d+) clients .*failed (\d+) \+ lost (\d+)", finished.stdout)
    if said is None:
        return Account(None)
    opened, failed, lost = map(int, said.groups())
    faults = {"failed": failed, "lost": lost}
    return Account(opened, faults={name: n for name, n in faults.items() if n})


def _says(*command: str) -> str:
    """What a program says of its version; some do so on stderr."""
    said = subprocess.run(command, capture_output=True, text=True)
    return (said.stdout + said.stderr).strip()


OPEN, CLOSED = "open loop", "closed loop, 1 s of think time"

TOOLS = (
    Tool(
        OURS,
        "loadgen (ours)",
        _launch_ours,
        _our_account,
        lambda: f"loadgen {_says(our_python(), '-m', 'loadgen', '--version')}",
        opened=Counter("connections.opened"),
        sent=Counter("messages.sent"),
        replies=Counter("messages.echoed"),
        refused=Counter("connections.failed.rejected"),
        loop=OPEN,
        latency="`latency.service`, its own: microseconds, HDR histogram",
    ),
    Tool(
        "k6",
        "k6",
        lambda assignment, messages: launch_k6(SCRIPTS / "k6.js", assignment, MESSAGES=messages),
        _k6_account,
        lambda: _says(str(provision.k6()), "version"),
        opened=Counter("ws_sessions", includes=["refused"]),
        sent=Counter("ws_msgs_sent", includes=["closed_clean"]),
        replies=Counter("ws_msgs_received"),
        loop=OPEN,
        latency="a `Trend` of our script, on k6's clock: whole milliseconds",
    ),
    Tool(
        "artillery",
        "Artillery",
        _launch_artillery,
        _artillery_account,
        lambda: provision.ARTILLERY,
        opened=Counter("vusers.created", includes=["refused"]),
        sent=Counter("websocket.messages_sent"),
        replies=Counter("websocket.messages_received"),
        refused=Counter(ARTILLERY_REFUSED, includes=["refused"]),
        loop=CLOSED,
        latency="a histogram of our two steps around each message: buckets 2 % wide",
    ),
    Tool(
        "tsung",
        "tsung",
        lambda assignment, messages: launch_tsung(
            SCRIPTS / "tsung.xml", assignment, messages=messages
        ),
        _tsung_account,
        lambda: _says(provision.tsung(), "-v"),
        opened=Counter("websocket_succ"),
        sent=Counter("request", includes=["opened", "refused", "closed_clean"]),
        replies=Counter("match"),
        refused=Counter("error_unknown"),
        loop=CLOSED,
        latency="its mean of a transaction around each message; percentiles by us, of its samples",
    ),
    Tool(
        "massconnect",
        "Autobahn massconnect",
        _launch_massconnect,
        _massconnect_account,
        lambda: provision.MASSCONNECT,
        opened=Counter("connected … clients"),
        loop="opens only",
        ends=False,
    ),
)
