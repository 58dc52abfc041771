"""All benchmarks and their report: what `make bench` runs.

    python benchmarks/run.py --quick|--full|--payloads [--results FOLDER] [--page FILE]

`--quick` is a look, and leaves the page in docs/ alone unless `--page` names one. `--full` is
the measurement: medians of three repeats, about two hours on a quiet machine. `--payloads` is of
that the part about large and compressed messages alone, and renews its part of the page: some
twenty-five minutes.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import generators
import payloads
import proxies
import report
import servers
from results import PAGE, RESULTS


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    length = parser.add_mutually_exclusive_group(required=True)
    length.add_argument("--quick", action="store_true", help="minutes, one repeat")
    length.add_argument("--full", action="store_true", help="medians of three repeats")
    length.add_argument("--payloads", action="store_true", help="large and compressed ones alone")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for the JSON")
    parser.add_argument("--page", type=Path, help="the Markdown page to write")
    given = parser.parse_args(arguments)

    shared = ["--results", str(given.results)] + (["--quick"] if given.quick else [])
    if given.payloads:
        shared += ["--page", str(given.page or PAGE)]
        return payloads.main(shared) or payloads.main([*shared, "--report"])
    for benchmark in (servers, generators, payloads):
        if code := benchmark.main(shared):
            return code
    if given.full and (code := proxies.main(["--results", str(given.results)])) not in (0, 1):
        return code
    page = given.page or (given.results / "quick.md" if given.quick else PAGE)
    mode = "quick" if given.quick else "full"
    if code := report.main(["--results", str(given.results), "--page", str(page), "--mode", mode]):
        return code
    if code := payloads.main([*shared, "--page", str(page), "--report", "--mode", mode]):
        return code
    if given.full and not given.page:
        return proxies.main(["--results", str(given.results), "--report"])
    return 0


if __name__ == "__main__":
    sys.exit(main())
