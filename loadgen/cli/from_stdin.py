"""Run the load that an order on stdin asks for, in JSON: `python -m loadgen.cli.from_stdin`.

For a program that runs loads for others. On stdin, since a command line is seen by every user of
the machine, and there may be a token in it. The first line of output says whether the run begins
(`json_settings.OrderAccepted` or `OrderRefused`); the others are those of `--stream`. Lines that
follow on stdin change the load while it goes (`orders`).
"""

from loadgen import signals


def main() -> int:
    """Read the order, answer it, and carry it out; signals are handled before the imports."""
    signals.listen()
    import os  # noqa: PLC0415
    import sys  # noqa: PLC0415

    import msgspec  # noqa: PLC0415

    from loadgen.cli import json_settings  # noqa: PLC0415
    from loadgen.cli.lines import Lines  # noqa: PLC0415
    from loadgen.report import html  # noqa: PLC0415

    def answer(line: json_settings.OrderAccepted | json_settings.OrderRefused) -> None:
        sys.stdout.buffer.write(msgspec.json.encode(line) + b"\n")
        sys.stdout.flush()

    lines = Lines(sys.stdin.fileno())
    order = msgspec.json.decode(lines.read() or b"", type=json_settings.Order)
    if order.scenario_dir is not None:
        # Scenarios are named without their folder, here and in the report.
        os.chdir(order.scenario_dir)
    try:
        run = json_settings.read(order)
    except json_settings.BadSettings as exc:
        answer(exc.refused)
        return 2
    page = html.find_problem() is None
    target = f"{run.plan.target.host}:{run.plan.target.port}"
    answer(
        json_settings.OrderAccepted(run.shown_plan, target, float(run.plan.stop_timeout_s), page)
    )
    # Only now: what carries a run out takes as long to import as all of the above.
    from loadgen.cli import load, output  # noqa: PLC0415
    from loadgen.cli.options import Options  # noqa: PLC0415

    return load.load(
        run.plan,
        options=Options(workers=run.workers, fail_if=run.fail_if, orders=lines),
        output=output.Output(
            stream=True,
            quiet=True,
            html=order.html if page else None,
            history=order.history,
            name=order.name if order.history is not None else None,
        ),
    )


if __name__ == "__main__":
    raise SystemExit(main())
