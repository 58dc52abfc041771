"""Fetch the target's own metrics once a second, on the clock of the run: `--console URL`."""

from __future__ import annotations

from typing import Final, NoReturn

import trio

from echo_trio.masks import mask_url
from loadgen.engine.running import Phase, Running
from loadgen.report.model import TargetReport
from loadgen.target_metrics.http import FetchFailed, HttpConnection, Source
from loadgen.target_metrics.parse import Meaningless, Reading, read
from loadgen.target_metrics.summary import TargetBooks

#: The answer for one second has to come before the next.
TIMEOUT_S: Final = 0.9


class TargetSeries:
    """The metrics of a target while a run goes."""

    def __init__(self, url: str) -> None:
        """Take the URL.

        :raises ValueError: if it is none.
        """
        self._source = Source(url)
        self._books = TargetBooks()
        self._connection: HttpConnection | None = None

    async def keep(self, engine: Running) -> NoReturn:
        """Ask the target as each second of the run ends, until cancelled.

        A failure is counted, and the target asked again.
        """
        try:
            if (reading := await self._look()) is not None:
                self._books.begin(reading, trio.current_time())
            while True:
                await engine.wait_for_second()
                t_s, phase = engine.series[-1].t_s, engine.phase
                if (reading := await self._look()) is not None:
                    under_load = phase is Phase.LOAD
                    self._books.book(reading, trio.current_time(), t_s, under_load=under_load)
        finally:
            await self._hang_up()

    async def _look(self) -> Reading | None:
        """Ask once; keep the connection for the next time, if it can be used again."""
        reading = None
        try:
            with trio.fail_after(TIMEOUT_S):
                if self._connection is not None and self._connection.is_stale:
                    await self._hang_up()
                if self._connection is None:
                    self._connection = await HttpConnection.open(self._source)
                answer = await self._connection.get()
                # Beside the loop, which has messages to send; a slow answer is not awaited.
                reading = await trio.to_thread.run_sync(read, *answer, abandon_on_cancel=True)
        except trio.TooSlowError:
            self._books.book_error("no answer within a second")
        except FetchFailed as exc:
            self._books.book_error(str(exc))
        except Meaningless as exc:
            self._books.book_error(f"{self._source.shown_path}: {exc}")
        if reading is None or not (self._connection and self._connection.is_reusable):
            await self._hang_up()
        return reading

    async def _hang_up(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            await connection.close()

    def report(self) -> TargetReport:
        """Report the metrics and the failures."""
        return self._books.report(mask_url(self._source.url))
