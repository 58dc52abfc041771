"""Define the flags for a run as a whole: processes, thresholds, journal, target metrics."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Annotated, Any, Final

from cyclopts import Group, Parameter

from echo_trio import flags

#: The value of `--journal` that asks for none.
NO_JOURNAL: Final = "off"

_SCHEDULER: Final = re.compile(r"((tcp|tls|ws|wss)://)?[^/\s]+:[0-9]+")


#: The group of these flags in the help.
RUN: Final = Parameter(group=Group("Run", sort_key=5))


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """The settings of a run beside its plan and its output."""

    workers: Annotated[int | None, flags.processes("--workers", default=1), RUN] = None
    """Processes on this machine that share the sockets; auto starts one for each core."""

    dask: Annotated[str | None, Parameter(metavar="ADDRESS"), RUN] = None
    """Address of a Dask scheduler, like tcp://host:8786, whose workers share the sockets: one
    process for each of their threads, or as many as --workers says."""

    fail_if: Annotated[
        tuple[str, ...], Parameter(metavar="EXPRESSION", negative="", show_default=False), RUN
    ] = ()
    """Exit with code 99 if this is true of the report, like latency.p99>50ms, messages.lost>0 or
    connections.failed>=1%; repeatable."""

    find_capacity: Annotated[bool, Parameter(negative=""), RUN] = False
    """Repeat the run at ever higher rates, from the given one, until a --fail-if (by default
    latency.p99>100ms) is true or a run fails; report the highest rate that held."""

    confidence: Annotated[float | None, flags.confidence("--confidence"), RUN] = None
    """With --find-capacity: test both sides of the edge until each is right with this
    probability, like 95%; it takes more runs, and says how many before it begins."""

    console: Annotated[str | None, Parameter(metavar="URL"), RUN] = None
    """Read the target's own connections, CPU, memory and lag each second: from the console of
    echo-trio, like http://127.0.0.1:8766/, or from any Prometheus page, like
    http://host/metrics."""

    metrics: Annotated[str | None, Parameter(metavar="[HOST:]PORT"), RUN] = None
    """Serve the figures of the run as a Prometheus page while it goes, by default on 127.0.0.1
    alone; port 0 takes a free one."""

    otlp: Annotated[str | None, Parameter(metavar="URL"), RUN] = None
    """Send the same figures to an OpenTelemetry collector while it goes, by OTLP over HTTP, to a
    URL like http://host:4318/v1/metrics; needs the extra otlp."""

    trace: Annotated[bool, Parameter(negative=""), RUN] = False
    """With --scenario and one user: print every frame on stderr, with what claims it."""

    journal: Annotated[str | None, Parameter(metavar="FILE"), RUN] = None
    """Keep the measurements of the run in this new file, so that `loadgen recover` can report them
    if the generator is killed; off keeps none. By default a file in the user's state folder."""

    overwrite: Annotated[bool, Parameter(negative=""), RUN] = False
    """Let --journal replace the journal of an earlier run."""

    # With its type --help would import it.
    orders: Annotated[Any, Parameter(parse=False)] = None
    """`lines.Lines` that change the load while it goes, for a program that runs it for others."""

    @property
    def shares(self) -> bool:
        """True if several processes share the run."""
        return self.dask is not None or (self.workers is not None and self.workers > 1)

    @property
    def journal_file(self) -> str | None:
        """The file that --journal names."""
        return None if self.journal == NO_JOURNAL else self.journal

    def find_problem(self) -> str | None:
        """Say what would keep the run from beginning; None if nothing would."""
        if self.confidence is not None and not self.find_capacity:
            return "--confidence goes with --find-capacity"
        if self.overwrite and self.journal_file is None:
            return "--overwrite goes with --journal FILE"
        if self.dask is not None and not _SCHEDULER.fullmatch(self.dask):
            return f"--dask {self.dask!r} is no address: write it like tcp://host:8786"
        if self.dask is not None and find_spec("distributed") is None:
            return "--dask needs Dask: pip install 'distributed>=2026.8' (docs/how-to/cluster.md)"
        if self.otlp is not None and not re.match(r"https?://[^/\s]", self.otlp):
            return f"--otlp {self.otlp!r} is no URL: write it like http://host:4318/v1/metrics"
        if self.otlp is not None and find_spec("opentelemetry") is None:
            return (
                "--otlp needs OpenTelemetry: pip install 'opentelemetry-exporter-otlp-proto-http'"
            )
        return None
