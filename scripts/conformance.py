"""Run Autobahn|Testsuite against both of our ends: `make conformance`.

As server, `python -m echo_trio` answers on `/plain`; as client, the wire's own connection echoes.
Either also does so behind a proxy of ours (`python -m echo_trio --upstream`): the suite's client
talks to our server through one, and our client to the suite's server. For the latter it is told to
offer its upstream compression, which it does not by itself.
All 517 cases have to be as good as docs/conformance.json says: OK, or INFORMATIONAL where a case
only informs. `--record` writes that file; it takes no worse result than those either.

The suite runs on Python 2.7 only: $PYTHON27, else python2.7 from PATH or pyenv. It is installed
into .venv-autobahn, in the versions that requirements/conformance.txt names.

Exit codes: 0 as recorded; 1 worse, or cases missing; 77 the suite can't run here.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import trio

from echo_trio.wire import client_handshake, deflate, handshake, sockets
from echo_trio.wire.connection import Connection, Limits
from echo_trio.wire.poller import AVAILABLE, Poller

ROOT = Path(__file__).parent.parent
INDEX = ROOT / "docs" / "conformance.json"
REQUIREMENTS = ROOT / "requirements" / "conformance.txt"
ENVIRONMENT = ROOT / ".venv-autobahn"
#: The last that makes environments for Python 2.7; it brings a pip for it along.
VIRTUALENV = "virtualenv==20.21.1"

CASES = 517
#: What `make test` runs: all but the heavy sections (limits, compression).
QUICK_SECTIONS = ("1", "2", "3", "4", "5", "6", "7", "10")
INFORMATIVE = frozenset({"7.1.6", "7.13.1", "7.13.2"})
#: Best first; any other result of the suite is worse.
GRADES = ("OK", "INFORMATIONAL")

AGENT = "echo-trio"
MAX_MESSAGE_BYTES = 2**24  # section 9 sends that much
#: Some of the quick cases wait for a second; as many at once keep the suite's one thread busy. The
#: others keep it busy by themselves, and have only so long.
CONCURRENT_QUICK_CASES = 4
#: A machine that was busy for a second may have made a case late: it gets another chance, alone.
RETRIES = 2

#: Not how long it takes: how long a run that hangs may.
QUICK_TIMEOUT_S, TIMEOUT_S = 300, 4 * 3600

#: Ended by one of these, it ends the server and the suite that it has started.
SIGNALS = (signal.SIGINT, signal.SIGTERM)

CAN_NOT_RUN = 77
Results = dict[str, tuple[str, str]]  # case -> behaviour, behaviour at the close
Recorded = dict[str, Results]  # by role


class CanNotRun(Exception):
    """Something that the suite needs is missing on this machine."""


# -- The suite --------------------------------------------------------------------------------


def find_python27() -> str:
    """Find the interpreter to run the suite with."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    named = os.environ.get("PYTHON27")
    candidates = [named] if named else ["python2.7"]
    if not named:
        candidates += map(str, sorted(pyenv.glob("versions/2.7*/bin/python2.7"), reverse=True))
    for candidate in candidates:
        # pyenv's shim is on PATH and fails, unless its version 2.7 is chosen.
        with contextlib.suppress(OSError):
            command = [candidate, "-c", "import sys; print(sys.version_info[:2] == (2, 7))"]
            if subprocess.run(command, capture_output=True, check=False).stdout == b"True\n":
                return candidate
    raise CanNotRun(
        f"PYTHON27={named} is no Python 2.7" if named else "there is no Python 2.7 (set PYTHON27)"
    )


def install() -> Path:
    """Make the suite's environment if need be; return its interpreter."""
    python = ENVIRONMENT / "bin" / "python"
    wanted = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()
    mark = ENVIRONMENT / ".installed"
    with (ROOT / ".venv-autobahn.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if mark.exists() and mark.read_text() == wanted:
            return python
        python27 = find_python27()
        print(f"conformance: installing the suite into {ENVIRONMENT.name}", file=sys.stderr)
        shutil.rmtree(ENVIRONMENT, ignore_errors=True)
        tool = ENVIRONMENT / "virtualenv"
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(tool)]
        run_installer([*pip, VIRTUALENV])
        make = [sys.executable, "-m", "virtualenv", "--quiet", "--python", python27]
        run_installer([*make, str(ENVIRONMENT)], PYTHONPATH=str(tool))
        # To compile everything takes a third of the time; what is imported is compiled then.
        pip = [str(python), "-m", "pip", "install", "--quiet", "--no-compile"]
        run_installer([*pip, "-r", str(REQUIREMENTS)])
        mark.write_text(wanted)
    return python


def run_installer(command: list[str], **environment: str) -> None:
    """Run a command; show its output only if it fails."""
    done = subprocess.run(
        command,
        env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        last = "\n".join(done.stdout.splitlines()[-15:])
        raise CanNotRun(f"the suite can't be installed: {' '.join(command)} failed\n{last}")


def quick(case: str) -> bool:
    """Tell whether a case is in one of the quick sections."""
    return case.partition(".")[0] in QUICK_SECTIONS


def all_cases(python: Path) -> list[str]:
    """List every case that the suite has, in its order."""
    program = (
        "import json; from autobahntestsuite.case import Cases; "
        "print(json.dumps([c.__name__[4:].replace('_', '.') for c in Cases]))"
    )
    done = subprocess.run([python, "-c", program], capture_output=True, check=True)
    cases: list[str] = json.loads(done.stdout)
    return cases


class Suite:
    """wstest, in a directory for its reports."""

    def __init__(self, python: Path, directory: Path) -> None:
        self._command = [str(python), "-u", str(python.with_name("wstest")), "--webport", "0"]
        self._directory = directory
        self._runs = 0

    def command(self, mode: str, cases: list[str], **spec: object) -> tuple[list[str], Path]:
        """Make a command line, and the folder of its reports."""
        self._runs += 1
        reports = self._directory / f"{mode}-{self._runs}"
        reports.mkdir()
        path = reports / "spec.json"
        path.write_text(json.dumps({"outdir": str(reports), "cases": cases, **spec}))
        return [*self._command, "--mode", mode, "--spec", str(path)], reports


def read_results(reports: Path) -> Results:
    """Read the suite's verdict on each case that it finished."""
    index = reports / "index.json"
    agents = json.loads(index.read_text()) if index.exists() else {}
    return {
        case: (result["behavior"], result["behaviorClose"])
        for case, result in agents.get(AGENT, {}).items()
    }


# -- Our ends ---------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def our_server(*flags: str) -> AsyncIterator[str]:
    """Run `python -m echo_trio` with what the suite asks for; yield its URL."""
    command = [sys.executable, "-m", "echo_trio", "--port", "0", "--no-console", "--compression"]
    command += flags
    # A ping from us during a slow case is not what the case expects.
    command += ["--max-message-size", str(MAX_MESSAGE_BYTES), "--ping-interval", "0"]
    command += ["--log-level", "warning"]
    async with trio.open_nursery() as nursery:
        process = await nursery.start(
            partial(trio.run_process, command, stdout=subprocess.PIPE, check=False)
        )
        line = bytes(await process.stdout.receive_some()).decode()
        ready = re.match(r"ready ws=(\S+)", line)
        if ready is None:
            raise RuntimeError(f"the server did not start: {line!r}")
        yield ready[1]
        nursery.cancel_scope.cancel()


async def try_server(suite: Suite, cases: list[str], *, proxied: bool = False) -> Results:
    """Let the suite, as client, try our server, through a proxy perhaps."""
    async with contextlib.AsyncExitStack() as running:
        url = await running.enter_async_context(our_server())
        if proxied:
            url = await running.enter_async_context(our_server("--upstream", url))
        servers = [{"agent": AGENT, "url": url + "plain"}]
        command, reports = suite.command("fuzzingclient", cases, servers=servers)
        with (reports / "log").open("w") as log:
            await trio.run_process(command, stdout=log, stderr=log, check=False)
    return read_results(reports)


async def try_client(suite: Suite, cases: list[str], *, proxied: bool = False) -> Results:
    """Let the suite, as server, try our client, through a proxy perhaps."""
    port = free_port()
    command, reports = suite.command("fuzzingserver", cases, url=f"ws://127.0.0.1:{port}")
    with (reports / "log").open("w") as log:
        async with trio.open_nursery() as nursery, contextlib.AsyncExitStack() as stack:
            await nursery.start(
                partial(trio.run_process, command, stdout=log, stderr=log, check=False)
            )
            await listening(port)
            if proxied:
                upstream = f"ws://127.0.0.1:{port}"
                flags = ("--upstream", upstream, "--upstream-compression")
                url = await stack.enter_async_context(our_server(*flags))
                port = urlsplit(url).port or 0
            poller = Poller() if AVAILABLE else None
            if poller is not None:
                nursery.start_soon(poller.run)
            limiter = trio.CapacityLimiter(CONCURRENT_QUICK_CASES if quick(cases[0]) else 1)
            async with trio.open_nursery() as running:
                for case in cases:
                    await limiter.acquire_on_behalf_of(case)
                    running.start_soon(run_case, port, case, poller, limiter)
            await echo_on(port, f"/updateReports?agent={AGENT}", poller)
            await stack.aclose()
            nursery.cancel_scope.cancel()
    return read_results(reports)


def free_port() -> int:
    """Find a port that was free a moment ago: wstest can't be asked which one it took."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


async def listening(port: int) -> None:
    """Wait until a process listens there."""
    with trio.fail_after(60):
        while True:
            try:
                (await trio.open_tcp_stream("127.0.0.1", port)).socket.close()
            except OSError:
                await trio.sleep(0.05)
            else:
                return


async def run_case(
    port: int, case: str, poller: Poller | None, limiter: trio.CapacityLimiter
) -> None:
    """Echo through one case; the limiter is held for it already."""
    try:
        await echo_on(port, f"/runCase?agent={AGENT}&casetuple={case}", poller)
    except (OSError, client_handshake.HandshakeFailed, handshake.ConnectionCut) as exc:
        print(f"client: {case}: {exc}", file=sys.stderr)  # and so it has no result
    finally:
        limiter.release_on_behalf_of(case)


async def echo_on(port: int, target: str, poller: Poller | None) -> None:
    """Open a connection as the load generator does, and echo until the server has had enough."""
    (address,) = await sockets.resolve("127.0.0.1", port)
    sock = await sockets.connect(address)
    key, offers = client_handshake.make_key(), [deflate.OFFER]
    sock.send(client_handshake.request_bytes(target, f"127.0.0.1:{port}", key, extensions=offers))

    async def receive() -> bytes:
        await trio.lowlevel.wait_readable(sock)
        return sock.recv(handshake.MAX_HEAD_BYTES)

    try:
        head, surplus = await handshake.receive_head(receive)
        response = client_handshake.parse_response(head, key, extensions=offers)
    except BaseException:
        sock.close()
        raise
    connection = Connection.opened(
        sock,
        client=True,
        limits=Limits(max_message_bytes=MAX_MESSAGE_BYTES, write_timeout_s=60),
        poller=poller,
        surplus=surplus,
        compression=response.compression,
    )
    await connection.run(lambda message: message)


ROLES = {
    "server": try_server,
    "client": try_client,
    "proxied-server": partial(try_server, proxied=True),
    "proxied-client": partial(try_client, proxied=True),
}
#: What `make test` runs: the others share all their code with these, but for the proxy's own tests.
QUICK_ROLES = ("client", "server")


# -- Comparing --------------------------------------------------------------------------------


NO_RESULT = "no result"


def grade(behaviour: str) -> int:
    """Rank a verdict: 0 is best."""
    return GRADES.index(behaviour) if behaviour in GRADES else len(GRADES)


def allowed(case: str) -> tuple[str, str]:
    """Return the worst verdict that may be recorded."""
    return ("INFORMATIONAL",) * 2 if case in INFORMATIVE else ("OK",) * 2


def worse(cases: Iterable[str], results: Results, expected: Results) -> dict[str, str]:
    """Find the cases that did worse than expected, and how."""
    faults = {}
    for case in cases:
        got, want = results.get(case), expected.get(case, allowed(case))
        if got is None:
            faults[case] = NO_RESULT
        elif any(grade(ours) > grade(theirs) for ours, theirs in zip(got, want, strict=True)):
            faults[case] = f"{' / '.join(got)}, not {' / '.join(want)}"
    return faults


def in_order(cases: Iterable[str]) -> list[str]:
    """Sort cases by their numbers: 7.9.2 before 7.10.1."""
    return sorted(cases, key=lambda case: [int(part) for part in case.split(".")])


def load() -> Recorded:
    """Load the recorded results; empty if there are none."""
    return json.loads(INDEX.read_text())["results"] if INDEX.exists() else {}


def record(role: str, results: Results) -> None:
    """Write results that are good enough into the index, a case a line."""
    recorded = load()
    of_role = recorded.setdefault(role, {})
    of_role |= {case: got for case, got in results.items() if not worse([case], results, {})}
    roles = []
    for name in sorted(recorded):
        results = recorded[name]
        lines = [
            f"   {json.dumps(case)}: {json.dumps(results[case])}" for case in in_order(results)
        ]
        roles.append(f"  {json.dumps(name)}: {{\n" + ",\n".join(lines) + "\n  }")
    suite = re.search(r"autobahntestsuite==(\S+)", REQUIREMENTS.read_text())
    assert suite is not None
    INDEX.write_text(
        f'{{\n "autobahntestsuite": "{suite[1]}",\n "results": {{\n'
        + ",\n".join(roles)
        + "\n }\n}\n"
    )


def batches(cases: list[str]) -> list[list[str]]:
    """Group cases that run in one go: all quick ones, and each subsection of the others."""
    found: dict[str, list[str]] = {}
    for case in cases:
        name = "quick" if quick(case) else ".".join(case.split(".")[:2])
        found.setdefault(name, []).append(case)
    return list(found.values())


async def run_batch(role: str, suite: Suite, cases: list[str], expected: Results) -> Results:
    """Run cases in one role; try those again that did worse."""
    began = time.monotonic()
    results = await ROLES[role](suite, cases)
    for _ in range(RETRIES):
        again = list(worse(cases, results, expected))
        if not again or len(again) > len(cases) // 10 + 1:
            break
        print(f"{role}: once more: {' '.join(again)}", flush=True)
        results |= await ROLES[role](suite, again)
    took_s = time.monotonic() - began
    counts = Counter(" / ".join(result) for result in results.values())
    told = ", ".join(f"{count} {name}" for name, count in counts.most_common())
    span = f"{cases[0]} to {cases[-1]}"
    print(
        f"{role}: {span}: {len(results)} of {len(cases)} cases in {took_s:.0f} s: {told}",
        flush=True,
    )
    return results


async def run_roles(
    suite: Suite,
    roles: list[str],
    cases: list[str],
    expected: Recorded,
    keep: Callable[[str, Results], None],
    timeout_s: float,
) -> Recorded:
    """Run the roles beside each other; leave out what had not ended in time.

    :param keep: is given the results of a role, a batch at a time.
    """
    results: Recorded = {role: {} for role in roles}

    async def run(role: str) -> None:
        for batch in batches(cases):
            of_batch = await run_batch(role, suite, batch, expected.get(role, {}))
            results[role] |= of_batch
            keep(role, of_batch)

    with trio.move_on_after(timeout_s) as running, trio.open_signal_receiver(*SIGNALS) as signals:
        async with trio.open_nursery() as watching:

            @watching.start_soon
            async def stop_on_signal() -> None:
                async for number in signals:
                    print(f"stopped by {signal.Signals(number).name}", file=sys.stderr)
                    running.cancel()

            async with trio.open_nursery() as nursery:
                for role in roles:
                    nursery.start_soon(run, role)
            watching.cancel_scope.cancel()
    if trio.current_time() > running.deadline:
        print(f"given up after {timeout_s} s", file=sys.stderr)
    return results


def main() -> int:
    """Run the requested cases; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("cases", nargs="*", help="cases or sections, as 7.1.1 or 12; all if none")
    parser.add_argument("--quick", action="store_true", help="the sections that make test runs")
    parser.add_argument("--role", choices=sorted(ROLES), action="append")
    parser.add_argument("--record", action="store_true", help=f"write {INDEX.relative_to(ROOT)}")
    parser.add_argument("--reports", type=Path, help="keep the suite's own reports here")
    arguments = parser.parse_args()
    sections = arguments.cases or (QUICK_SECTIONS if arguments.quick else ())
    roles = arguments.role or sorted(QUICK_ROLES if arguments.quick else ROLES)
    try:
        python = install()
    except CanNotRun as exc:
        print(f"conformance: can't run: {exc}", file=sys.stderr)
        return CAN_NOT_RUN
    known = all_cases(python)
    cases = [
        case
        for case in known
        if not sections or any(f"{case}.".startswith(f"{section}.") for section in sections)
    ]
    if not cases:
        parser.error(f"the suite has no case {' '.join(sections)}")
    expected = {} if arguments.record else load()
    with tempfile.TemporaryDirectory(prefix="conformance-") as temporary:
        directory = arguments.reports or Path(temporary)
        directory.mkdir(parents=True, exist_ok=True)
        timeout_s = QUICK_TIMEOUT_S if arguments.quick else TIMEOUT_S
        keep = record if arguments.record else lambda _role, _results: None
        suite = Suite(python, directory)
        results = trio.run(run_roles, suite, roles, cases, expected, keep, timeout_s)
    faults = {role: worse(cases, results[role], expected.get(role, {})) for role in roles}
    for role in roles:
        missing = [case for case, fault in faults[role].items() if fault == NO_RESULT]
        if missing:
            some = " ".join(missing[:10]) + (" …" if len(missing) > 10 else "")
            print(f"{role}: no result of {len(missing)} cases: {some}", file=sys.stderr)
        for case, fault in faults[role].items():
            if fault != NO_RESULT:
                print(f"{role}: {case}: {fault}", file=sys.stderr)
    if len(known) != CASES:
        print(f"the suite has {len(known)} cases, not {CASES}", file=sys.stderr)
        return 1
    return 1 if any(faults.values()) else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:  # while installing
        sys.exit(130)
