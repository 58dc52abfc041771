"""Send server-sent events as an ASGI response that notices when its reader has gone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import trio
from starlette.types import Receive, Scope, Send

HEADERS: Final = [
    (b"content-type", b"text/event-stream"),
    # nginx would keep events back until it has a buffer full of them.
    (b"x-accel-buffering", b"no"),
]

Emit = Callable[[bytes], Awaitable[None]]


def event(name: str, data: bytes, *, event_id: int | None = None) -> bytes:
    """Encode one event, as the HTML standard defines it (9.2.6).

    :param data: bytes without a line break, as JSON has none.
    """
    identity = b"" if event_id is None else b"id: %d\n" % event_id
    return b"event: %s\n%sdata: %s\n\n" % (name.encode("ascii"), identity, data)


class EventStream:
    """A response whose events `produce` emits; it ends when that returns, or the reader leaves.

    Where `produce` finds the reader too slow (`trio.TooSlowError`), the response is cut off without
    its last chunk, so that the reader knows that something is missing.

    :param on_end: called once at the end, for any cause.
    """

    def __init__(
        self, produce: Callable[[Emit], Awaitable[None]], on_end: Callable[[], None]
    ) -> None:
        self._produce = produce
        self._on_end = on_end

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one reader."""

        async def emit(chunk: bytes) -> None:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})

        whole = True
        try:
            await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
            if scope["method"] != "HEAD":
                try:
                    async with trio.open_nursery() as nursery:
                        nursery.start_soon(_cancel_on_disconnect, receive, nursery.cancel_scope)
                        await self._produce(emit)
                        nursery.cancel_scope.cancel()
                except* trio.TooSlowError:
                    whole = False
            if whole:
                await send({"type": "http.response.body", "body": b""})
        finally:
            self._on_end()


async def _cancel_on_disconnect(receive: Receive, scope: trio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()
