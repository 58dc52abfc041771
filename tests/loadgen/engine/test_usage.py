import resource
import subprocess
import sys
import time
from pathlib import Path

from echo_trio.wire.process import peak_rss_bytes
from loadgen.engine import usage
from loadgen.engine.usage import Usage


def test_the_share_of_cpu_is_of_the_time_given():
    usage = Usage()
    sum(range(2_000_000))
    facts = usage.facts(wall_s=10.0)
    assert facts.cpu_s > 0
    assert facts.cpu_share == round(facts.cpu_s / 10.0, 4)


def test_no_time_is_no_division_by_zero():
    assert Usage().facts(wall_s=0.0).cpu_share == 0


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
