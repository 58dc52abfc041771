"""Check what the plugin does to pytest's imports, and what it adds to a report."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from echo_trio.settings import Settings
from echo_trio.testing import plugin


@pytest.mark.parametrize("fails", [False, True])
def test_pytests_hook_is_away_for_a_while_and_then_where_it_was(monkeypatch, fails: bool) -> None:
    """Behind the others it would rewrite no test module any more: asserts would say nothing."""
    first, hook, last = object(), object(), object()
    config: Any = SimpleNamespace(pluginmanager=SimpleNamespace(rewrite_hook=hook))
    finders = [first, hook, last]
    meanwhile = list[list[object]]()
    with monkeypatch.context() as patch:
        patch.setattr(plugin.sys, "meta_path", finders)
        try:
            with plugin._without_rewriting(config):
                meanwhile.append(list(finders))
                if fails:
                    raise ZeroDivisionError
        except ZeroDivisionError:
            meanwhile.append([])
    assert meanwhile == [[first, last], *[[]] * fails]
    assert finders == [first, hook, last]


def test_where_nothing_is_rewritten_finders_are_left_alone() -> None:
    config: Any = SimpleNamespace(pluginmanager=SimpleNamespace())
    before = list(plugin.sys.meta_path)
    with plugin._without_rewriting(config):
        assert plugin.sys.meta_path == before
    assert plugin.sys.meta_path == before


def sections_of(item: Any, when: str, *, failed: bool) -> list[tuple[str, str]]:
    """Have a report of a part of a test made, and return what was added to it."""
    call: Any = SimpleNamespace(when=when)
    report: Any = SimpleNamespace(failed=failed, sections=[])
    making = plugin.pytest_runtest_makereport(item, call)
    next(making)
    with pytest.raises(StopIteration) as made:
        making.send(report)
    assert made.value.value is report
    return report.sections


def test_each_part_that_fails_is_told_of_all_servers_and_none_after_the_teardown(
    monkeypatch,
) -> None:
    servers = iter(["one", "other"])

    @contextmanager
    def serving(settings: Settings, *, console: bool) -> Iterator[str]:
        assert (settings.seed, console) == (7, False)
        yield next(servers)

    monkeypatch.setattr("echo_trio.testing.serving.serving_in_thread", serving)
    monkeypatch.setattr("echo_trio.testing.summary.summarize", lambda server: f"saw {server}")
    item: Any = SimpleNamespace(stash=pytest.Stash())
    request: Any = SimpleNamespace(node=item)
    settings = Settings(seed=7, console=False)
    with ExitStack() as running:
        for name in ("ws_server", "ws_proxy"):
            plugin._start(running, request, name, settings)
    both = [("ws_server", "saw one"), ("ws_proxy", "saw other")]
    assert sections_of(item, "setup", failed=False) == []
    assert sections_of(item, "call", failed=True) == both
    assert sections_of(item, "teardown", failed=True) == both
    assert sections_of(item, "call", failed=True) == []
