"""Open a user's socket, book the outcome, and close the socket with the block it was opened for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING
from urllib.parse import urljoin

import trio

from loadgen.engine.opening import OPENING_ERRORS, Handshake, book_failure, open_with
from loadgen.results.ledger import Failure
from loadgen.scenario.errors import ConnectFailed
from loadgen.scenario.socket import Socket
from loadgen.workload.headers import check_headers, make_request
from loadgen.workload.target import Target

if TYPE_CHECKING:
    from echo_trio.wire.connection import Connection
    from loadgen.scenario.user import User


class Connecting:
    """A socket that opens as its block is entered, and is closed as that is left."""

    __slots__ = ("_headers", "_json", "_socket", "_subprotocols", "_url", "_user")

    def __init__(
        self,
        user: User,
        url: str,
        headers: Mapping[str, str] | Sequence[tuple[str, str]],
        subprotocols: Sequence[str],
        *,
        json: bool,
    ) -> None:
        self._user = user
        self._url = url
        self._headers = tuple(headers.items() if isinstance(headers, Mapping) else headers)
        self._subprotocols = tuple(subprotocols)
        self._json = json
        self._socket: Socket | None = None

    async def __aenter__(self) -> Socket:
        """Open the socket.

        :raises ConnectFailed: if it does not open.
        :raises ValueError: if the URL or a header is none, or of another host.
        """
        user, context = self._user, self._user.context
        handshake, ledger = self._shape_handshake(), context.ledger
        ledger.requested += 1
        try:
            connection = await self._open_in_time(handshake)
        except trio.Cancelled:
            ledger.not_attempted += 1
            raise
        self._socket = Socket(user, connection, context.number_socket(), json=self._json)
        context.nursery.start_soon(self._socket.serve)
        return self._socket

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the socket, within the stop timeout."""
        if self._socket is not None:
            await self._socket.aclose()

    async def _open_in_time(self, handshake: Handshake) -> Connection:
        user, context = self._user, self._user.context
        limiter, timeout_s = context.gate.limiter, context.plan.connect_timeout_s
        has_place = False
        with trio.CancelScope() as opening:
            try:
                if not user.is_awaited:  # Else the user has a place already.
                    await limiter.acquire_on_behalf_of(self)
                    has_place = True
                await context.gate.pace.wait_for_turn()
                opening.deadline = trio.current_time() + timeout_s
                return await self._open(handshake)
            finally:
                if has_place:
                    limiter.release_on_behalf_of(self)
        context.ledger.failed[Failure.TIMEOUT] += 1
        raise ConnectFailed(f"no answer within {timeout_s:g} s")

    async def _open(self, handshake: Handshake) -> Connection:
        run = self._user.context.run
        try:
            connection, took_us = await open_with(run, handshake)
        except OPENING_ERRORS as exc:
            failed_before = run.ledger.failed.copy()
            book_failure(run.ledger, exc)
            reason = next(iter(run.ledger.failed - failed_before), Failure.OTHER)
            said = f": {exc}" if str(exc) else ""
            raise ConnectFailed(f"{reason.replace('_', ' ')}{said}") from exc
        run.books.connect.record(took_us)
        run.ledger.count_opened()
        return connection

    def _shape_handshake(self) -> Handshake:
        context = self._user.context
        plan, run = context.plan, context.run
        if not self._url and not self._headers and not self._subprotocols:
            return Handshake(run.requests[0], run.resources[0], run.subprotocols)
        target = plan.target
        if self._url:
            target = Target.parse(urljoin(plan.url, self._url))
        if (target.host, target.port, target.tls) != (
            plan.target.host, plan.target.port, plan.target.tls
        ):  # fmt: skip
            raise ValueError(f"user.connect({self._url!r}): a run has one host, {plan.target.host}")
        names = {name.lower() for name, _ in self._headers}
        check_headers(self._headers, None)
        headers = [*self._headers, *(each for each in plan.headers if each[0].lower() not in names)]
        origin = None if "origin" in names else plan.origin
        subprotocols = self._subprotocols or run.subprotocols
        request = make_request(target, headers, origin, subprotocols, run.extensions)
        return Handshake(request, target.resource, subprotocols)
