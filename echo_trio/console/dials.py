"""Answer the requests to dial: `/api/dial`, and `/api/dial/{id}` for what is sent."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from echo_trio.console.guard import error, require_change
from echo_trio.dialling.dial import CannotSend, Dial
from echo_trio.dialling.order import BadOrder, read_order
from echo_trio.dialling.room import CannotDial, Dialling
from echo_trio.dialling.sending import read_sending

Emit = Callable[[bytes], Awaitable[None]]


class DialEndpoints:
    """The endpoints of dials.

    :param stream: makes the response that a function's events become, and calls another function
        at its end.
    """

    def __init__(self, dialling: Dialling, stream: Callable[..., Any]) -> None:
        self._dialling = dialling
        self._stream = stream

    async def describe(self, _: Request) -> Response:
        """Tell what may be dialled."""
        body = msgspec.json.encode(self._dialling.describe())
        return Response(body, media_type="application/json")

    async def open(self, request: Request) -> Any:
        """Dial, and stream all that happens to the connection; it ends with the stream."""
        require_change(request)
        try:
            dial = self._dialling.open(read_order(await request.body()))
        except BadOrder as exc:
            return _refuse(exc)
        except CannotDial as exc:
            raise HTTPException(503, str(exc), {"retry-after": "5"}) from None

        def forget() -> None:
            self._dialling.forget(dial)

        try:
            return self._stream(dial.run, forget)
        except BaseException:
            forget()
            raise

    async def send(self, request: Request) -> Response:
        """Send over a connection, and answer once the kernel has it all."""
        require_change(request)
        dial = self._find(request)
        try:
            await dial.send(read_sending(await request.body()))
        except BadOrder as exc:
            return _refuse(exc)
        except CannotSend as exc:
            return error(exc.status, str(exc))
        return Response(status_code=204)

    def _find(self, request: Request) -> Dial:
        dial = self._dialling.get(request.path_params["id"])
        if dial is None:
            raise HTTPException(404, "there is no such connection, or it has ended")
        return dial


def _refuse(exc: BadOrder) -> Response:
    return error(exc.status, str(exc), **({} if exc.field is None else {"field": exc.field}))
