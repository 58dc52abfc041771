"""Change a load as the program says that runs it for others: lines of JSON, on stdin.

They follow the order that says which run it is (`json_settings.Order`). Each is answered on stdout,
among the lines of `--stream`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal

import msgspec
import trio

from echo_trio import units
from loadgen.cli.lines import Lines
from loadgen.engine.running import Running
from loadgen.report.stream import LoadNow, show_load
from loadgen.workload.lever import BadChange, NotLoading, Wanted

#: A change is a number or two; a longer line is none, and ends the reading.
MAX_LINE_BYTES: Final = 1 << 16


class Steer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An order to change the load.

    :ivar id: is in the answer again.
    :ivar rate: like 100/s, in the unit of the plan's rate.
    :ivar factor: of the planned rate.
    """

    id: int
    rate: str | None = None
    factor: float | None = None
    paused: bool | None = None


class Steered(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to an order.

    :ivar error: why nothing has changed; null if it has, or was so already.
    :ivar field: what was asked for that the load can't take; null if the run is not in its load.
    """

    type: Literal["steered"] = "steered"
    id: int
    error: str | None = None
    field: str | None = None
    load: LoadNow


async def obey(lines: Lines, run: Running, write: Callable[[bytes], object]) -> None:
    """Change a run as each line says, and answer it, until there are no more.

    :param write: takes an answer; is called in a thread.
    """
    while True:
        # A thread of its own, left behind when the run is over: stdin may be any kind of file.
        line = await trio.to_thread.run_sync(lines.read, MAX_LINE_BYTES, abandon_on_cancel=True)
        if line is None:
            return
        try:
            order = msgspec.json.decode(line, type=Steer)
        except msgspec.MsgspecError:
            continue  # Nobody can be answered.
        answer = msgspec.json.encode(_carry_out(order, run)) + b"\n"
        try:
            await trio.to_thread.run_sync(write, answer)
        except OSError:
            return  # Nobody reads any more, which `stream` finds out as well.


def _carry_out(order: Steer, run: Running) -> Steered:
    error = field = None
    try:
        run.steer(
            Wanted(
                rate=None if order.rate is None else _parse_rate(order.rate),
                factor=order.factor,
                paused=order.paused,
            )
        )
    except BadChange as exc:
        error, field = str(exc), exc.field
    except NotLoading as exc:
        error = str(exc)
    return Steered(id=order.id, error=error, field=field, load=show_load(run.lever))


def _parse_rate(text: str) -> float:
    try:
        return units.parse_rate(text)
    except ValueError as exc:
        raise BadChange(str(exc), "rate") from None
