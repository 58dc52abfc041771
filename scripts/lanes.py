"""Run lanes of make's targets side by side: in order within a lane, each output in one piece.

    python scripts/lanes.py "alone browser" unit --spare "lint types"

A spare lane has what the others leave of the processors, and a tenth of a share where they leave
nothing: for what no clock looks at. The first target that fails ends the others, and what it wrote
comes last. Exit code 0 when all have passed, 1 when one has failed, 130 when interrupted.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import IO

#: How long what was asked to end may take to do so, in seconds.
GOODBYE_S = 10.0
#: Of a spare lane: a tenth of the weight of the others, so that it is late for no hang guard.
SPARE_NICENESS = 10
#: Runs a command at a niceness. Linux shares the processors among sessions first, each of which has
#: a niceness, too, where the kernel has such.
NICELY = '{ echo "$0" >/proc/self/autogroup; } 2>/dev/null; exec nice -n "$0" "$@"'


class Lanes:
    """Keep what runs, and the first that failed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self.failed: tuple[str, str] | None = None
        self.is_over = False

    def run(self, targets: Sequence[str], niceness: int = 0) -> None:
        """Make the targets one after the other, until one fails here or elsewhere."""
        for target in targets:
            began_s = time.monotonic()
            with tempfile.TemporaryFile() as output:
                process = self._start(target, output, niceness)
                if process is None:
                    return
                code = process.wait()
                output.seek(0)
                text = output.read().decode(errors="replace")
            with self._lock:
                del self._running[target]
                if self.is_over:
                    return
                took = f"{target}: {time.monotonic() - began_s:.0f} s"
                if code:
                    self.failed = (took, text)
                    self.is_over = True
                else:
                    print(f"{text}── {took} ──", flush=True)
            if code:
                self.end()
                return

    def _start(
        self, target: str, output: IO[bytes], niceness: int
    ) -> subprocess.Popen[bytes] | None:
        with self._lock:
            if self.is_over:
                return None
            print(f"── {target} ──", flush=True)
            process = subprocess.Popen(
                ["sh", "-c", NICELY, str(niceness), "make", "--no-print-directory", target],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # so that what it started ends with it
            )
            self._running[target] = process
            return process

    def end(self) -> None:
        """Have what still runs end: in good order if it does so soon."""
        with self._lock:
            self.is_over = True
            running = list(self._running.values())
        for number in (signal.SIGTERM, signal.SIGKILL):
            for process in running:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, number)
            with suppress(subprocess.TimeoutExpired):
                for process in running:
                    process.wait(GOODBYE_S)
                return


def main(arguments: Sequence[str]) -> int:
    """Run the lanes, each a list of targets with spaces between them; returns the exit code."""
    parser = argparse.ArgumentParser(description="Run lanes of make's targets side by side.")
    parser.add_argument("lanes", nargs="+", metavar="LANE")
    parser.add_argument("--spare", action="append", default=[], metavar="LANE")
    asked = parser.parse_args(arguments)
    all_of_them = Lanes()
    lanes = [(lane.split(), 0) for lane in asked.lanes]
    lanes += [(lane.split(), SPARE_NICENESS) for lane in asked.spare]
    threads = [threading.Thread(target=all_of_them.run, args=lane) for lane in lanes]
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            thread.join()
    except KeyboardInterrupt:
        all_of_them.end()
        return 130
    if all_of_them.failed is None:
        return 0
    took, text = all_of_them.failed
    print(f"{text}── failed: {took} ──", flush=True)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
