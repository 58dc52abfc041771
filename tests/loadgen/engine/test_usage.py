import resource
import subprocess
import sys
from pathlib import Path

from loadgen.engine.usage import Usage, peak_rss_bytes


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
    "from loadgen.engine.usage import peak_rss_bytes; print(peak_rss_bytes())"], check=True)
"""
    done = subprocess.run(
        [sys.executable, "-c", large], capture_output=True, text=True, check=True, cwd=Path.cwd()
    )
    assert int(done.stdout) < 200 * 2**20
