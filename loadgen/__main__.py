"""Start the command line: `python -m loadgen`, and the command `loadgen`."""

import os
import signal

if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    # Until the handlers are there: no traceback from half an import, and the exit code of the rest.
    signal.signal(signal.SIGINT, lambda *_: os._exit(130))

from loadgen import signals


def main() -> int:
    """Run the command line; signals are handled before the imports, which take a while."""
    signals.listen()
    from loadgen.cli import load  # noqa: PLC0415

    return load.main()


if __name__ == "__main__":
    raise SystemExit(main())
