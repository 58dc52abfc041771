"""Open a proxy's pair: the connection to the upstream first, then the client's with its answer."""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Awaitable, Callable

import trio

from echo_trio import admission
from echo_trio.callers import Caller, Peer, Sessions
from echo_trio.proxy import decline, headers
from echo_trio.proxy.pair import Pair
from echo_trio.proxy.proxy import Proxy, split_target
from echo_trio.proxy.upstream import Accepted, Declined, UpstreamFailed, too_late
from echo_trio.wire import addresses, deflate, handshake, server_handshake, sockets
from echo_trio.wire.handshake import HandshakeRefused, Reason
from echo_trio.wire.relay import ObservedRelay, Relay
from echo_trio.wire.server_handshake import UpgradeRequest


async def open_pair(
    caller: Caller,
    sessions: Sessions,
    proxy: Proxy,
    request: UpgradeRequest,
    surplus: bytes,
    peer: Peer,
) -> Pair:
    """Dial the upstream for a client, and give each the other's part of the handshake.

    :param surplus: bytes that have arrived behind the client's request.
    :raises HandshakeRefused: if there won't be a pair; if the upstream has refused, its answer is
        passed on already (`Caller.answered`).
    :raises ConnectionCut: if the client has left meanwhile.
    :raises OSError: if its connection breaks.
    """
    prefix, target = split_target(request.target)
    refusal = proxy.switch.prefix.refusal or prefix.refusal
    if refusal is not None:
        proxy.switch.count_refusal()
        raise admission.asked_for(refusal)
    tls = isinstance(caller.sock, ssl.SSLSocket)
    passed = headers.forwarded(request.headers, client=_address_of(peer.hop), tls=tls)
    client_bytes = bytearray(surplus)
    answer = await _dial(
        sessions,
        lambda: proxy.upstream.open(target, passed, request.subprotocols),
        _watch(caller, client_bytes),
    )
    if isinstance(answer, Declined):
        await _pass_refusal_on(answer, caller, sessions)
    assert isinstance(answer, Accepted)
    try:
        offered = request.extensions if sessions.settings.compression else ()
        compression = deflate.accept(offered)
        more = headers.end_to_end(answer.headers)
        sockets.send_head(
            caller.sock,
            server_handshake.accept_response(request, answer.subprotocol, compression, more),
        )
    except BaseException:
        answer.sock.close()
        raise
    observer = caller.observer
    kind = Relay if observer is None else ObservedRelay
    client = kind.opened(
        caller.sock,
        client=False,
        limits=sessions.limits,
        poller=sessions.poller,
        path=request.target,
        subprotocol=answer.subprotocol,
        surplus=bytes(client_bytes),
        compression=compression,
        budget=sessions.budget,
    )
    upstream = Relay.opened(
        answer.sock,
        client=True,
        limits=sessions.limits,
        poller=sessions.poller,
        path=target,
        subprotocol=answer.subprotocol,
        surplus=answer.surplus,
        compression=answer.compression,
        budget=sessions.budget,
    )
    if isinstance(client, ObservedRelay):
        assert observer is not None
        client.observer = observer
        observer.opened(answer.subprotocol, [str(compression)] if compression else [])
    return Pair(client, upstream, prefix, proxy.switch, is_observed=observer is not None)


async def _dial(
    sessions: Sessions,
    dial: Callable[[], Awaitable[Accepted | Declined]],
    watch: Callable[[], Awaitable[bool]],
) -> Accepted | Declined:
    """Dial within the open timeout, as long as the client is there and the server goes on."""
    timeout_s = sessions.settings.open_timeout_s
    answer: Accepted | Declined | None = None
    failed: UpstreamFailed | None = None
    has_left = False
    with sessions.opening(trio.current_time() + timeout_s) as opening:
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def watch_client() -> None:
                nonlocal has_left
                if await watch():
                    has_left = True
                    nursery.cancel_scope.cancel()

            try:
                answer = await dial()
            except UpstreamFailed as exc:
                failed = exc
            nursery.cancel_scope.cancel()
    if answer is not None and not has_left and not sessions.counters.draining:
        return answer
    if answer is not None:
        answer.sock.close()
    if has_left:
        raise handshake.ConnectionCut(0)
    if sessions.counters.draining:
        raise admission.draining()
    if failed is not None:
        raise failed.refused
    assert opening.cancelled_caught
    raise too_late(timeout_s)


def _watch(caller: Caller, arrived: bytearray) -> Callable[[], Awaitable[bool]]:
    """Return a function that returns true once the client has left; what it sends is kept."""

    async def watch() -> bool:
        try:
            while len(arrived) <= handshake.MAX_HEAD_BYTES:
                data = await sockets.receive_some(caller.sock, handshake.MAX_HEAD_BYTES)
                if not data:
                    return True
                arrived.extend(data)
        except OSError:
            return True
        return False

    return watch


async def _pass_refusal_on(declined: Declined, caller: Caller, sessions: Sessions) -> None:
    """Pass the upstream's refusal on to the client.

    :raises HandshakeRefused: in any case, to be counted.
    """
    timeout_s = sessions.settings.open_timeout_s
    try:
        caller.answered = True
        with sessions.opening(trio.current_time() + timeout_s):
            await decline.pass_on(declined, caller.sock)
    except UpstreamFailed as exc:
        caller.answered = False
        raise exc.refused from None
    finally:
        declined.sock.close()
    raise HandshakeRefused(declined.status, "The upstream refused.", Reason.UPSTREAM_REFUSED)


def _address_of(peer: str) -> str:
    """Return a peer's address without its port, as X-Forwarded-For has it."""
    try:
        return str(ipaddress.ip_address(peer))
    except ValueError:
        return addresses.split_authority(peer)[0] or "unknown"
