"""Measure the web page: frames and the main thread in a flood, and the heap over a session.

    python benchmarks/page.py                 # 20 s of 5,000 messages/s, half an hour of 1,000/s
    python benchmarks/page.py --minutes 3
    python benchmarks/page.py --minutes 0     # the flood alone

It prints what Chromium says. The page has to be built (`make page`); figures of a machine that does
something else as well are that machine's.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

CLIENT: Final = Path(__file__).resolve().parents[1] / "react-client"


def main() -> int:
    """Run the measurements with Playwright; return its exit code."""
    parser = argparse.ArgumentParser(description="Measure the web page in Chromium.")
    parser.add_argument("--minutes", type=int, default=30, help="of the session; 0 for none")
    parser.add_argument("--rate", type=int, default=5000, help="messages a second of the flood")
    parser.add_argument("--seconds", type=int, default=20, help="of the flood")
    asked = parser.parse_args()
    command = ["npx", "playwright", "test", "--project=bench", "--workers=1", "--reporter=line"]
    if asked.minutes == 0:
        command += ["--grep-invert", "a session of"]
    settings = {
        "BENCH_MINUTES": str(asked.minutes),
        "BENCH_RATE": str(asked.rate),
        "BENCH_SECONDS": str(asked.seconds),
        "PYTHON": sys.executable,
    }
    return subprocess.run(
        command, cwd=CLIENT, env={**os.environ, **settings}, check=False
    ).returncode


if __name__ == "__main__":
    raise SystemExit(main())
