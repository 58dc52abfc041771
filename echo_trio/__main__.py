"""`python -m echo_trio`."""

import signal

# Until the server can drain, Ctrl-C just ends the process: no traceback from half an import.
signal.signal(signal.SIGINT, signal.SIG_DFL)

from echo_trio.cli import main  # noqa: E402

raise SystemExit(main())
