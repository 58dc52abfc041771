"""`python -m loadgen.cli.from_stdin`: its arguments come on stdin, as a list in JSON.

For who runs a load for others: a command line is seen by every user of the machine, and there may
be a token in it.
"""

from loadgen.signals import INTERRUPTS


def main() -> int:
    """Run the command line that stdin says; Ctrl-C is in good hands before the imports."""
    INTERRUPTS.listen()
    import json  # noqa: PLC0415
    import sys  # noqa: PLC0415

    from loadgen.cli import load  # noqa: PLC0415

    return load.main(json.load(sys.stdin))


if __name__ == "__main__":
    raise SystemExit(main())
