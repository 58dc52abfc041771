import platform
import resource
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import trio

from echo_trio.wire.process import peak_rss_bytes
from loadgen.engine import usage
from loadgen.engine.usage import Usage
from loadgen.results.result import Strain


def test_the_peak_is_of_this_process():
    assert 2**20 < peak_rss_bytes() < 2048 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def test_a_generator_started_by_a_large_program_is_not_large():
    large = f"""
import subprocess, sys
ballast = bytearray(300 * 2**20)
ballast[::4096] = b"x" * len(ballast[::4096])
subprocess.run([{sys.executable!r}, "-c",
    "from echo_trio.wire.process import peak_rss_bytes; print(peak_rss_bytes())"], check=True)
"""
    done = subprocess.run(
        [sys.executable, "-c", large], capture_output=True, text=True, check=True, cwd=Path.cwd()
    )
    assert int(done.stdout) < 200 * 2**20


def test_cpu_and_waiting_are_those_since_it_was_made(monkeypatch):
    burnt_until = time.process_time() + 0.3
    while time.process_time() < burnt_until:
        pass
    waited = iter((7.0, 7.25))
    monkeypatch.setattr(usage, "waited_for_core_s", lambda: next(waited))
    begun = Usage()
    strain = begun.strain(wall_s=1.0)
    assert strain.waiting_share == 0.25
    assert strain.cpu_share < 0.2
    assert begun.facts(wall_s=1.0).cpu_s < 0.2


def test_the_time_without_a_core_is_the_second_figure_in_seconds_and_nothing_if_it_is_not_told(
    tmp_path, monkeypatch
):
    told = tmp_path / "schedstat"
    monkeypatch.setattr(usage, "_SCHEDSTAT", str(told))
    before = psutil.Process().num_fds()
    assert usage.waited_for_core_s() == 0
    for content, waited_s in (("123 4500000000 7\n", 4.5), ("123", 0), ("", 0), ("1 x 2", 0)):
        told.write_text(content)
        assert usage.waited_for_core_s() == waited_s
    assert psutil.Process().num_fds() == before


@pytest.mark.parametrize(("wall_s", "times"), [(8.0, 1 / 8), (0.5, 2.0), (0.0, 0.0)])
def test_shares_are_of_the_time_given_to_a_ten_thousandth(monkeypatch, wall_s, times):
    cpu, waited = iter((100.0, 103.12345678, 103.12345678)), iter((7.0, 7.7654321))
    monkeypatch.setattr(usage.time, "process_time", lambda: next(cpu))
    monkeypatch.setattr(usage, "waited_for_core_s", lambda: next(waited))
    begun = Usage()
    facts, strain = begun.facts(wall_s), begun.strain(wall_s)
    share = round(3.12345678 * times, 4)
    assert (facts.cpu_s, facts.cpu_share, facts.cpu_shares) == (3.123457, share, [share])
    assert facts.processes == 1
    assert (facts.python, facts.trio) == (platform.python_version(), trio.__version__)
    assert strain == Strain(
        wall_s=wall_s, cpu_share=share, waiting_share=round(0.7654321 * times, 4)
    )
