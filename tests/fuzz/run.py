"""Fuzz the handshake, the frames, settings, journals and reports with atheris, from the corpus.

    python tests/fuzz/run.py SECONDS

What it finds on the way goes to a folder that git ignores; an input that breaks something is
written beside it, to be added to the corpus with the fix. `make fuzz` installs atheris.
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

HERE = Path(__file__).parent
FOUND = HERE / "found"

with atheris.instrument_imports(include=["echo_trio", "loadgen", "target"]):
    sys.path.insert(0, str(HERE))
    import target


def main() -> None:
    seconds = sys.argv[1] if len(sys.argv) > 1 else "60"
    FOUND.mkdir(exist_ok=True)
    options = [
        f"-max_total_time={seconds}",
        "-max_len=16384",
        "-timeout=20",
        "-rss_limit_mb=2048",
        f"-artifact_prefix={FOUND}/broken-",
        "-print_final_stats=1",
    ]
    atheris.Setup([sys.argv[0], *options, str(FOUND), str(HERE / "corpus")], target.check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
