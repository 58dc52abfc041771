"""The load generators that are measured: ours and what the registries have for WebSocket.

Each is asked for the same: open so many sockets, hold them until all are open, then send 16
bytes a second on each and check every reply, until Ctrl-C.
"""

import json
import shutil
import string
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import provision
from machine import REPOSITORY
from provision import HERE, Missing
from server_catalogue import our_python

OURS = "loadgen"
OUR_SCENARIO = "scenario"
#: The peers whose users are code as well.
K6, LOCUST = "k6", "locust"
#: Those of ours: they open all sockets before they send, and write a report.
OUR_OWN = (OURS, OUR_SCENARIO)
SCRIPTS = HERE / "peers" / "generators"
MESSAGE = "0123456789abcdef"
# How fast those are told to open sockets that have to be told.
ARRIVALS_PER_S = 1000
K6_USERS = 100

OPEN_LOOP, CLOSED_LOOP, NO_LOAD = "open loop 1/s", "closed loop", "none"


@dataclass(frozen=True)
class Assignment:
    """What one run of a generator has to do."""

    url: str
    sockets: int
    load: str
    hold_s: int
    """Peers that send as soon as a socket is open wait so long first, so that opening and
    sending can be told apart."""
    scratch: Path


@dataclass(frozen=True)
class Launch:
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    companion: Sequence[str] = ()
    """A process that must run beside it, and is not counted."""


@dataclass(frozen=True)
class Generator:
    name: str
    title: str
    launch: Callable[[Assignment], Launch]
    """Installs what it needs; raises `Missing` with the reason."""
    verifies: str
    loads: Sequence[str] = (OPEN_LOOP,)


def _ours(assignment: Assignment) -> Launch:
    command = [our_python(), "-m", "loadgen", str(assignment.sockets), assignment.url]
    command += ["--json=-", "--quiet", "--size", "16", "--duration", "10m"]
    command += ["--closed-loop"] if assignment.load == CLOSED_LOOP else ["--rate-per-conn", "1/s"]
    return Launch(command)


def _our_scenario(assignment: Assignment) -> Launch:
    command = [our_python(), "-m", "loadgen", str(assignment.sockets), assignment.url]
    command += ["--json=-", "--quiet", "--duration", "10m"]
    name = "closed_loop" if assignment.load == CLOSED_LOOP else "open_loop"
    return Launch([*command, "--scenario", f"{SCRIPTS / 'scenario.py'}:{name}"])


def our_absence() -> str | None:
    """Why our generator cannot be run here, if it cannot."""
    helped = subprocess.run(
        [our_python(), "-m", "loadgen", "--help"], capture_output=True, text=True, cwd=REPOSITORY
    )
    if helped.returncode == 0:
        return None
    return (helped.stderr.strip().splitlines() or ["no message"])[-1]


def _k6(assignment: Assignment) -> Launch:
    loop = "closed" if assignment.load == CLOSED_LOOP else "open"
    return launch_k6(SCRIPTS / "k6.js", assignment, HOLD_S=assignment.hold_s, LOOP=loop)


def launch_k6(script: Path, assignment: Assignment, **values: int | str) -> Launch:
    command = [str(provision.k6()), "run", "--quiet", "--no-usage-report", "--address", ""]
    users = min(K6_USERS, assignment.sockets)
    values |= {"SOCKETS": assignment.sockets, "USERS": users}
    environment = {name: str(value) for name, value in values.items()}
    return Launch([*command, str(script)], {"TARGET": assignment.url, **environment})


ARTILLERY_EXCHANGE = {
    "send": {
        "payload": MESSAGE,
        "match": {"regexp": rf"^({MESSAGE}) \d+$", "group": 1, "value": MESSAGE},
    }
}


def _artillery(assignment: Assignment) -> Launch:
    flow = [
        {"think": assignment.hold_s},
        {"loop": [ARTILLERY_EXCHANGE, {"think": 1}], "count": 1_000_000},
    ]
    return launch_artillery(assignment, flow)


def launch_artillery(
    assignment: Assignment,
    flow: Sequence[Mapping[str, object]],
    flags: Sequence[str] = (),
    **configuration: str,
) -> Launch:
    arrival_s = max(1, round(assignment.sockets / ARRIVALS_PER_S))
    script = {
        "config": {
            "target": assignment.url,
            "phases": [{"duration": arrival_s, "arrivalCount": assignment.sockets}],
            **configuration,
        },
        "scenarios": [{"engine": "ws", "flow": flow}],
    }
    path = assignment.scratch / "artillery.json"
    path.write_text(json.dumps(script))
    return Launch(
        [str(provision.artillery()), "run", "--quiet", *flags, str(path)],
        {"ARTILLERY_DISABLE_TELEMETRY": "true"},
    )


def _locust(assignment: Assignment) -> Launch:
    python = provision.python_peers()
    command = [str(python), "-m", "locust", "-f", str(SCRIPTS / "locustfile.py"), "--headless"]
    command += ["--only-summary", "--users", str(assignment.sockets)]
    return Launch(
        [*command, "--spawn-rate", str(ARRIVALS_PER_S)],
        {
            "TARGET": assignment.url,
            "HOLD_S": str(assignment.hold_s),
            "LOOP": "closed" if assignment.load == CLOSED_LOOP else "open",
        },
    )


def _tsung(assignment: Assignment) -> Launch:
    return launch_tsung(SCRIPTS / "tsung.xml", assignment, hold_s=assignment.hold_s)


def launch_tsung(template: Path, assignment: Assignment, **values: int) -> Launch:
    tsung = provision.tsung()
    epmd = shutil.which("epmd")
    if epmd is None:
        raise Missing("Erlang's port mapper epmd is not installed")
    target = urlsplit(assignment.url)
    script = assignment.scratch / "tsung.xml"
    script.write_text(
        string.Template(template.read_text()).substitute(
            host=target.hostname, port=target.port, sockets=assignment.sockets, **values
        )
    )
    return Launch(
        [tsung, "-f", str(script), "-l", str(assignment.scratch), "-n", "start"],
        # It keeps its state in the home directory.
        {"HOME": str(assignment.scratch)},
        # Else it leaves one behind as a daemon, listening on every address.
        companion=[epmd, "-address", "127.0.0.1"],
    )


def launch_massconnect(assignment: Assignment) -> Launch:
    python, environment = provision.massconnect()
    spec = {
        # Its own defaults but for the pause between batches, which is 1 s there.
        "options": {
            "connections": assignment.sockets,
            "batchsize": 100,
            "batchdelay": 100,
            "retrydelay": 200,
        },
        "servers": [{"name": "target", "uri": assignment.url.rstrip("/"), "desc": "target"}],
    }
    path = assignment.scratch / "massconnect.json"
    path.write_text(json.dumps(spec))
    return Launch(
        [python, "-m", "autobahntestsuite.wstest", "-m", "massconnect", "-s", str(path)],
        environment,
    )


GENERATORS = (
    Generator(OURS, "loadgen (ours)", _ours, "every reply, by identity", (OPEN_LOOP, CLOSED_LOOP)),
    Generator(
        OUR_SCENARIO,
        "loadgen (ours), a scenario",
        _our_scenario,
        "every reply, by the script",
        (OPEN_LOOP, CLOSED_LOOP),
    ),
    Generator(K6, "k6 v2", _k6, "every reply, by the script", (OPEN_LOOP, CLOSED_LOOP)),
    Generator("artillery", "Artillery", _artillery, "every reply, by pattern"),
    Generator(
        LOCUST,
        "Locust + websocket-client",
        _locust,
        "every reply, by the script",
        (OPEN_LOOP, CLOSED_LOOP),
    ),
    Generator("tsung", "tsung", _tsung, "every reply, by pattern"),
    Generator(
        "massconnect", "Autobahn massconnect", launch_massconnect, "sends no messages", (NO_LOAD,)
    ),
)

# Looked at, and not to be measured here; printed and recorded like every missing peer.
NOT_MEASURED = {
    "thor": "depends on packages by git address, which no registry has",
    "loadtest": "takes only JSON as a reply, and ours is message + suffix",
    "websocket-bench": "speaks Socket.IO, Faye and Primus, not plain WebSocket",
    "websocat": "one socket a process: a tool for talking, not for load",
    "oha": "speaks HTTP only",
}
