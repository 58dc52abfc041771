"""Give pytest the fixtures `ws_server` and `ws_proxy`: servers for each test that asks for them.

pytest imports this module at every start where the package is installed, whether it is used or not.
So it imports nothing but pytest, which is there already; the server is imported by the first test
that asks for it. `-p no:echo_trio` turns all of this off.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from echo_trio.settings import Settings
    from echo_trio.testing.running_server import RunningServer

#: Where a test keeps its servers, each with the name of its fixture, for the report if it fails.
_SERVERS: Final = pytest.StashKey["list[tuple[str, RunningServer]]"]()

MARKER: Final = "ws_server"


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, for `--markers` and `--strict-markers`."""
    config.addinivalue_line(
        "markers",
        f"{MARKER}(**settings): settings of this test's ws_server and ws_proxy, as fields of "
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

    settings = settings_of(request.node.iter_markers(MARKER))
    with ExitStack() as running:
        yield _start(running, request, "ws_server", settings)


@pytest.fixture
def ws_proxy(request: pytest.FixtureRequest) -> Iterator[Callable[..., RunningServer]]:
    """Put a proxy that misbehaves on request in front of a server: `ws_proxy("ws://…")`.

    What it returns is what `ws_server` is, and has `faults("~delay/200ms")`, which changes what is
    done to all its connections while they are open; `path("/~drop/3/chat")` does it to one.
    Further arguments are settings, as those of the marker `ws_server`, which holds here as well.
    Each call starts another proxy; all of them end with the test.
    """
    with _without_rewriting(request.config):
        from echo_trio.testing.marks import settings_of  # noqa: PLC0415

    with ExitStack() as running:

        def start(upstream: str, **settings: Any) -> RunningServer:
            markers = request.node.iter_markers(MARKER)
            made = settings_of(markers, "ws_proxy", upstream=upstream, **settings)
            return _start(running, request, "ws_proxy", made)

        yield start


def _start(
    running: ExitStack, request: pytest.FixtureRequest, name: str, settings: Settings
) -> RunningServer:
    """Start a server of a test that ends with the stack, and keep it for the test's report.

    :param name: of its fixture.
    :raises pytest.fail.Exception: in one line, if it can't start.
    """
    from echo_trio.testing.serving import serving_in_thread  # noqa: PLC0415

    __tracebackhide__ = True
    try:
        server = running.enter_context(serving_in_thread(settings, console=settings.console))
    except OSError as exc:
        problem = exc.strerror or str(exc)
    except Exception as exc:
        from echo_trio.service import CannotStart  # noqa: PLC0415 - it is imported by then

        if not isinstance(exc, CannotStart | OverflowError):
            raise
        problem = str(exc)
    else:
        request.node.stash.setdefault(_SERVERS, []).append((name, server))
        return server
    # Behind the handlers, or pytest would show both exceptions.
    raise pytest.fail.Exception(f"{name}: {problem}", pytrace=False)


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
    servers = item.stash.get(_SERVERS, [])
    if servers and report.failed:
        from echo_trio.testing.summary import summarize  # noqa: PLC0415

        report.sections += [(name, summarize(server)) for name, server in servers]
    if call.when == "teardown" and servers:
        del item.stash[_SERVERS]
    return report
