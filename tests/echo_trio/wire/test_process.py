"""The file limit and the collector's policy."""

from __future__ import annotations

import gc
import resource
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from echo_trio.wire import process


@pytest.fixture
def file_limit():
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield before
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.fixture
def collector():
    thresholds = gc.get_threshold()
    yield
    gc.set_threshold(*thresholds)
    gc.unfreeze()


def test_the_file_limit_is_raised_to_the_hard_one(file_limit):
    _, hard = file_limit
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, hard))
    assert process.raise_file_limit() == hard
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)


def test_a_limit_that_is_as_high_as_it_may_be_is_left_alone(file_limit, monkeypatch):
    _, hard = file_limit
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    asked = []
    monkeypatch.setattr(process.resource, "setrlimit", lambda *what: asked.append(what))
    assert (process.raise_file_limit(), asked) == (hard, [])
    assert (process.file_limit(), process.file_limit(hard=True)) == (hard, hard)


def test_the_soft_and_the_hard_limit_are_told_apart(file_limit, monkeypatch):
    limits = [(200, 4000), (resource.RLIM_INFINITY, resource.RLIM_INFINITY)]
    told = []
    for each in limits:
        monkeypatch.setattr(process.resource, "getrlimit", lambda _, each=each: each)
        told.append((process.file_limit(), process.file_limit(hard=True)))
    assert told == [(200, 4000), (process.UNLIMITED_FILES, process.UNLIMITED_FILES)]


def test_the_memory_of_the_machine_is_what_the_system_tells(monkeypatch):
    sizes = {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 1000}
    monkeypatch.setattr(process.os, "sysconf", sizes.__getitem__)
    assert process.machine_memory_bytes() == 4_096_000


def test_a_system_that_does_not_raise_it_is_no_error(file_limit, monkeypatch):
    def refuse(*_):
        raise ValueError("no")

    monkeypatch.setattr(process.resource, "setrlimit", refuse)
    assert process.raise_file_limit() == file_limit[0]


@pytest.mark.parametrize(("soft", "granted"), [(256, 10_240), (20_000, 20_000)])
def test_where_the_hard_limit_is_infinite_and_not_granted_it_is_as_many_as_macos_grants(
    monkeypatch, soft, granted
):
    limits = [soft, resource.RLIM_INFINITY]

    def grant(_, wanted):
        if wanted[0] == resource.RLIM_INFINITY:
            raise ValueError("current limit exceeds maximum limit")
        limits[:] = wanted

    monkeypatch.setattr(process.resource, "getrlimit", lambda _: tuple(limits))
    monkeypatch.setattr(process.resource, "setrlimit", grant)
    assert process.raise_file_limit() == granted


@pytest.mark.parametrize(
    ("setting_up", "least_faults", "most_faults"),
    [
        pytest.param("pass", 20_000, 10**9, id="by default: a page fault for every 4 KiB"),
        pytest.param("process.keep_large_buffers()", 0, 2_000, id="kept: none after the first"),
    ],
)
def test_large_buffers_come_from_memory_that_is_kept(setting_up, least_faults, most_faults):
    # Two at a time, as a message and its reply are: glibc by itself gets used to a single one.
    program = f"""
import resource
from echo_trio.wire import process
{setting_up}
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(100):
    message = bytearray(2**20 + 1)
    reply = bytes(message)
    del message, reply
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
    faults = int(
        subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True
        ).stdout
    )
    assert least_faults <= faults <= most_faults


def test_the_collector_spares_what_lives_long(collector):
    process.spare_long_lived_objects()
    assert gc.get_freeze_count() > 0
    young, middle, old = gc.get_threshold()
    assert (young, middle) == (process.YOUNG_THRESHOLD, process.MIDDLE_THRESHOLD)
    assert old == process.NEVER


class Crowd:
    def __init__(self) -> None:
        self.open = self.gone = 0


async def go_on(_: float) -> None:
    """Find that something has happened."""
    await trio.lowlevel.checkpoint()


async def test_while_nothing_happens_nobody_looks_whether_to_collect(nursery, autojump_clock):
    looks, waits = [], []

    def ended() -> int:
        looks.append(1)
        return 0

    async def wait(moment_s: float) -> None:
        waits.append(moment_s)
        await trio.sleep_forever()

    nursery.start_soon(process.collect_after_crowds, lambda: 0, ended, lambda: 0, wait)
    await trio.sleep(process.LOOK_INTERVAL_S * 1.5)
    assert len(waits) == 1
    before = len(looks)
    await trio.sleep(3600)
    assert len(looks) == before


@pytest.mark.parametrize(
    ("open_", "steps", "collections"),
    [
        pytest.param(0, [0, 0, 0], 0, id="nothing happens"),
        pytest.param(0, [process.MIN_ENDED - 1], 0, id="a few end"),
        pytest.param(0, [process.MIN_ENDED], 1, id="many end"),
        pytest.param(0, [process.MIN_ENDED, process.MIN_ENDED], 2, id="many end, twice"),
        pytest.param(10_000, [2_000], 0, id="many end, of ten thousand"),
        pytest.param(10_000, [2_000, 500], 1, id="a quarter of ten thousand ends"),
    ],
)
async def test_the_old_are_collected_after_crowds(
    nursery, autojump_clock, monkeypatch, open_, steps, collections
):
    collected, crowd = [], Crowd()
    crowd.open = open_
    monkeypatch.setattr(process.gc, "collect", lambda: collected.append(trio.current_time()))
    nursery.start_soon(
        process.collect_after_crowds, lambda: crowd.open, lambda: crowd.gone, lambda: 0, go_on
    )
    await trio.sleep(process.LOOK_INTERVAL_S / 2)  # so that we act between its looks
    for step in steps:
        crowd.gone += step
        await trio.sleep(process.LOOK_INTERVAL_S)
    await trio.sleep(process.LOOK_INTERVAL_S)
    assert len(collected) == collections


@pytest.mark.parametrize(
    ("looks", "returns"),
    [
        pytest.param([(0, 0), (0, 0)], 0, id="nothing happens"),
        pytest.param([(1, 0), (0, 0), (0, 0)], 1, id="one ends"),
        pytest.param([(1, 0), (1, 0), (1, 0)], 0, id="some go on ending"),
        pytest.param([(1, 0), (1, 0), (0, 0), (0, 0)], 1, id="no more end"),
        pytest.param([(0, 100 * 2**20), (0, 0), (0, 0)], 1, id="nobody ends, but lets go of much"),
        pytest.param([(0, 2**20), (0, 0), (0, 0)], 0, id="nobody ends, and lets go of little"),
        pytest.param([(1, 99 * 2**20), (1, 0), (1, 0)], 1, id="some go on ending, one held much"),
        pytest.param([(1, 40 * 2**20), (1, 0), (1, 0)], 0, id="some go on ending, one held some"),
        pytest.param(
            [(1, process.SWING_BYTES), (1, 0)], 1, id="some go on ending, it just suffices"
        ),
        pytest.param(
            [(1, process.SWING_BYTES - 1), (1, 0)], 0, id="some go on ending, a byte less"
        ),
        pytest.param([(0, process.KEPT_BYTES), (0, 0)], 1, id="nobody ends, it just suffices"),
        pytest.param([(0, process.KEPT_BYTES - 1), (0, 0)], 0, id="nobody ends, a byte less"),
    ],
)
async def test_what_a_few_leave_goes_back_to_the_system_once_no_more_of_them_go(
    nursery, autojump_clock, monkeypatch, looks, returns
):
    returned, crowd = [], Crowd()
    held = 0
    monkeypatch.setattr(process, "return_free_memory", lambda: returned.append(None))
    nursery.start_soon(
        process.collect_after_crowds, lambda: crowd.open, lambda: crowd.gone, lambda: held, go_on
    )
    await trio.sleep(process.LOOK_INTERVAL_S / 2)
    for gone, held in looks:  # noqa: B007 - read by the task
        crowd.gone += gone
        await trio.sleep(process.LOOK_INTERVAL_S)
    assert len(returned) == returns


async def test_a_library_without_malloc_trim_is_no_error(monkeypatch):
    monkeypatch.setattr(process, "_c_library", object)
    process.return_free_memory()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_peak_of_memory_is_in_bytes_and_no_less_than_what_there_is_now():
    resident_pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    assert process.peak_rss_bytes() >= resident_pages * resource.getpagesize()
