"""Judge what a user's own code does to a run: users that fail, and code that blocks everybody."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from loadgen.results.result import Result

#: What to do about code that blocks.
REMEDY: Final = "what takes long goes into trio.to_thread.run_sync"
#: A script that blocks the loop for this share of the time delays the same share of replies by
#: milliseconds, and then the 99th percentile shows nothing else.
MAX_BLOCKED_SHARE: Final = 0.01
#: In the open phase each user does a good deal at once. From this share on, users come more
#: slowly by the script's fault than by all others'.
MAX_EARLY_SHARE: Final = 0.5
#: Above this, the user's code and not the target decides when the next message goes.
MAX_SCRIPT_LAG_P99_MS: Final = 100.0
#: The number of causes of failed users that are named, the most frequent first.
MAX_CAUSES: Final = 3


def explain_failed_users(result: Result) -> Iterator[str]:
    """Say how many users failed, and why."""
    if result.scenario is None or not (failed := result.scenario.users.failed):
        return
    causes = result.scenario.users.failed_by.most_common(MAX_CAUSES)
    shown = ", ".join(cause for cause, _ in causes)
    more = ", …" if len(result.scenario.users.failed_by) > MAX_CAUSES else ""
    requested = result.scenario.users.requested
    yield f"{failed:,} of {_users(requested)} failed: {shown}{more}"


def _users(count: int) -> str:
    return "1 user" if count == 1 else f"{count:,} users"


def explain_missed_by_users(missed: int) -> str:
    """Explain messages that fell due and were not sent."""
    was = "1 message was" if missed == 1 else f"{missed:,} messages were"
    return (
        f"{was} due and not sent: their users were still busy when the run had to end, so what is "
        "shown leaves out the slowest"
    )


def explain_blocking(result: Result) -> list[str]:
    """Say where user code blocked everybody, or was late itself, for long enough to matter."""
    if result.scenario is None:
        return []
    reasons = []
    steps = result.scenario.steps
    blocked_us = sum(step.blocked_us for step in steps.values())
    # Each process holds up its own users alone.
    share = blocked_us / 1_000_000 / (result.load_strain.wall_s * result.workers.processes)
    if share > MAX_BLOCKED_SHARE:
        (name, _), worst = max(steps.items(), key=lambda item: item[1].blocked_us)
        mean_ms = worst.blocked_us / max(worst.blocked, 1) / 1000
        reasons.append(
            f"the scenario's own code held all users up for {share:.0%} of the time: at step "
            f"{name} {worst.blocked:,} times, {mean_ms:,.0f} ms each; {REMEDY}"
        )
    lag_ms = result.scenario.script_lag.total.percentile_us(99) / 1000
    if lag_ms > MAX_SCRIPT_LAG_P99_MS:
        slowest = max(
            steps.items(),
            key=lambda item: item[1].longest_lag_us,
            default=None,
        )
        where = "" if slowest is None else f", most of all at step {slowest[0][0]}"
        reasons.append(
            f"1 % of what the users awaited had come {lag_ms:,.0f} ms before their code went "
            f"on{where}"
        )
    return reasons


def find_blocked_opening(result: Result) -> dict[str, object] | None:
    """Find the step whose code blocked everybody while users came, and for what share of that time.

    It spoils none of the load's figures, so it is no reason of the verdict.
    """
    scenario = result.scenario
    if scenario is None or not scenario.opening_s:
        return None
    steps = scenario.steps.items()
    opening_s = scenario.opening_s * result.workers.processes
    share = sum(step.blocked_early_us for _, step in steps) / 1_000_000 / opening_s
    if not share > MAX_EARLY_SHARE:
        return None
    (name, _), _ = max(steps, key=lambda item: item[1].blocked_early_us)
    return {"share": f"{share:.0%}", "step": name}
