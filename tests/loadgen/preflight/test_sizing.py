import json
import math
import shlex

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from loadgen.cli import load
from loadgen.preflight import costs, sizing
from loadgen.workload.plan import Plan
from loadgen.workload.sources import Sources
from loadgen.workload.target import Target

GIB = 2**30
LARGE = sizing.Machine(cores=64, memory_bytes=256 * GIB, files=20_000)
URL = "ws://10.0.0.1:8765/"


def test_a_million_sockets_fit_one_large_machine_by_files_and_addresses():
    sized = sizing.size(1_000_000, URL, 100_000, LARGE)
    assert (sized.server.machines, sized.generator.machines) == (1, 1)
    assert sized.server.processes == sized.generator.processes == 51
    assert sized.generator.addresses == 36
    assert "--workers 51" in sized.server.commands[-1]
    assert "36 addresses" in sized.generator.commands[-1]


def test_messages_take_cores_and_then_machines():
    sized = sizing.size(50_000, URL, 10_000_000, LARGE)
    assert sized.server.bound_by == sized.generator.bound_by == "cores"
    assert sized.server.cores == pytest.approx(109)
    assert sized.server.machines == 3
    # A process has a core: 338 of them, the last machine's share as large as the others'.
    assert (sized.generator.machines, sized.generator.processes) == (6, 57)
    assert "--dask" in sized.generator.commands[-1]


def test_memory_bounds_idle_sockets():
    small = sizing.Machine(cores=64, memory_bytes=2 * GIB, files=10**6)
    assert sizing.size(1_000_000, URL, 0, small).server.bound_by == "memory"


def test_on_a_cluster_ports_bound_what_a_machine_opens():
    few_cores = sizing.Machine(cores=8, memory_bytes=64 * GIB, files=20_000)
    generator = sizing.size(10_000_000, URL, 1_000_000, few_cores).generator
    assert (generator.machines, generator.bound_by) == (167, "ports")
    assert sizing.WIDER_PORTS in generator.commands[1]
    each = Plan(1).connect_concurrency
    assert f"--connect-concurrency {167 * generator.processes * each} " in generator.commands[2]


@pytest.mark.parametrize("machines", [2, 3])
@pytest.mark.parametrize("more", [0, 1])
def test_ports_are_widened_where_a_machine_has_more_sockets_than_ports(machines, more):
    small = sizing.Machine(cores=1, memory_bytes=64 * GIB, files=10**6)
    sockets = (len(sizing.LOCAL_PORTS) + more) * machines
    rate = machines * sizing.CORE_SHARE * 1e6 / costs.GENERATOR.message_us_among(20_000) * 0.9
    sized = sizing.size(sockets, URL, rate, small)
    assert sized.generator.machines == machines
    assert (sizing.WIDER_PORTS in sized.generator.commands[1]) == more


@settings(deadline=None)  # on a busy machine
@given(st.integers(1, 10**8), st.floats(0, 10**7), st.integers(1, 256), st.integers(100, 10**6))
def test_what_is_planned_holds_the_sockets(sockets, rate, cores, files):
    machine = sizing.Machine(cores=cores, memory_bytes=64 * GIB, files=files)
    sized = sizing.size(sockets, URL, rate, machine)
    for end in (sized.server, sized.generator):
        assert end.machines * end.processes * (files - sizing.SPARE_FILES) >= sockets
        assert end.machines * end.processes * sizing.CORE_SHARE >= end.cores - 0.01
        fewer = end.processes - 1
        assert (
            fewer * (files - sizing.SPARE_FILES) < math.ceil(sockets / end.machines)
            or fewer * end.machines * sizing.CORE_SHARE <= end.cores + 0.01
        )
        assert end.memory_bytes <= 64 * GIB or end.processes * costs.PROCESS_BYTES > 12 * GIB
    assert sized.generator.addresses * sized.generator.machines * 28_232 >= sockets or (
        sized.generator.machines > 1
    )


@pytest.mark.parametrize("addresses", [2, 254, 255, 256, 600])
def test_a_command_names_as_many_addresses_as_are_needed(addresses):
    written = sizing._sources(addresses, Target.parse("ws://127.0.0.1:8765/"))
    named = Sources((written.removeprefix(" --source-ip "),))
    assert len(named) == addresses


def test_the_commands_are_such_as_the_programs_take(capsys):
    assert load.main(["plan", "100k", "--rate", "10k/s", "--cores", "8", "--files", "20k"]) == 0
    shown = capsys.readouterr().out
    (line,) = (line for line in shown.splitlines() if "-m loadgen" in line)
    _, bound, _ = load.app.parse_args(shlex.split(line)[3:], exit_on_error=False, print_error=False)
    assert bound.arguments["plan"].count == 100_000
    assert bound.arguments["plan"].total_rate(100_000) == 10_000
    assert bound.arguments["options"].workers == 6
    # Each of the six is to have what a process alone has in flight.
    assert bound.arguments["plan"].connect_concurrency == 6 * Plan(1).connect_concurrency
    assert len(bound.arguments["plan"].sources()) == 4
    assert "--workers 6" in shown


def test_a_plan_as_json_is_alone_on_stdout(capsys):
    assert load.main(["plan", "1000", "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["sockets"] == 1000


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        pytest.param(["0"], "COUNT", id="count"),
        pytest.param(["10", "http://x"], "not a WebSocket URL", id="url"),
        pytest.param(["10", "--files", "20"], "none left for sockets", id="files"),
    ],
)
def test_bad_usage_is_one_line(capsys, arguments, problem):
    assert load.main(["plan", *arguments]) == 2
    error = capsys.readouterr().err
    assert problem in error
    assert len(error.splitlines()) == 1


def test_a_machine_has_room_for_a_process_from_the_first_byte_that_suffices_on():
    least = math.ceil(costs.PROCESS_BYTES / sizing.MEMORY_SHARE)
    machine = sizing.Machine(cores=2, memory_bytes=least, files=20_000)
    assert sizing.size(1, URL, 0, machine).server.machines >= 1
    with pytest.raises(ValueError, match="a process alone takes 18 MiB"):
        sizing.size(1, URL, 0, msgspec.structs.replace(machine, memory_bytes=least - 1))


@pytest.mark.parametrize(("rate", "processes"), [(1_000, 1), (10_000, 1), (30_000, 2)])
def test_what_several_processes_have_in_flight_is_asked_for_and_one_has_it_anyway(rate, processes):
    generator = sizing.size(1_000, URL, rate, LARGE).generator
    assert generator.processes == processes
    asked = f"--connect-concurrency {processes * sizing.CONCURRENCY_EACH}"
    assert (asked in generator.commands[-1]) == (processes > 1)
    assert (f"--workers {processes}" in generator.commands[-1]) == (processes > 1)


def test_a_machine_that_has_no_room_for_a_process_is_refused():
    with pytest.raises(ValueError, match=r"more than --memory has \(1KiB\)"):
        sizing.size(1000, URL, 1000, sizing.Machine(cores=2, memory_bytes=1024, files=20_000))


@pytest.mark.parametrize(
    ("rate_per_s", "server_us", "generator_us"),
    [
        # Measured by `make scale` with 1, 3, 6, 12 and 23 processes for 10,000 messages a second.
        (10_000, 17, 32),
        (3_333, 41, 62),
        (1_667, 52, 73),
        (833, 74, 105),
        (435, 113, 130),
    ],
)
def test_a_message_costs_what_was_measured_where_a_process_has_few(
    rate_per_s, server_us, generator_us
):
    assert costs.SERVER.message_us_among(rate_per_s) == pytest.approx(server_us, abs=15)
    assert costs.GENERATOR.message_us_among(rate_per_s) == pytest.approx(generator_us, abs=15)


def test_a_message_costs_as_among_many_where_there_are_more_and_its_most_where_it_is_alone():
    assert costs.SERVER.message_us_among(30_000) == costs.SERVER.message_us
    assert costs.SERVER.message_us_among(0) == costs.SERVER.message_us
    assert costs.SERVER.message_us_among(1) == costs.SERVER.message_us + 280


def busy_cores(of: costs.Costs, sockets: int, rate: float, processes: int) -> float:
    message_us = of.message_us_among(rate / processes)
    return max(rate * message_us, sockets / sizing.OPEN_S * of.handshake_us) / 1e6


@example(1_000, 33_000.0, 64, 64, 10**6)  # Its cores ask for processes, and these for cores.
@settings(deadline=None)
@given(
    st.integers(1, 10**7), st.floats(0, 10**6), st.integers(1, 64), st.integers(1, 64),
    st.integers(1_000, 10**6),
)  # fmt: skip
def test_of_the_machines_planned_none_is_too_many_and_each_bears_its_part(
    sockets, rate, cores, gib, files
):
    machine = sizing.Machine(cores=cores, memory_bytes=gib * GIB, files=files)
    sized = sizing.size(sockets, URL, rate, machine)
    for end, of in ((sized.server, costs.SERVER), (sized.generator, costs.GENERATOR)):
        each = math.ceil(sockets / end.machines)
        socket_bytes = of.socket_bytes + costs.KERNEL_BYTES
        assert end.memory_bytes == each * socket_bytes + end.processes * costs.PROCESS_BYTES
        # The least number of processes that their files and their cores allow.
        processes = math.ceil(sockets / (files - sizing.SPARE_FILES))
        while (busy := busy_cores(of, sockets, rate, processes)) > processes * sizing.CORE_SHARE:
            processes += 1
        assert end.cores == pytest.approx(busy, abs=0.005)
        # The least number of machines that their cores, their memory and their ports allow.
        whole_bytes = sockets * socket_bytes + processes * costs.PROCESS_BYTES
        is_cluster = end is sized.generator and end.machines > 1

        def suffice(count, whole_bytes=whole_bytes, busy=busy, is_cluster=is_cluster):
            return (
                busy <= count * cores * sizing.CORE_SHARE * (1 + 1e-9)
                and whole_bytes <= count * machine.memory_bytes * sizing.MEMORY_SHARE * (1 + 1e-9)
                and (not is_cluster or sockets <= count * sizing.PORTS_WIDENED)
            )

        assert suffice(end.machines)
        assert end.machines == 1 or not suffice(end.machines - 1)
        ports = sizing.PORTS_WIDENED if is_cluster else len(sizing.LOCAL_PORTS)
        assert end.addresses * ports >= each > (end.addresses - 1) * ports
