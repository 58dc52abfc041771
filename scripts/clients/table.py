"""Try what popular clients do under each behaviour, and write docs/clients.md.

    python scripts/clients/table.py
    python scripts/clients/table.py --page      the page alone, from docs/clients.json

It needs Node with `ws` (make page), Go and Cargo beside what `make install` and the development
requirements bring. The times in it are patience only, but on a machine that is busy a client may
time out where it would have got its reply: read the difference before it is committed.

Each client connects to a path, sends `hello`, and receives until something ends that, or for
`PATIENCE_S`; then it closes as its documentation says. The server tells what it saw.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import platform
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import page
import programs
from in_python import CLIENTS
from said import BEHAVIOURS, Said

from echo_trio import Settings, serving_in_thread
from echo_trio.testing.running_server import RunningServer

RESULTS = Path(__file__).parents[2] / "docs/clients.json"
#: The same replies in each run.
SETTINGS = Settings(port=0, seed=1, drain_timeout_s=1.0)


def saw(server: RunningServer) -> str:
    """Write what the server saw of the one connection."""
    server.wait_closed(1, 10.0)
    (connection,) = server.connections
    code = f" {connection.close_code}" if connection.close_code is not None else ""
    return f"{connection.outcome}{code}"


def try_all(clients: dict[str, Callable[[str, Said], None]]) -> list[dict[str, Any]]:
    """Let every client try every path; return what each said, and what the server saw."""
    behaviours = []
    for path, what in BEHAVIOURS.items():
        seen = []
        for name, client in clients.items():
            said = Said(path)
            with serving_in_thread(SETTINGS) as server:
                client(server.path(path), said)
                seen.append({"client": name, "said": list(said), "server": saw(server)})
        behaviours.append({"path": path.partition("?")[0], "what": what, "seen": seen})
        print(f"{path} done", file=sys.stderr)
    return behaviours


def main() -> None:
    """Build the clients that need it, try all, and write the results."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--page", action="store_true", help="only write the page, from the JSON")
    if not parser.parse_args().page:
        with tempfile.TemporaryDirectory(prefix="clients-") as name:
            clients = CLIENTS | programs.build(Path(name))
            document = {
                "date": dt.datetime.now(dt.UTC).date().isoformat(),
                "with": [f"Python {platform.python_version()}", *programs.runtimes()],
                "behaviours": try_all(clients),
            }
        RESULTS.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    page.PAGE.write_text(page.render(json.loads(RESULTS.read_text())))


if __name__ == "__main__":
    main()
