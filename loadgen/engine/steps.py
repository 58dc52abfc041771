"""Take the steps of a schedule when they are due: by the poller's alarm, without a task to wake."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from echo_trio.wire.poller import Poller
    from loadgen.engine.steering import Steering

#: A step is what runs up to a `yield`; the value is when the next is due, by Trio's clock.
Steps = Generator[float, None, None]


async def take_when_due(steps: Steps, poller: Poller | None, steering: Steering) -> None:
    """Take steps until there is none left: the first at once, each other when the last said.

    A change of the load brings the next at once, which may then say another time.

    None of them may block. The load of 1,000 sockets with a message a second has 1,000 steps a
    second: taken by a task they cost 45 µs each, by an alarm 20.

    Cancelled: `steps` is closed, at its `yield`.

    :param poller: waits for the sockets of this process, and rings if it can.
    :param steering: tells of changes of the load.
    """
    with closing(steps):
        if poller is None or not poller.is_inside:
            for due_s in steps:
                await steering.sleep_until(due_s)
            return
        alarms, over, alarm = poller.alarms, trio.Event(), 0

        def step() -> None:
            nonlocal alarm
            try:
                alarm = alarms.set(next(steps), step)
            except StopIteration:
                over.set()

        def hurry() -> None:
            nonlocal alarm
            alarms.drop(alarm)
            alarm = alarms.set(trio.current_time(), step)

        step()
        try:
            with steering.calling(hurry):
                await over.wait()
        finally:
            alarms.drop(alarm)
