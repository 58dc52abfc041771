"""A proxy's pair between two peers of bytes, which know nothing of our framing."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import Any

import trio
from trio.testing import wait_all_tasks_blocked

from echo_trio.behaviours import fault_prefix
from echo_trio.proxy.pair import Pair
from echo_trio.proxy.switch import FaultSwitch
from echo_trio.wire.budget import Budget
from echo_trio.wire.deflate import Parameters
from echo_trio.wire.limits import Limits
from echo_trio.wire.relay import Relay

#: A hang guard, nothing else.
PATIENCE_S = 60.0
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10


class Peer:
    """One peer: what it says, it says as bytes; what it hears, it takes apart by itself."""

    def __init__(self, sock: socket.socket, *, masks: bool) -> None:
        sock.setblocking(False)
        self.sock = sock
        self.events: list[tuple[int, bytes]] = []
        self.frames: list[tuple[int, bool, int]] = []
        self.is_over = False
        self._masks = masks
        self._unread = b""
        self._begun: tuple[int, bytes] | None = None

    def frame(self, opcode: int, payload: bytes = b"", *, fin: bool = True,
              masks: bool | None = None) -> bytes:  # fmt: skip
        masked = self._masks if masks is None else masks
        size = len(payload)
        head = bytes((fin << 7 | opcode, masked << 7 | min(size, 126 if size < 65536 else 127)))
        if size > 125:
            head += struct.pack("!H" if size < 65536 else "!Q", size)
        if not masked:
            return head + payload
        mask = os.urandom(4)
        return head + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))

    def close_frame(self, code: int, reason: bytes = b"") -> bytes:
        return self.frame(CLOSE, struct.pack("!H", code) + reason)

    async def say(self, data: bytes) -> None:
        """Say these bytes, and let everybody do what follows."""
        view = memoryview(data)
        while view:
            try:
                view = view[self.sock.send(view) :]
            except BlockingIOError:
                await trio.lowlevel.wait_writable(self.sock)
        await wait_all_tasks_blocked()

    def hear(self) -> list[tuple[int, bytes]]:
        """Return all messages and control frames so far, each as it was complete."""
        while not self.is_over:
            try:
                data = self.sock.recv(1 << 16)
            except BlockingIOError:
                break
            except ConnectionResetError:
                data = b""
            self._unread += data
            self.is_over = not data
        while (frame := self._take_frame()) is not None:
            opcode, fin, payload = frame
            self.frames.append((opcode, fin, len(payload)))
            if opcode >= CLOSE:
                assert fin
                self.events.append((opcode, payload))
                continue
            assert (opcode == CONTINUATION) is (self._begun is not None)
            kind, before = self._begun or (opcode, b"")
            self._begun = None if fin else (kind, before + payload)
            if fin:
                self.events.append((kind, before + payload))
        return self.events

    def _take_frame(self) -> tuple[int, bool, bytes] | None:
        data = self._unread
        if len(data) < 2:
            return None
        size, at = data[1] & 0x7F, 2
        if size > 125:
            form, more = ("!H", 2) if size == 126 else ("!Q", 8)
            if len(data) < 2 + more:
                return None
            (size,), at = struct.unpack(form, data[2 : 2 + more]), 2 + more
        # Whoever does not mask is sent masked frames, and the other way round.
        assert bool(data[1] & 0x80) is not self._masks
        mask = b""
        if not self._masks:
            mask, at = data[at : at + 4], at + 4
        if len(data) < at + size:
            return None
        payload = data[at : at + size]
        if mask:
            payload = bytes(byte ^ mask[place % 4] for place, byte in enumerate(payload))
        self._unread = data[at + size :]
        return data[0] & 0x0F, bool(data[0] & 0x80), payload


class Joined:
    """A pair, its two peers, and what it holds."""

    def __init__(
        self, *, is_whole: bool = False, faults: str = "", own: str = "",
        compression: Parameters | None = None, **limits: Any,
    ) -> None:  # fmt: skip
        """Join them, with compression between the client and us if there are parameters."""
        client, to_client = socket.socketpair()
        upstream, to_upstream = socket.socketpair()
        self.client, self.upstream = Peer(client, masks=True), Peer(upstream, masks=False)
        self.budget = Budget()
        for sock in (to_client, to_upstream):
            sock.setblocking(False)
        of_client, of_upstream = (
            Relay.opened(
                sock, client=is_client, limits=Limits(**limits), budget=self.budget,
                compression=agreed,
            )
            for sock, is_client, agreed in (
                (to_client, False, compression), (to_upstream, True, None),
            )
        )  # fmt: skip
        self.switch = FaultSwitch(faults)
        prefix, _ = fault_prefix.split([part for part in own.split("/") if part])
        self.pair = Pair(of_client, of_upstream, prefix, self.switch, is_observed=is_whole)
        self.over = trio.Event()
        self._socks = [client, to_client, upstream, to_upstream]

    async def run(self) -> None:
        try:
            await self.pair.run()
        finally:
            self.over.set()

    async def ended(self) -> None:
        with trio.fail_after(PATIENCE_S):
            await self.over.wait()
        assert self.budget.held_bytes == 0

    def let_go(self) -> None:
        for sock in self._socks:
            sock.close()


def joined(test: Callable[..., Awaitable[None]]) -> Any:
    """Run a test with a pair that is served meanwhile."""

    async def run(**given: Any) -> None:
        limits = given.pop("limits", {})
        made = Joined(**limits)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(made.run)
                await wait_all_tasks_blocked()
                await test(made, **given)
                nursery.cancel_scope.cancel()
        finally:
            made.let_go()

    return run


#: The times at which the peers are listened to: messages come between two of them.
STEP_S = 0.5
Said = list[tuple[float, str]]


def heard(peer: Peer) -> list[str]:
    return [
        payload.decode() if opcode != CLOSE else str(int.from_bytes(payload[:2]))
        for opcode, payload in peer.hear()
    ]


async def follow(made: Joined, forth: Said, back: Said, until_s: float) -> tuple[Said, Said]:
    """Have the client and the upstream say these; return what the upstream and the client hear."""
    ways = [(made.client, forth, made.upstream), (made.upstream, back, made.client)]
    at: tuple[Said, Said] = [], []
    began_s = trio.current_time()
    for step in range(int(until_s / STEP_S) + 1):
        await trio.sleep_until(began_s + step * STEP_S)
        for sayer, said, _ in ways:
            for due_s, text in said:
                if due_s == step * STEP_S:
                    await sayer.say(sayer.frame(TEXT, text.encode()))
        await trio.sleep(STEP_S / 4)  # Whatever is due at this step is done.
        for (_, _, hearer), noted in zip(ways, at, strict=True):
            noted += [(step * STEP_S, text) for text in heard(hearer)[len(noted) :]]
    return at
