"""No chance and no wall clock in tests of properties: neither is a counterexample to anything."""

from __future__ import annotations

import functools
import gc
import inspect
import os
import re
from pathlib import Path

import pytest
from cyclopts import field_info
from hypothesis import HealthCheck, Phase, given, settings, strategies

# The same examples each time: `make soak` looks for others.
settings.register_profile(
    "steady", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)
settings.register_profile("curious", settings.get_profile("steady"), derandomize=False)
# Where the one question is whether a test fails (scripts/mutants.py), not how simply.
settings.register_profile(
    "hasty", settings.get_profile("steady"), phases=[Phase.explicit, Phase.generate]
)
settings.load_profile(
    "curious" if "SOAK_MINUTES" in os.environ else os.environ.get("PROPERTIES", "steady")
)

# Modules and tests that are collected stay until the end: to look for garbage among them takes a
# quarter of the time.
gc.disable()

# A resolver that does not answer is not waited for; a name that is none is none all the same.
os.environ.setdefault("RES_OPTIONS", "timeout:1 attempts:1")

# There the generator writes annotations for GitHub's page; the test that wants them says so.
os.environ.pop("GITHUB_ACTIONS", None)

# cyclopts asks for the types of all flags at each command line that it reads, for half of its time:
# they are the same each time.
field_info.get_type_hints = functools.cache(field_info.get_type_hints)

#: Files whose tests take longest each: begun first, so that nobody waits for the last of them.
#: Then the others of INTEGRATION, which wait; the short tests come last.
LONG = ("test_conformance.py", "test_upstream_suite.py", "test_dask.py", "test_scale_out.py")


#: Where `make alone` looks for tests that are marked so, and what is in their files.
INTEGRATION = Path(__file__).parent / "integration"
ALONE = re.compile(r"mark\.alone|\.marks import")


def is_among_alone(path: Path) -> bool:
    """Whether `make alone` looks into this file of tests."""
    return INTEGRATION in path.parents and ALONE.search(path.read_text()) is not None


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave the files out of `make alone` that have none of its tests: to import all takes 4 s."""
    if collection_path.suffix != ".py" or not config.option.markexpr.startswith("alone"):
        return None
    return not is_among_alone(collection_path) or None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest tests first, then those that wait; otherwise they stay in their order."""
    for item in items:
        if item.get_closest_marker("alone") and not is_among_alone(item.path):
            raise pytest.UsageError(f"{item.nodeid} is marked alone: make alone won't find it")
        _check_clock(item)
    items.sort(key=lambda item: (item.path.name not in LONG, INTEGRATION not in item.path.parents))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Collect garbage again, and have Hypothesis read our sources once for all forks.

    It takes the constants of all modules for examples, and reads their sources and its tables of
    characters for that before its first one: more than a second of each fork, on a fresh clone
    (scripts/side_by_side.py).
    """
    gc.enable()
    if getattr(session.config, "forks", 0) and not session.config.option.collectonly:

        @settings(max_examples=1, database=None)
        @given(strategies.text())
        def draw(_: str) -> None:
            pass

        draw()


def _check_clock(item: pytest.Item) -> None:
    """Check that a test whose fixtures ask for a virtual clock runs on it.

    pytest-trio looks for a clock among the test's own arguments alone: with one that only a fixture
    names, the test takes as long as it says, and is no surer for it.
    """
    if isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.function):
        asked_for = {"autojump_clock", "mock_clock"} & set(item.fixturenames)
        if not asked_for <= set(inspect.signature(item.function).parameters):
            raise pytest.UsageError(
                f"{item.nodeid} runs on the real clock: give the test itself {asked_for.pop()}"
            )
