"""Run a plan in the foreground: in this process, in several, or on a cluster."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from typing import Annotated, Final

import trio
from cyclopts import Parameter

from echo_trio import flags
from echo_trio.wire import process
from loadgen.cli.journal import NO_JOURNAL
from loadgen.cli.output import Output, warn, write_stdout
from loadgen.cli.progress import watch
from loadgen.engine.engine import Engine
from loadgen.engine.running import Running
from loadgen.journal.run import Journal
from loadgen.preflight.check import Refused
from loadgen.processes.coordinator import Coordinator
from loadgen.processes.local import Processes
from loadgen.report.stream import stream
from loadgen.report.verdict import explain_failure
from loadgen.results.ledger import Failure
from loadgen.results.result import Result
from loadgen.signals import INTERRUPTS
from loadgen.target_metrics.poll import TargetSeries
from loadgen.workload.plan import Plan
from loadgen.workload.target import DEFAULT_PORT

#: Where our own server listens, unless told otherwise.
_LOOPBACK: Final = {"127.0.0.1", "localhost"}

_SCHEDULER: Final = re.compile(r"((tcp|tls|ws|wss)://)?[^/\s]+:[0-9]+")


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """What is done with a run besides reporting it, and by how many."""

    workers: Annotated[int | None, flags.processes("--workers", default=1)] = None
    """Processes of this machine that share the sockets; auto is one for each core."""

    dask: str | None = None
    """Address of a Dask scheduler, like tcp://host:8786: its workers share the sockets, a process
    for each of their threads, or as many as --workers says."""

    fail_if: Annotated[tuple[str, ...], Parameter(negative="", show_default=False)] = ()
    """Fail with exit code 99 if this holds of the report: latency.p99>50ms, messages.lost>0,
    connections.failed>=1% …; repeatable."""

    find_capacity: Annotated[bool, Parameter(negative="")] = False
    """Run again and again, at ever higher rates, until one breaks a --fail-if (by default
    latency.p99>100ms) or fails; report the highest that held. Starts with the rate given."""

    console: str | None = None
    """Ask the target for its own connections, CPU, memory and lag each second: at the console of
    echo-trio, like http://127.0.0.1:8766/, or at any Prometheus page, like http://host/metrics."""

    journal: str | None = None
    """Keep what is measured in this file while the run goes, for `loadgen recover` should the
    generator be killed; by default in the user's state folder. off keeps none. It has to be a new
    file."""

    overwrite: Annotated[bool, Parameter(negative="")] = False
    """Let --journal take the place of the journal that an earlier run has left there."""

    @property
    def journal_file(self) -> str | None:
        """The file that --journal names."""
        return None if self.journal == NO_JOURNAL else self.journal

    def find_problem(self) -> str | None:
        """What would keep the run from beginning."""
        if self.overwrite and self.journal_file is None:
            return "--overwrite goes with --journal FILE"
        if self.dask is not None and not _SCHEDULER.fullmatch(self.dask):
            return f"--dask {self.dask!r} is no address: write it like tcp://host:8786"
        if self.dask is not None and find_spec("distributed") is None:
            return "--dask needs an extra: pip install 'echo-trio[cluster]'"
        return None


async def run(
    plan: Plan,
    options: Options,
    output: Output,
    journal: Journal | None = None,
    target: TargetSeries | None = None,
) -> Result | Refused:
    """Run the plan; a signal ends it in good order."""
    process.raise_file_limit()
    process.keep_large_buffers()
    process.spare_long_lived_objects()
    engine, token = _make_run(plan, options), trio.lowlevel.current_trio_token()
    with INTERRUPTS.stopping(lambda: token.run_sync_soon(engine.interrupt)):
        async with trio.open_nursery() as nursery:
            if not output.quiet:
                nursery.start_soon(partial(watch, engine, color=output.color))
            if output.stream:
                nursery.start_soon(stream, engine, write_stdout)
            if journal is not None:
                nursery.start_soon(journal.keep, engine)
            if target is not None:
                nursery.start_soon(target.keep, engine)
            try:
                result: Result | Refused = await engine.run()
            except Refused as refused:
                result = refused
            nursery.cancel_scope.cancel()
    return result


def _make_run(plan: Plan, options: Options) -> Running:
    """The run of a plan: in this process, or in several."""
    if options.dask is not None:
        from loadgen.processes.dask import Cluster  # noqa: PLC0415 - an extra, and seconds to import

        return Coordinator(plan, Cluster(options.dask, options.workers), on_warning=warn)
    if options.workers is not None and options.workers > 1:
        return Coordinator(plan, Processes(options.workers), on_warning=warn)
    return Engine(plan, on_warning=warn)


def explain_nothing_opened(result: Result) -> str:
    """One line: what happened, and what to do."""
    ledger, plan = result.ledger, result.plan
    reasons = ", ".join(
        f"{count:,} × {explain_failure(ledger, reason)}"
        for reason, count in ledger.failed.most_common()
    )
    line = f"loadgen: no socket could be opened to {plan.shown_url}: {reasons}"
    if ledger.failed[Failure.REFUSED]:
        target = plan.target
        if target.host in _LOOPBACK:
            port = "" if target.port == DEFAULT_PORT else f" --port {target.port}"
            return f"{line}. Nothing listens there; start a server: python -m echo_trio{port}"
        return f"{line}. Nothing listens there: is the server running, and is this its port?"
    if any("wrong version number" in error for error in ledger.tls_errors):  # OpenSSL's words
        return f"{line}. What listens there does not speak TLS: is it ws://?"
    if ledger.failed[Failure.FILE_LIMIT]:
        return f"{line}. This shell's limit on open files is too low: see ulimit -Hn"
    return line
