"""Run `make demo`: start the server with its console, load it with ten thousand sockets, stop both.

Exits with loadgen's exit code. The server takes free ports, so that it doesn't disturb a server
that is already running.
"""

from __future__ import annotations

import re
import signal
import subprocess
import sys

COUNT = 10_000
READY = re.compile(r"ready ws=(\S+) console=(\S+)")


def main() -> int:
    """Run the demo; returns loadgen's exit code."""
    server = subprocess.Popen(
        [sys.executable, "-m", "echo_trio", "--port", "0", "--console-port", "0"],
        stdout=subprocess.PIPE,
        text=True,
        # Ctrl-C is for the load generator; the server is stopped below, when that has closed.
        start_new_session=True,
    )
    try:
        assert server.stdout is not None
        ready = READY.match(server.stdout.readline())
        if ready is None:
            print("demo: the server did not start", file=sys.stderr)
            return server.wait() or 1
        url, console = ready.groups()
        print(f"server at {url}, its page at {console}", flush=True)
        load = subprocess.Popen([sys.executable, "-m", "loadgen", str(COUNT), url])
        # SIGTERM reaches this process only: without this, the two others would go on for ever.
        signal.signal(signal.SIGTERM, lambda *_: load.terminate())
        while True:
            try:
                return load.wait()
            except KeyboardInterrupt:
                continue  # It has got the signal too, and is closing its sockets.
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait()


if __name__ == "__main__":
    raise SystemExit(main())
