"""Give pytest the fixture `ws_server`: a server for each test that asks for one.

pytest imports this module at every start where the package is installed, whether it is used or not.
So it imports nothing but pytest, which is there already; the server is imported by the first test
that asks for it. `-p no:echo_trio` turns all of this off.
"""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from echo_trio.testing.running_server import RunningServer

#: Where a test keeps its server, for the report if it fails.
_SERVER: Final = pytest.StashKey["RunningServer"]()

MARKER: Final = "ws_server"


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, for `--markers` and `--strict-markers`."""
    config.addinivalue_line(
        "markers",
        f"{MARKER}(**settings): the settings of this test's ws_server, as fields of "
        "echo_trio.Settings: seed=1, compression=True, ping_interval_s=0.1",
    )


@pytest.fixture
def ws_server(request: pytest.FixtureRequest) -> Iterator[RunningServer]:
    """Serve WebSockets that misbehave on request, in a thread of its own, on a free port.

    `url` is the echo; `path("/drop/3")` a behaviour; `connections` tells what the server saw;
    `wait_closed(n)` and `assert_all_clean()` wait and check. Works in tests of every kind: sync,
    asyncio, anyio, Trio, unittest. `@pytest.mark.ws_server(seed=1)` gives it settings.
    """
    with _without_rewriting(request.config):
        from echo_trio.testing.marks import settings_of  # noqa: PLC0415
        from echo_trio.testing.serving import serving_in_thread  # noqa: PLC0415

    settings = settings_of(request.node.iter_markers(MARKER))
    with serving_in_thread(settings, console=settings.console) as server:
        request.node.stash[_SERVER] = server
        yield server


@contextmanager
def _without_rewriting(config: pytest.Config) -> Iterator[None]:
    """Import modules as they are: pytest rewrites the asserts of all that a plugin comes with.

    That is meant for fixtures whose asserts are the test's. Here it is the whole server, 58
    modules: where Python writes no bytecode (PYTHONDONTWRITEBYTECODE, usual in containers), they
    are rewritten at each start, which took 0.19 of the 0.35 s of CPU of the first use.
    """
    hook = getattr(config.pluginmanager, "rewrite_hook", None)
    if hook not in sys.meta_path:  # With --assert=plain.
        yield
        return
    place = sys.meta_path.index(hook)
    del sys.meta_path[place]
    try:
        yield
    finally:
        sys.meta_path.insert(place, hook)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[Any]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add what the server saw to the report of a test that failed."""
    report = yield
    server = item.stash.get(_SERVER, None)
    if server is not None and report.failed:
        from echo_trio.testing.summary import summarize  # noqa: PLC0415

        report.sections.append((MARKER, summarize(server)))
    if call.when == "teardown" and server is not None:
        del item.stash[_SERVER]
    return report
