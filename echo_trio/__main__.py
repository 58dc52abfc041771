"""Start the command line: `python -m echo_trio`, and the command `echo-trio`."""

import signal

# Until the server can drain, Ctrl-C just ends the process: no traceback from half an import.
signal.signal(signal.SIGINT, signal.SIG_DFL)

from echo_trio.cli import main  # noqa: E402

status: int = main()
# The interpreter puts the default back while it ends, and a terminal that goes away hangs up twice.
if hasattr(signal, "SIGHUP"):
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
raise SystemExit(status)
