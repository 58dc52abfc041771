"""Take docs/images/run.png: a load run of ten thousand sockets, as a terminal shows it.

Needs `make install`, Chromium and a server: python scripts/picture_run.py ws://127.0.0.1:8765/
"""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import sys
import tempfile
import termios
from pathlib import Path

from rich.console import Console
from rich.text import Text

COLUMNS, ROWS = 92, 30
PICTURE = Path(__file__).parents[1] / "docs/images/run.png"
COMMAND = ["-m", "loadgen", "10000"]
CHROMIUM = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]


def main() -> int:
    """Run the load in a terminal of its own, and take a picture of what it leaves there."""
    shown = _run_in_terminal([sys.executable, *COMMAND, *sys.argv[1:]])
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print(Text.from_ansi(f"$ python {' '.join(COMMAND)}\n{shown}"))
    svg = console.export_svg(title="python -m loadgen 10000")
    # Rich's template asks for a font from elsewhere; the machine's own will do.
    svg = re.sub(r"@font-face \{.*?\}", "", svg, flags=re.DOTALL)
    width, height = (float(n) for n in re.search(r'viewBox="0 0 (\S+) (\S+)"', svg).groups())  # type: ignore[union-attr]
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "run.svg"
        page.write_text(svg)
        size = f"--window-size={int(width)},{int(height)}"
        subprocess.run(
            [*CHROMIUM, f"--user-data-dir={folder}/profile", size, f"--screenshot={PICTURE}", page],
            check=True,
            stderr=subprocess.DEVNULL,
        )
    return 0


def _run_in_terminal(command: list[str]) -> str:
    """Run a command in a terminal; return the final screen, colours included."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
    process = subprocess.Popen(
        command, stdout=theirs, stderr=subprocess.DEVNULL, env=environment, close_fds=True
    )
    os.close(theirs)
    output = b""
    try:
        while chunk := os.read(ours, 65536):
            output += chunk
    except OSError:
        pass  # The other end is closed: the command is over.
    process.wait()
    return output.decode().replace("\r\n", "\n").strip("\n")


if __name__ == "__main__":
    raise SystemExit(main())
