"""Load runs that the console starts, as the page and scripts see them."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import psutil
import pytest

from loadgen.report import json as report_json
from loadgen.report.html import TEMPLATE_PATH

LONG = {"count": 20, "duration": "10m", "rate_per_conn": "1/s"}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the server keeps temporary files."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


@pytest.fixture
def server(folder: Path, start_server: Callable[..., Any], request: pytest.FixtureRequest) -> Any:
    return start_server(*getattr(request, "param", ()), console=True)


@pytest.fixture
def client(server: Any) -> Iterator[httpx.Client]:
    with httpx.Client(
        base_url=server.console, headers={"Content-Type": "application/json"}, timeout=60
    ) as client:
        yield client


def start(client: httpx.Client, **order: Any) -> str:
    answer = client.post("api/runs", json=order)
    assert answer.status_code == 202, answer.text
    run = f"api/runs/{answer.json()['id']}"
    assert answer.headers["location"] == f"/{run}"
    return run


def watch(client: httpx.Client, run: str) -> list[tuple[str, Any]]:
    """The run's events, to their end."""
    events = []
    with client.stream("GET", f"{run}/live") as live:
        assert live.headers["content-type"] == "text/event-stream"
        name = ""
        for line in live.iter_lines():
            key, _, value = line.partition(": ")
            if key == "event":
                name = value
            elif key == "data":
                events.append((name, json.loads(value)))
    return events


def wait_until_it_loads(client: httpx.Client) -> None:
    while not client.get("api/server").json()["open"]:
        pass


def generator(server: Any) -> psutil.Process:
    (child,) = psutil.Process(server.process.pid).children()
    return child


def test_a_run_is_started_watched_and_reported(client: httpx.Client) -> None:
    run = start(client, count=200, duration="4s", stop_timeout="1m")
    *snapshots, (last, report) = watch(client, run)
    assert {name for name, _ in snapshots} == {"snapshot"}
    assert [snapshot["t_s"] for _, snapshot in snapshots] == sorted(
        snapshot["t_s"] for _, snapshot in snapshots
    )
    assert last == "report"
    jsonschema.validate(report, json.loads(report_json.SCHEMA_PATH.read_text()))
    assert report["connections"]["opened"] == 200
    # Whether the generator kept up is this machine's affair.
    verdict, code = report["verdict"], {"valid": 0, "generator-limited": 3}[report["verdict"]]
    assert client.get(run).json() == report
    assert watch(client, run)[-1] == ("report", report)

    (listed,) = client.get("api/runs").json()["runs"]
    assert (listed["state"], listed["verdict"], listed["exit_code"]) == ("done", verdict, code)
    assert listed["plan"] == report["plan"]
    assert listed["started_at"] < listed["ended_at"]
    assert client.delete(run).status_code == 409

    page = client.get(f"{run}/report.html")
    if TEMPLATE_PATH.is_file():
        assert page.status_code == 200
        assert '"requested":200' in page.text
        assert "sandbox allow-scripts" in page.headers["content-security-policy"]
    else:  # `make unit` builds it first.
        assert (page.status_code, "make page" in page.json()["error"]) == (503, True)


@pytest.mark.usefixtures("real_starts")
def test_a_run_is_cancelled_in_good_order_and_the_next_can_start(
    server: Any, client: httpx.Client
) -> None:
    run = start(client, **LONG)
    assert client.post("api/runs", json={"count": 1}).status_code == 409
    wait_until_it_loads(client)
    going = client.get(run).json()
    assert (going["state"], going["plan"]["count"]) == ("running", LONG["count"])
    assert client.get(f"{run}/report.html").status_code == 409
    loading = generator(server)
    loading.suspend()  # or it might have ended before it is told so for the second time
    assert client.delete(run).status_code == 202
    assert client.delete(run).status_code == 202
    loading.resume()
    (_, report) = watch(client, run)[-1]
    assert report["interrupted"] is True
    (listed,) = client.get("api/runs").json()["runs"]
    assert (listed["state"], listed["exit_code"]) == ("done", 130)
    second = start(client, count=1, duration="0.1s")
    assert watch(client, second)[-1][0] == "report"
    listed = client.get("api/runs").json()["runs"]
    assert [f"api/runs/{entry['id']}" for entry in listed] == [second, run]


@pytest.mark.usefixtures("real_starts")
def test_a_generator_that_dies_leaves_a_failed_run_that_says_so(
    server: Any, client: httpx.Client
) -> None:
    run = start(client, **LONG)
    generator(server).kill()
    assert watch(client, run)[-1] == ("failed", {"error": client.get(run).json()["error"]})
    failed = client.get(run).json()
    assert (failed["state"], failed["exit_code"], failed["verdict"]) == ("failed", -9, None)
    assert client.get(f"{run}/report.html").status_code in (404, 503)
    assert client.get("healthz").status_code == 200


@pytest.mark.usefixtures("real_starts")
@pytest.mark.parametrize("server", [["--drain-timeout=1s"]], indirect=True, ids=["brief"])
@pytest.mark.parametrize(
    ("number", "stuck"), [(signal.SIGINT, False), (signal.SIGTERM, True)], ids=["well", "stuck"]
)
def test_the_server_takes_its_run_with_it(
    server: Any, client: httpx.Client, folder: Path, number: int, stuck: bool
) -> None:
    start(client, **LONG)
    child = generator(server)
    assert list(folder.glob("echo-trio-runs-*"))
    if stuck:
        child.send_signal(signal.SIGSTOP)
    assert server.stop(number) == 0
    assert not child.is_running()
    assert not list(folder.glob("echo-trio-runs-*"))


@pytest.mark.usefixtures("real_starts")
@pytest.mark.parametrize(
    "server", [["--drain-timeout=2m", "--close-timeout=2m"]], indirect=True, ids=["patient"]
)
def test_a_server_that_ends_at_once_leaves_no_run_behind(
    server: Any, client: httpx.Client, folder: Path
) -> None:
    start(client, **LONG)
    wait_until_it_loads(client)
    child = generator(server)
    child.send_signal(signal.SIGSTOP)
    server.process.send_signal(signal.SIGTERM)
    while "draining" not in server.log:
        assert server.process.poll() is None
        os.sched_yield()
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(60) == 1
    psutil.wait_procs([child], timeout=60)
    # A zombie is gone as well: in a container it may have nobody to reap it.
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE
    assert not list(folder.glob("echo-trio-runs-*"))


# One of each kind; further values, without a process, in the tests of both ends that read them.
@pytest.mark.parametrize(
    ("order", "field"),
    [
        ('{"count": NaN}', "count"),
        ('{"count": 1e999}', "count"),
        ('{"count": 0}', "count"),
        ('{"count": "--help"}', "count"),
        ('{"duration": "1s"}', "count"),
        ('{"count": 1, "count": 2}', "count"),
        ('{"count": 1, "rate_per_conn": "1/s", "rate-per-conn": "2/s"}', "rate-per-conn"),
        ('{"count": 1, "duration": "soon"}', "duration"),
        ('{"count": 1, "think": "1s"}', "think"),
        ('{"count": 1, "verify": "nonsense"}', "verify"),
        ('{"count": 1, "url": "--json=/tmp/x"}', "url"),
        # With wss, so that nothing else is wrong with it: a file is not for who asks from afar.
        ('{"count": 1, "url": "wss://localhost/", "cacert": "/etc/passwd"}', "cacert"),
        ('{"count": 1, "message_file": "/etc/passwd"}', "message_file"),
        ('{"count": 1, "rate": "5/s", "stage": ["1s:5/s"]}', "rate"),
        ('{"count": 1, "header": "X: a\\r\\nY: b"}', "header"),
        ('{"count": 1, "fail_if": ["latency.p99>50ms", "nonsense>1"]}', "fail_if"),
        ('{"count": 1, "json": "/tmp/x"}', "json"),
        ('{"count": 1, "": 1}', ""),
        ('{"count": 1, "verify": "sometimes", "message": "{nonsense}"}', "verify"),
    ],
)
def test_a_bad_value_is_422_and_names_its_field(
    ask: Any, console: Any, order: str, field: str
) -> None:
    answer = ask(console.console, "POST /api/runs", order.encode(), content_type="application/json")
    assert (answer.status, answer.json.get("field")) == (422, field), answer.json
    assert "\n" not in answer.json["error"]


def test_a_value_that_its_unit_gives_away_is_refused_without_a_process_in_50_ms(
    ask: Any, console: Any
) -> None:
    def refuse() -> Any:
        order = b'{"count": 1, "duration": "soon", "rate": "fast"}'
        answer = ask(console.console, "POST /api/runs", order, content_type="application/json")
        assert (answer.status, answer.json["field"]) == (422, "duration")
        return psutil.Process(console.process.pid).cpu_times()

    before = refuse()
    for _ in range(10):
        after = refuse()
    # What children took is counted when they have ended, and they are waited for.
    assert after.children_user + after.children_system == (
        before.children_user + before.children_system
    )
    assert after.user + after.system - before.user - before.system < 10 * 0.05


@pytest.mark.parametrize("body", ["", "{", "[" * 60_000, "nonsense", "\x80", '{"count": 1}x'])
def test_a_body_that_is_no_json_is_400(ask: Any, console: Any, body: str) -> None:
    answer = ask(
        console.console,
        "POST /api/runs",
        body.encode("latin-1"),
        content_type="application/json",
    )
    assert (answer.status, list(answer.json)) == (400, ["error"])


def test_a_run_may_go_where_the_settings_allow(start_server: Callable[..., Any]) -> None:
    target = start_server()
    server = start_server(f"--run-target={target.url}", console=True)
    with httpx.Client(base_url=server.console, timeout=60) as client:
        run = start(client, count=3, duration="0.1s", url=f"{target.url}plain?a=b")
        report = watch(client, run)[-1][1]
        assert report["plan"]["url"] == f"{target.url}plain?a=b"
        assert client.get("api/server").json()["accepted"] == 0


@pytest.mark.usefixtures("real_starts")
def test_what_a_run_was_told_is_not_for_every_user_of_the_machine_to_see(
    server: Any, client: httpx.Client
) -> None:
    run = start(client, **LONG, header=["Authorization: Bearer s3cret"])
    wait_until_it_loads(client)
    processes = [generator(server), *generator(server).children(recursive=True)]
    assert "s3cret" not in str([process.cmdline() for process in processes])
    assert client.get(run).json()["plan"]["headers"] == [["Authorization", "***"]]
    client.delete(run)
    report = watch(client, run)[-1]
    assert report[0] == "report"
    assert "s3cret" not in str(report)


def test_a_load_is_paused_and_raised_while_it_goes_and_everybody_sees_it(
    client: httpx.Client, server: Any
) -> None:
    run, events = start(client, **LONG), list[tuple[str, Any]]()
    headers = dict(client.headers)
    with httpx.Client(base_url=server.console, headers=headers, timeout=60) as another:
        watching = threading.Thread(target=lambda: events.extend(watch(another, run)))
        watching.start()
        while (paused := client.patch(run, json={"paused": True})).status_code == 409:
            assert "has not begun" in paused.json()["error"]
        assert paused.json()["load"]["paused"] is True
        assert (paused.json()["id"], paused.json()["state"]) == (run.rpartition("/")[2], "running")
        for wrong, field in (
            ({"rate": "soon"}, "rate"), ({"rate": 2}, "rate"), ({"factor": 0}, "factor"),
            ({"rate": "2/s", "factor": 2}, "factor"), ({"paused": 1}, "paused"),
            ({"factor": "2"}, "factor"), ({"count": 1}, "count"), ({"rate": [1]}, "rate"),
        ):  # fmt: skip
            refused = client.patch(run, json=wrong)
            assert (refused.status_code, refused.json()["field"]) == (422, field), refused.text
        foreign = client.patch(run, json={"paused": False}, headers={"Origin": "http://evil.test"})
        assert foreign.status_code == 403
        resumed = client.patch(run, json={"rate": "2/s", "paused": False, "note": "by hand"})
        assert resumed.json()["note"] == "by hand"
        load = resumed.json()["load"]
        going = client.get(run).json()
        assert (going["load"], going["changes"]) == (load, load["changes"])
        assert (load["unit"], load["planned"], load["rate"], load["factor"], load["paused"]) == (
            "rate_per_conn", 1.0, 2.0, 2.0, False
        )  # fmt: skip
        assert client.delete(run).status_code == 202
        watching.join()
    told = [what for name, what in events if name == "load"]
    assert told[-1] == load
    name, report = events[-1]
    assert name == "report"
    jsonschema.validate(report, json.loads(report_json.SCHEMA_PATH.read_text()))
    (listed,) = [one for one in client.get("api/runs").json()["runs"] if one["id"] in run]
    assert report["changes"] == listed["changes"] == load["changes"]
    assert [(one["what"], one["old"], one["new"]) for one in report["changes"]] == [
        ("pause", 1.0, 0.0), ("rate", 1.0, 2.0), ("resume", 0.0, 2.0)
    ]  # fmt: skip
    late = client.patch(run, json={"paused": True})
    assert (late.status_code, late.json()["error"]) == (409, "the load is over")
