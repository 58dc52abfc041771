"""Events are sent until there are no more, or their reader is gone, or too slow."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from echo_trio.console.event_stream import HEADERS, EventStream, event


@pytest.mark.parametrize(
    ("number", "encoded"),
    [
        (None, b'event: tick\ndata: {"n": 1}\n\n'),
        (0, b'event: tick\nid: 0\ndata: {"n": 1}\n\n'),
        (7, b'event: tick\nid: 7\ndata: {"n": 1}\n\n'),
    ],
)
def test_an_event_is_encoded_as_html_defines_it(number: int | None, encoded: bytes) -> None:
    assert event("tick", b'{"n": 1}', event_id=number) == encoded


class Reader:
    """The other side of an ASGI response."""

    def __init__(self, leaves_after_s: float = 1e9) -> None:
        self.sent: list[dict[str, Any]] = []
        self.ends = 0
        self._leaves_after_s = leaves_after_s
        self._asked = 0

    async def receive(self) -> dict[str, Any]:
        self._asked += 1
        if self._asked == 1:
            return {"type": "http.request"}
        await trio.sleep(self._leaves_after_s)
        return {"type": "http.disconnect"}

    async def send(self, message: dict[str, Any]) -> None:
        await trio.lowlevel.checkpoint()
        self.sent.append(message)

    def end(self) -> None:
        self.ends += 1

    async def read(self, produce: Any, method: str = "GET") -> list[bytes]:
        """Have a response sent; return its body's parts."""
        scope: Any = {"method": method}
        try:
            await EventStream(produce, self.end)(scope, self.receive, self.send)  # type: ignore[arg-type]
        finally:
            assert self.ends == 1
        start, *parts = self.sent
        assert start == {"type": "http.response.start", "status": 200, "headers": HEADERS}
        assert all(part.get("more_body", False) for part in parts[:-1])
        return [part["body"] for part in parts]


async def test_all_events_are_sent_and_then_the_end(autojump_clock) -> None:
    async def produce(emit: Any) -> None:
        await emit(b"one")
        await trio.sleep(1)
        await emit(b"two")

    reader = Reader()
    assert await reader.read(produce) == [b"one", b"two", b""]
    assert not reader.sent[-1].get("more_body", False)


async def test_a_reader_that_leaves_is_told_nothing_more(autojump_clock) -> None:
    async def produce(emit: Any) -> None:
        for _ in range(100):
            await emit(b"x")
            await trio.sleep(1)

    began_s = trio.current_time()
    assert await Reader(leaves_after_s=2.5).read(produce) == [b"x"] * 3 + [b""]
    assert trio.current_time() - began_s == pytest.approx(2.5)


async def test_one_that_is_too_slow_misses_the_end_and_so_knows_it(autojump_clock) -> None:
    async def produce(emit: Any) -> None:
        await emit(b"x")
        raise trio.TooSlowError

    assert await Reader().read(produce) == [b"x"]


async def test_who_asks_for_the_head_alone_gets_that(autojump_clock) -> None:
    async def produce(emit: Any) -> None:
        raise AssertionError

    assert await Reader().read(produce, "HEAD") == [b""]


async def test_a_fault_is_the_callers_and_the_end_is_told_all_the_same(autojump_clock) -> None:
    async def produce(emit: Any) -> None:
        raise ValueError("of the test")

    reader = Reader()
    with pytest.raises(ExceptionGroup):
        await reader.read(produce)
    assert reader.ends == 1
