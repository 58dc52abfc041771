"""Leave out the tests of what other systems lack: a plugin of pytest, for `make elsewhere`.

For each reason the tests, by the beginning of their names. All other tests hold on every system, as
far as our packages are concerned.
"""

from __future__ import annotations

import pytest

NEEDS_LINUX = {
    "SIGHUP": (
        "tests/integration/test_hang_up.py",
        "tests/integration/loadgen/test_interrupts.py::test_interrupted_under_load_replies_are_in_flight_and_every_socket_is_closed[1-",
        "tests/integration/loadgen/test_interrupts.py::test_when_its_terminal_goes_away",
    ),
    "a limit on open files": (
        "tests/integration/test_server_process.py::test_a_file_limit_that_no_server_can_live_with",
        "tests/integration/test_server_process.py::test_with_many_workers_more_files_are_needed",
        "tests/integration/test_server_process.py::test_with_the_least_file_limit_it_serves",
        "tests/integration/wire/test_faults.py::test_a_crowd_above_the_file_limit_is_told_503",
        "tests/integration/wire/test_faults.py::test_a_server_whose_file_limit_falls",
        "tests/integration/loadgen/test_faults.py::test_what_this_machine_cannot_do_is_refused",
    ),
    "poll(2): a reader that takes nothing is not waited for": (
        "tests/integration/loadgen/test_output_files.py::test_a_reader_of_stdout_who_takes_nothing",
    ),
    "the poller, which waits in Trio's place: a task of Trio's looks at the loop at intervals": (
        "tests/integration/test_server_process.py::test_a_server_sleeps_when_its_clients",
    ),
    "a terminal that hands over each key": ("tests/integration/loadgen/test_keys.py",),
    "/proc tells how long a thread waited for a core; else that counts as a script's own time": (
        "tests/integration/loadgen/test_record.py::test_what_our_server_has_recorded_becomes_a_scenario",
        "tests/integration/loadgen/test_examples.py",
    ),
    "several processes on one port": (
        "tests/integration/proxy/test_switch.py::test_faults_hold_on_all_workers_for_open_pairs_and_new_ones[2]",
        "tests/integration/dialling/test_ends.py::test_a_server_that_stops_takes_its_leave",
        "tests/integration/test_workers.py",
        "tests/integration/test_supervisor.py",
        "tests/integration/test_memory.py::test_workers_hold_together_what_each_holds",
        "tests/integration/deploy/test_manifests.py::test_the_unit_starts_a_server",
        "tests/integration/deploy/test_manifests.py::test_as_nobody_on_a_read_only_system",
    ),
    "several processes of the generator, which inherit sockets and blocked signals": (
        "tests/integration/loadgen/test_dask.py",
        "tests/integration/loadgen/test_workers.py",
        "tests/integration/loadgen/scenario/test_recovered.py::test_what_users_of_two_processes",
        "tests/integration/loadgen/test_fan_out.py::test_every_socket_of_a_room_gets_a_copy_of_each_message[3]",
        "tests/integration/loadgen/test_fan_out.py::test_a_copy_that_the_server_swallows_is_missing[3]",
        "tests/integration/loadgen/test_fan_out.py::test_a_copy_that_comes_twice_is_one_too_many[3]",
        "tests/integration/loadgen/test_fan_out.py::test_ctrl_c_leaves_what_is_on_its_way_in_flight[3]",
        "tests/integration/loadgen/test_metrics.py::test_a_collector_of_opentelemetry_is_sent_what_the_report_says[2]",
        "tests/integration/loadgen/test_metrics.py::test_a_run_shows_what_it_has_counted_while_it_goes[2]",
        "tests/integration/loadgen/test_replies.py::test_replies_that_overtake_each_other_have_the_latencies_that_the_server_gave_them[open-loop-four-processes]",
        "tests/integration/loadgen/scenario/test_users.py::test_users_arrive_at_their_rate_and_no_more",
        "tests/integration/loadgen/scenario/test_commands.py::test_one_process_and_three_run_the_same_users",
        "tests/integration/loadgen/scenario/test_interrupted.py::test_ctrl_c_reaches_every_process",
        "tests/integration/loadgen/scenario/test_ends.py::test_a_process_killed_in_any_phase",
        "tests/integration/loadgen/scenario/test_ends.py::test_a_second_signal_ends_users_at_once_that_shield_themselves[2]",
        "tests/integration/loadgen/test_schedules.py::test_random_arrivals_are_as_many_in_four_processes",
    ),
    "locks of files, for journals": (
        "tests/integration/loadgen/test_journal.py",
        "tests/integration/loadgen/test_capacity.py::test_after_sigkill_the_steps",
        "tests/integration/loadgen/test_interrupts.py::test_the_second_signal_ends_it_at_once",
        "tests/integration/loadgen/test_output_files.py::test_a_signal_ends_the_wait_for_a_reader_who_never_comes[x.journal]",
        "tests/integration/loadgen/test_output_files.py::test_overwrite_replaces_the_journal",
    ),
}  # fmt: skip
#: In the name of a test that makes a poller itself, beside one that makes none.
WITH_POLLER = ("[poller", "-poller-", "-poller]")


def needs_linux(name: str) -> bool:
    """Tell whether a test is about something that only Linux has."""
    if "no-poller" not in name and any(part in name for part in WITH_POLLER):
        return True
    return name.startswith(tuple(start for starts in NEEDS_LINUX.values() for start in starts))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave them out; one that is named here and isn't there is an error."""
    names = [item.nodeid for item in items]
    for start in [start for starts in NEEDS_LINUX.values() for start in starts]:
        file = start.partition("::")[0]
        is_asked = any(name.startswith(f"{file}::") for name in names)
        is_there = (config.rootpath / file).exists()
        if not is_there or (is_asked and not any(name.startswith(start) for name in names)):
            raise pytest.UsageError(f"tests/elsewhere/needs_linux.py names {start}, which is gone")
    gone = [item for item in items if needs_linux(item.nodeid)]
    config.hook.pytest_deselected(items=gone)
    items[:] = [item for item in items if not needs_linux(item.nodeid)]
