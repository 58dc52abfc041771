"""Leave out the tests of what other systems lack: a plugin of pytest, for `make elsewhere`.

For each reason the tests, by the beginning of their names. All other tests hold on every system, as
far as our packages are concerned.
"""

from __future__ import annotations

import pytest

NEEDS_LINUX = {
    "SIGHUP": (
        "tests/integration/test_hang_up.py",
    ),
    "a limit on open files": (
        "tests/integration/test_server_process.py::test_a_file_limit_that_no_server_can_live_with",
        "tests/integration/test_server_process.py::test_with_many_workers_more_files_are_needed",
        "tests/integration/test_server_process.py::test_with_the_least_file_limit_it_serves",
    ),
    "poll(2): a reset is seen behind unread data": (
        "tests/integration/wire/test_crowds.py::test_a_client_that_resets_while_it_is_frozen",
    ),
    "several processes on one port": (
        "tests/integration/test_workers.py",
        "tests/integration/test_supervisor.py",
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
        if any(name.startswith(f"{file}::") for name in names) and not any(
            name.startswith(start) for name in names
        ):
            raise pytest.UsageError(f"tests/elsewhere/needs_linux.py names {start}, which is gone")
    gone = [item for item in items if needs_linux(item.nodeid)]
    config.hook.pytest_deselected(items=gone)
    items[:] = [item for item in items if not needs_linux(item.nodeid)]
