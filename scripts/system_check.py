"""Check on this system that server, load generator and pytest plugin do their work.

The packages have to be installed for the Python that runs this; pytest may be:

    python scripts/system_check.py              200 sockets
    python scripts/system_check.py --sockets 1000

Exits with 1 and a line for each thing that is wrong. It is for systems that the tests don't run on,
macOS and Windows, and for interpreters other than that of .venv. A busy machine may make a run
"generator-limited"; nothing else but "valid" is accepted.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import Any

#: For a program to end, or to say its first word.
PATIENCE_S = 300
TESTS = '''
import socket

import pytest


def greet(port):
    """Shake hands by hand: there may be no client here."""
    sock = socket.create_connection(("127.0.0.1", port), timeout=60)
    sock.sendall(
        b"GET / HTTP/1.1\\r\\nHost: x\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\n"
        b"Sec-WebSocket-Version: 13\\r\\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\\r\\n\\r\\n"
    )
    reply = b""
    while b"\\r\\n\\r\\n" not in reply:
        reply += sock.recv(4096)
    assert reply.startswith(b"HTTP/1.1 101")
    return sock


@pytest.mark.parametrize("turn", range(3))
def test_a_message_comes_back(ws_server, turn):
    port = int(ws_server.url.rstrip("/").rpartition(":")[2])
    with greet(port) as sock:
        sock.sendall(bytes([0x81, 0x82, 0, 0, 0, 0]) + b"hi")
        assert sock.recv(4096)[2:5] == b"hi "
        sock.sendall(bytes([0x88, 0x82, 0, 0, 0, 0]) + (1000).to_bytes(2, "big"))
        while sock.recv(4096):
            pass
    ws_server.wait_closed(1, timeout=60)
    ws_server.assert_all_clean()
    assert [connection.messages_in for connection in ws_server.connections] == [1]
'''

problems: list[str] = []


def check(holds: object, problem: str) -> None:
    """Note a problem unless something holds."""
    if not holds:
        problems.append(problem)


def begin(*arguments: str, folder: Path, **more: Any) -> subprocess.Popen[str]:
    """Start a program of ours in a group of its own, so that it can be interrupted alone."""
    if sys.platform == "win32":
        more["creationflags"] = subprocess.CREATE_NEW_PROCESS_GROUP
    return subprocess.Popen(
        [sys.executable, "-m", *arguments], cwd=folder, text=True, errors="replace", **more
    )


def interrupt(process: subprocess.Popen[str]) -> None:
    """Do as Ctrl-C does; on Windows as Ctrl-Break does, the only key that reaches one program."""
    if sys.platform == "win32":
        process.send_signal(signal.CTRL_BREAK_EVENT)
    else:
        process.send_signal(signal.SIGINT)


def check_books(report: dict[str, Any], sockets: int) -> None:
    """Check that each socket and each message is counted once."""
    connections, messages = report["connections"], report["messages"]
    failed = sum(connections["failed"].values())
    check(
        connections["requested"] == connections["opened"] + failed + connections["not_attempted"],
        f"sockets are missing from the books: {connections}",
    )
    check(
        connections["opened"] == sum(connections["closed"].values()),
        f"closed sockets are missing from the books: {connections}",
    )
    columns = ("echoed", "reordered", "corrupt", "lost", "in_flight", "one_way", "published")
    check(
        messages["sent"] == sum(messages[column] for column in columns),
        f"messages are missing from the books: {messages}",
    )
    check(connections["opened"] == sockets, f"not every socket was opened: {connections}")


def check_run(url: str, sockets: int, duration: str, folder: Path) -> str:
    """Check a run to its end; return what it says of itself."""
    with begin(
        "loadgen", str(sockets), url, "--duration", duration, "--json", "report.json", "--quiet",
        folder=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        _, said = process.communicate(timeout=PATIENCE_S)
    check(process.returncode in {0, 3}, f"loadgen exits with {process.returncode}: {said}")
    if not (folder / "report.json").exists():
        return "no report"
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    check_books(report, sockets)
    check(report["messages"]["sent"] == report["messages"]["echoed"] > 0, "messages are lost")
    check(report["verdict"] in {"valid", "generator-limited"}, f"the run is {report['verdict']}")
    check(report["generator"]["peak_rss_bytes"] > 2**20, "loadgen takes no memory")
    return f"{report['verdict']}, {report['messages']['echoed']:,} messages"


def check_interrupted_run(url: str, sockets: int, folder: Path) -> None:
    """Check that Ctrl-C ends a run with a report."""
    with begin(
        "loadgen", str(sockets), url, "--duration", "10m", "--stream", "--quiet",
        folder=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        while line := process.stdout.readline():
            if json.loads(line).get("connections", {}).get("open") == sockets:
                break
        interrupt(process)
        rest, said = process.communicate(timeout=PATIENCE_S)
    check(process.returncode == 130, f"interrupted, loadgen exits with {process.returncode}")
    check("Traceback" not in said, f"interrupted, loadgen says: {said}")
    if not rest:
        problems.append(f"interrupted, loadgen writes no report; it says: {said}")
        return
    report = json.loads(rest.splitlines()[-1])
    report = report.get("report", report)
    check(report.get("interrupted"), f"the report does not say that it was interrupted: {report}")
    check_books(report, sockets)


def check_plugin(folder: Path) -> str:
    """Check the fixture in a test session of its own, if there is pytest."""
    if importlib.util.find_spec("pytest") is None:
        return "not tried, for there is no pytest"
    (folder / "test_client.py").write_text(TESTS, encoding="utf-8")
    with begin(
        "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", "-p", "no:asyncio",
        "test_client.py",
        folder=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    ) as process:  # fmt: skip
        said, _ = process.communicate(timeout=PATIENCE_S)
    check(process.returncode == 0, f"tests with the plugin fail:\n{said}")
    return said.strip().splitlines()[-1] if said.strip() else "silent"


def check_processes(url: str, folder: Path) -> None:
    """Check a run that two processes share."""
    with begin(
        "loadgen", "20", url, "--messages", "2", "--workers", "2", "--quiet", "--json", "two.json",
        folder=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        _, said = process.communicate(timeout=PATIENCE_S)
    check(process.returncode in {0, 3}, f"--workers 2 exits with {process.returncode}: {said}")
    if (folder / "two.json").exists():
        report = json.loads((folder / "two.json").read_text(encoding="utf-8"))
        check_books(report, 20)
        check(report["messages"]["echoed"] == 40, f"of --workers 2: {report['messages']}")


def check_refusals(url: str, folder: Path) -> None:
    """Check that what can't be done here is said in one line."""
    for arguments in (["echo_trio", "--workers", "2", "--port", "0"], ["loadgen", "9", url]):
        if arguments[0] == "loadgen":
            arguments += ["--workers", "2", "--duration", "1s"]
        done = subprocess.run(
            [sys.executable, "-m", *arguments],
            cwd=folder, capture_output=True, text=True, errors="replace",
            timeout=PATIENCE_S, check=False,
        )  # fmt: skip
        lines = done.stderr.strip().splitlines()
        check(
            done.returncode == 2 and len(lines) == 1 and "--workers 2 needs" in lines[0],
            f"{' '.join(arguments)} exits with {done.returncode} and says: {done.stderr.strip()}",
        )


def ask(url: str, body: object = None, *, method: str = "GET") -> dict[str, Any]:
    """Ask a console for something, in JSON."""
    request = urllib.request.Request(
        url,
        data=None if body is None else json.dumps(body).encode(),
        headers={"content-type": "application/json"},
        method=method,
    )
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            return json.loads(answer.read() or b"{}")
    except urllib.error.HTTPError as exc:
        said = exc.read().decode(errors="replace")
        problems.append(f"{method} {url} is answered with {exc.code}: {said}")
        return {}


def wait_for_run(run: str, wanted: str) -> dict[str, Any]:
    """Ask for a run of the console until it has something, or is over; return what there is."""
    until_s = time.monotonic() + PATIENCE_S
    while (found := ask(run)).get("state") in {"running", "cancelling"} and not found.get(wanted):
        if time.monotonic() > until_s:
            problems.append(f"a run from the console does not end: {found}")
            break
        time.sleep(0.1)
    return found


def check_console(console: str) -> None:
    """Check each page of the console, a run from it to its end, and one that is cancelled."""
    for path in ("", "healthz", "metrics", "api/server", "api/tasks"):
        with urllib.request.urlopen(console + path, timeout=PATIENCE_S) as answer:
            check(answer.status == 200 and answer.read(), f"{console}{path} is not there")
    for is_cancelled in (False, True):
        settings = {"count": 5, "messages": 2, "rate-per-conn": "10/s"}
        if is_cancelled:
            settings = {"count": 5, "duration": "10m"}
        order = ask(f"{console}api/runs", settings, method="POST")
        if "id" not in order:
            continue
        run = f"{console}api/runs/{order['id']}"
        if is_cancelled:
            wait_for_run(run, "snapshot")
            ask(run, method="DELETE")
        report = wait_for_run(run, "schema")
        if "schema" not in report:
            problems.append(f"a run from the console has no report: {report}")
            continue
        check(report["interrupted"] == is_cancelled, f"interrupted: {report['interrupted']}")
        check_books(report, 5)


def check_proxy(url: str, folder: Path) -> None:
    """Check a proxy that repeats each second reply, and its recording."""
    flags = ("--fault", "~duplicate/2", "--record", "traffic.ndjson")
    with serving(folder, "proxy", "--upstream", url, *flags) as found:
        if found is None:
            return
        with begin(
            "loadgen", "2", found[0], "--messages", "4", "--rate-per-conn", "20/s", "--quiet",
            "--json", "proxied.json",
            folder=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        ) as process:  # fmt: skip
            _, said = process.communicate(timeout=PATIENCE_S)
        check(
            process.returncode == 1, f"through a proxy loadgen exits {process.returncode}: {said}"
        )
    report = json.loads((folder / "proxied.json").read_text(encoding="utf-8"))
    check_books(report, 2)
    messages = {name: report["messages"][name] for name in ("echoed", "duplicate", "lost")}
    check(messages == {"echoed": 8, "duplicate": 4, "lost": 0}, f"through a proxy: {messages}")
    with begin(
        "loadgen", "record", "traffic.ndjson",
        folder=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        script, said = process.communicate(timeout=PATIENCE_S)
    check(
        process.returncode == 0 and "user.connect(" in script,
        f"loadgen record exits with {process.returncode}: {script}{said}",
    )


@contextmanager
def serving(folder: Path, name: str, *flags: str) -> Iterator[tuple[str, str] | None]:
    """Run a server, and check that an interrupt ends it in good order.

    Yields its URL and that of its console; ``None`` if it does not start, which is noted.
    """
    log = folder / f"{name}.log"
    with log.open("w", encoding="utf-8") as stderr:
        server = begin(
            "echo_trio", "--port", "0", "--console-port", "0", *flags,
            folder=folder, stdout=subprocess.PIPE, stderr=stderr,
        )  # fmt: skip
    assert server.stdout is not None
    try:
        ready = re.match(r"ready ws=(\S+) console=(\S+)", server.stdout.readline())
        if ready is None:
            server.wait(PATIENCE_S)
            said = log.read_text(encoding="utf-8", errors="replace")
            problems.append(f"the {name} does not start: {said}")
            yield None
            return
        yield ready[1], ready[2]
        interrupt(server)
        check(server.wait(PATIENCE_S) == 0, f"interrupted, the {name} exits with {server.poll()}")
    finally:
        server.kill()
        server.wait()
        server.stdout.close()
    said = log.read_text(encoding="utf-8", errors="replace")
    check("Traceback" not in said, f"the {name} says: {said}")
    check("stopped" in said, f"the {name} does not say that it has stopped: {said}")


def check_all(sockets: int, duration: str, folder: Path, *, one_process: bool) -> list[str]:
    """Check everything; return what was seen."""
    told = [f"Python {platform.python_version()} on {platform.system()}"]
    with serving(folder, "server") as found:
        if found is None:
            return told
        url, console = found
        check_console(console)
        told.append(check_run(url, sockets, duration, folder))
        check_interrupted_run(url, sockets, folder)
        check_proxy(url, folder)
        if one_process:
            check_refusals(url, folder)
        else:
            check_processes(url, folder)
        told.append(f"plugin: {check_plugin(folder)}")
    return told


def main() -> int:
    """Check, and print a line for each problem."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--sockets", type=int, default=200, help="200 by default")
    parser.add_argument("--duration", default="5s", help="of the load; 5s by default")
    parser.add_argument(
        "--one-process",
        action="store_true",
        default=sys.platform == "win32",
        help="expect --workers to be refused, as on Windows",
    )
    arguments = parser.parse_args()
    # On Windows a pipe takes what cp1252 has, and a problem quotes what another program says.
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    # Kept on Windows until nothing has a file in it open any more.
    with tempfile.TemporaryDirectory(
        prefix="system-check-", ignore_cleanup_errors=os.name == "nt"
    ) as name:
        told = check_all(
            arguments.sockets, arguments.duration, Path(name), one_process=arguments.one_process
        )
    for problem in problems:
        print(problem)
    print("; ".join(told))
    return bool(problems)


if __name__ == "__main__":
    raise SystemExit(main())
