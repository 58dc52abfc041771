"""`python -m loadgen`, and the command `loadgen`."""

from loadgen import signals


def main() -> int:
    """Run the command line; Ctrl-C is in good hands before the imports, which take a while."""
    signals.listen()
    from loadgen.cli import load  # noqa: PLC0415

    return load.main()


if __name__ == "__main__":
    raise SystemExit(main())
