"""A run on a Dask cluster: a scheduler and two workers, in processes of their own."""

import asyncio
import json
import re
import threading
import time
from collections import Counter

import httpx
import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families
from websockets.asyncio.server import ServerConnection

from echo_trio import Settings, serving_in_thread

from ..starter import starter
from .conftest import PATIENCE_S


async def echo(connection: ServerConnection, counts):
    async for message in connection:
        counts["echoed"] += 1
        await connection.send(f"{message} 1")


@pytest.fixture
def server(serve_websockets):
    return serve_websockets(echo)


class Cluster:
    """A scheduler and workers without nannies: nobody starts them again."""

    def __init__(self, folder):
        self._folder = folder
        self._file = folder / "scheduler.json"
        self.processes = []
        self._start("scheduler", "--port", "0", "--dashboard-address", ":0", "--no-show",
                    "--scheduler-file", str(self._file))  # fmt: skip
        self.workers = [
            self._start("worker", "--scheduler-file", str(self._file), "--no-nanny",
                        "--nthreads", "1", "--no-dashboard",
                        "--local-directory", str(folder / f"worker-{number}"))
            for number in range(2)
        ]  # fmt: skip
        self.address = self._wait_for_workers()

    def _start(self, role, *flags):
        with (self._folder / f"{role}-{len(self.processes)}.log").open("w") as log:
            process = starter("distributed").start(
                f"distributed.cli.dask_{role}", "--host", "127.0.0.1", *flags,
                stdout=log, stderr=log,
            )  # fmt: skip
        self.processes.append(process)
        return process

    def _wait_for_workers(self):
        logs = [self._folder / f"worker-{number}.log" for number in (1, 2)]
        for _ in range(1200):
            if all("Registered to" in log.read_text() for log in logs if log.exists()):
                return json.loads(self._file.read_text())["address"]
            assert all(process.poll() is None for process in self.processes), self.logs
            time.sleep(0.1)
        raise AssertionError(self.logs)

    @property
    def logs(self):
        return {log.name: log.read_text() for log in self._folder.glob("*.log")}

    def end(self):
        for process in reversed(self.processes):
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    cluster = Cluster(tmp_path_factory.mktemp("cluster"))
    yield cluster
    cluster.end()


def test_a_cluster_does_what_one_process_does(server, cluster, loadgen):
    plan = ("60", server.url, "--rate", "200/s", "--duration", "1s")
    done = loadgen(*plan, "--dask", cluster.address)
    assert done.messages == {"sent": 200, "received": 200, "echoed": 200}
    assert done.closed == {"clean": 60}
    assert done.report["generator"]["processes"] == 2
    assert done.report["plan"]["workers"] == 2
    assert done.report["plan"]["dask"] == cluster.address
    places = done.report["generator"]["places"]
    assert [(place["processes"], place["sockets"]) for place in places] == [(1, 30), (1, 30)]
    assert len({place["worker"] for place in places}) == 2
    assert server.counts["echoed"] == 200


SCRIPT = """
from loadgen.scenario import User, rows, scenario

people = rows("people.csv")

@scenario
async def talker(user: User) -> None:
    async with user.connect() as ws:
        async for due in user.pace("5/s"):
            lot = user.random.randrange(1000)
            await ws.request(f"{user.number} {people[user].name} {lot}", name="say", due=due)
            user.count(f"{user.number} {people[user].name} {lot}")
"""


def test_a_cluster_runs_the_users_that_one_process_runs(server, cluster, loadgen, tmp_path):
    names = "".join(f"p{number}\n" for number in range(6))
    (tmp_path / "people.csv").write_text(f"name\n{names}")
    (tmp_path / "talk.py").write_text(SCRIPT)
    arguments = ("6", server.url, "--scenario", str(tmp_path / "talk.py"), "--duration", "1s")
    one, many = [loadgen(*arguments, *more) for more in ((), ("--dask", cluster.address))]
    assert one.faults == many.faults == []
    assert one.report["counters"] == many.report["counters"]
    assert one.report["users"] == many.report["users"]
    assert one.messages == many.messages == {"sent": 30, "echoed": 30, "received": 30}
    assert [step["ok"] for step in many.report["steps"]] == [30]


def test_replies_that_overtake_each_other_have_the_servers_latencies_on_a_cluster_too(
    serve_websockets,
    cluster,
    loadgen,
):
    took_ms, lock = [], threading.Lock()

    async def serve(connection: ServerConnection, counts):
        async def answer(message, number):
            began = time.perf_counter()
            if number % 5 == 4:
                await asyncio.sleep(0.3)
            with lock:
                took_ms.append((time.perf_counter() - began) * 1000)
            await connection.send(json.dumps({"id": json.loads(message)["id"]}))

        number = 0
        async with asyncio.TaskGroup() as answering:
            async for message in connection:
                answering.create_task(answer(message, number))
                number += 1

    run = loadgen("20", serve_websockets(serve).url, "--message", '{"id": "{conn}-{seq}"}',
                  "--verify", "json:id", "--messages", "20", "--rate-per-conn", "20/s",
                  "--dask", cluster.address)  # fmt: skip
    assert run.target_did_right, run.report["verdict_reasons"]
    assert run.messages == {"sent": 400, "echoed": 400, "received": 400}
    service = run.report["latency"]["service"]
    assert service["p90"] >= sorted(took_ms)[339] * 0.98


def test_a_room_over_a_cluster_owes_what_the_server_passed_on_and_says_how_sure_the_times_are(
    cluster,
    loadgen,
):
    fan_out = ("--verify", "fan-out", "--rooms", "4", "--rate", "100/s", "--duration", "2s")
    with serving_in_thread(Settings(port=0)) as server:
        run = loadgen("40", server.url + "room/{room}", *fan_out, "--dask", cluster.address)
        passed_on = sum(seen.messages_out for seen in server.connections)
        faulty = loadgen("40", server.url + "~swallow/50/room/{room}", *fan_out, "--dask",
                         cluster.address, "--stop-timeout", "12s")  # fmt: skip
    assert run.target_did_right, run.report["verdict_reasons"]
    copies = run.report["fan_out"]
    assert copies["owed"] == copies["delivered"] == passed_on == 10 * copies["published"] == 2000
    # The shards' clocks are compared with ours; what that leaves is said beside the latencies.
    assert 0 <= copies["clock_error_ms"] < copies["each"]["max"] + 1000
    assert "give or take" in run.stdout
    # Each of the 40 gets 50 copies, of which the last is swallowed.
    assert (faulty.report["fan_out"]["owed"], faulty.report["fan_out"]["missing"]) == (2000, 40)
    assert faulty.faults == ["40 copies of 2,000 missing"]


def test_the_page_of_metrics_is_of_the_whole_cluster_which_ctrl_c_reaches(
    server, cluster, start_loadgen
):
    flags = ("--duration", "1h", "--dask", cluster.address, "--metrics", "0")
    run = start_loadgen("60", server.url, *flags)
    run.wait_for("load")
    (url,) = re.findall(r"metrics are at (\S+)", run.errors)
    deadline = time.monotonic() + PATIENCE_S
    with httpx.Client(trust_env=False, timeout=PATIENCE_S) as page:
        while True:
            assert time.monotonic() < deadline
            samples = {
                (sample.name, sample.labels.get("column")): sample
                for family in text_string_to_metric_families(page.get(url).text)
                for sample in family.samples
            }
            # Each of the two workers has half of the sockets.
            is_open = samples["loadgen_connections_open", None].value == 60
            if is_open and samples["loadgen_messages_total", "echoed"].value >= 60:
                break
            time.sleep(0.1)
    assert samples["loadgen_run_info", None].labels["processes"] == "2"
    run.signal()
    done = run.finish()
    assert done.messages["echoed"] >= samples["loadgen_messages_total", "echoed"].value
    assert done.code == 130
    assert done.closed == {"clean": 60}
    server.wait_closed()
    assert server.counts["closed 1000"] == 60


HELD = """
from loadgen.scenario import User, scenario

HELD = "{held}"


@scenario
async def talker(user: User) -> None:
    try:
        async with user.connect() as ws:
            await ws.request(f"{{user.number}} is here", name="first")
            if HELD == "opening" and user.number == 5:
                await user.sleep("1h")
            async for due in user.pace("5/s"):
                await ws.request(f"{{user.number}} {{due.number}}", name="say", due=due)
            await ws.request(f"{{user.number}} goes", name="last")
            if HELD == "closing" and user.number == 5:
                await user.sleep("1h")
    finally:
        user.count("left")
"""


@pytest.mark.parametrize("phase", ["opening", "load", "closing"])
def test_ctrl_c_in_each_phase_of_users_on_a_cluster_cancels_them_and_the_report_is_whole(
    server, cluster, start_loadgen, tmp_path, phase
):
    (tmp_path / "held.py").write_text(HELD.format(held=phase))
    run = start_loadgen(
        "6", server.url, "--scenario", str(tmp_path / "held.py"), "--dask", cluster.address,
        "--duration", "1h" if phase == "load" else "1s", "--stop-timeout", "10m",
    )  # fmt: skip
    # Each user says something before, five times during, and once after the load.
    awaited = {"opening": 6, "load": 12, "closing": 42}[phase]
    server.wait_until(lambda: server.counts["echoed"] >= awaited)
    run.signal()
    done = run.finish()
    assert done.code == 130
    assert done.report["verdict"] != "failed", done.faults
    assert done.report["users"]["requested"] == done.report["counters"]["left"] == 6
    assert done.report["users"]["interrupted"] >= 1
    assert done.report["users"]["failed"] == 0
    assert done.closed == {"clean": 6}
    server.wait_closed()
    assert server.counts["closed 1000"] == 6


def test_a_scheduler_that_is_not_there_is_one_line(nobody, loadgen):
    done = loadgen("10", "ws://127.0.0.1:9/", "--quiet",
                   "--dask", f"tcp://127.0.0.1:{nobody}")  # fmt: skip
    assert done.code == 2
    assert len(done.stderr.splitlines()) == 1
    assert "no scheduler answers there" in done.stderr


def test_what_is_no_address_is_one_line(loadgen):
    done = loadgen("10", "ws://127.0.0.1:9/", "--dask", "nonsense")
    assert done.code == 2
    assert len(done.stderr.splitlines()) == 1
    assert "write it like tcp://host:8786" in done.stderr


def test_a_run_larger_than_the_cluster_is_refused(cluster, loadgen):
    done = loadgen("100m", "ws://127.0.0.1:9/", "--dask", cluster.address)
    assert done.code == 2
    assert "don't fit this cluster: 2 workers" in done.stderr


def test_workers_on_one_machine_share_the_source_addresses_that_it_has(
    serve_websockets, cluster, loadgen
):
    peers: Counter[str] = Counter()

    async def count_peers(connection: ServerConnection, counts):
        peers[connection.remote_address[0]] += 1
        await echo(connection, counts)

    # Nobody has 192.0.2.0/24 (RFC 5737); of that range one address is here.
    done = loadgen("60", serve_websockets(count_peers).url, "--duration", "1s", "--dask",
                   cluster.address, "--source-ip", "127.0.0.2-127.0.0.4",
                   "--source-ip", "126.255.255.250-127.0.0.0")  # fmt: skip
    assert done.closed == {"clean": 60}
    assert peers == {"127.0.0.2": 15, "127.0.0.4": 15, "127.0.0.3": 15, "127.0.0.0": 15}


@pytest.mark.parametrize(
    ("source_ip", "problem"),
    [
        pytest.param("192.0.2.7", "--source-ip 192.0.2.7: not an address of any worker's machine",
                     id="foreign"),
        pytest.param("10.0.0.0/8", "--source-ip names 16,777,214 addresses", id="too-many"),
    ],
)  # fmt: skip
def test_source_addresses_that_can_not_be_used_are_one_line(cluster, loadgen, source_ip, problem):
    done = loadgen("10", "ws://127.0.0.1:9/", "--quiet", "--dask", cluster.address,
                   "--source-ip", source_ip)  # fmt: skip
    assert done.code == 2
    assert len(done.stderr.splitlines()) == 1
    assert problem in done.stderr


def test_a_killed_worker_is_in_the_books_and_its_shard_is_not_run_again(
    server, cluster, start_loadgen
):
    run = start_loadgen("60", server.url, "--rate", "200/s", "--duration", "1h", "--stream",
                        "--dask", cluster.address)  # fmt: skip
    lines = (json.loads(line) for line in run.process.stdout)
    before = next(line for line in lines if line["messages"]["received"] > 100)
    shards = psutil.Process(cluster.workers[0].pid).children(recursive=True)
    cluster.workers[0].kill()
    after = next(line for line in lines if line["connections"]["open"] == 30)
    assert after["messages"]["received"] >= before["messages"]["received"]
    assert psutil.wait_procs(shards, timeout=PATIENCE_S)[1] == []
    run.signal()
    done = run.finish()
    assert done.code == 130
    assert done.closed == {"clean": 30, "abnormal": 30}
    assert "left the cluster" in done.report["verdict_reasons"][0]
    server.wait_closed()
    assert server.counts["opened"] == 60
    assert server.counts["closed 1000"] == 60  # the lost worker's too, though nobody could tell


def test_a_killed_scheduler_is_in_the_books_and_the_workers_say_goodbye(
    server, cluster, start_loadgen
):
    run = start_loadgen("60", server.url, "--rate", "200/s", "--duration", "1h", "--stream",
                        "--dask", cluster.address)  # fmt: skip
    lines = (json.loads(line) for line in run.process.stdout)
    next(line for line in lines if line["messages"]["received"] > 100)
    shards = psutil.Process(cluster.workers[1].pid).children(recursive=True)
    cluster.processes[0].kill()
    done = run.finish()
    assert done.code == 1
    assert done.closed == {"abnormal": 60}
    assert "the scheduler is gone" in done.report["verdict_reasons"][0]
    assert psutil.wait_procs(shards, timeout=PATIENCE_S)[1] == []
    server.wait_closed()
    assert server.counts["closed 1000"] == 60
