"""An observer has each message before its peer has it, and nothing that was not said."""

from __future__ import annotations

import socket
from typing import Any

import pytest
import trio
import trio.testing

from echo_trio.wire.connection import ConnectionClosed, Limits
from echo_trio.wire.observed import ObservedConnection


class Ears:
    """An observer that notes what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str | bytes]] = []

    def received(self, message: str | bytes) -> None:
        self.told.append(("received", message))

    def sent(self, message: str | bytes) -> None:
        self.told.append(("sent", message))


def frame(text: bytes) -> bytes:
    return bytes((0x81, 0x80 | len(text))) + bytes(4) + text


CLOSE = b"\x88\x82" + bytes(4) + (1000).to_bytes(2, "big")


async def test_what_is_received_and_what_is_replied_is_told_in_order(nursery: trio.Nursery) -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    connection = ObservedConnection.opened(ours, client=False, limits=Limits())
    ears = connection.observer = Ears()
    seen: list[int] = []

    def answer(message: str | bytes) -> Any:
        seen.append(len(ears.told))
        return None if message == "silent" else f"{message} back"

    nursery.start_soon(connection.run, answer)
    await theirs.send_all(frame(b"one") + frame(b"silent"))
    assert await theirs.receive_some() == b"\x81\x08one back"
    assert ears.told == [("received", "one"), ("sent", "one back"), ("received", "silent")]
    assert seen == [1, 3]
    connection.send_nowait(b"pushed")
    list(connection.send_fragments("parts", 2))
    assert ears.told[3:] == [("sent", b"pushed"), ("sent", "parts")]
    await theirs.send_all(CLOSE)
    await trio.testing.wait_all_tasks_blocked()
    for send in (
        connection.send_nowait,
        lambda message: list(connection.send_fragments(message, 2)),
    ):
        with pytest.raises(ConnectionClosed):
            send("too late")
    assert len(ears.told) == 5
    assert connection._on_message is answer


async def test_a_reply_behind_our_close_frame_is_not_told_as_it_is_not_sent(
    nursery: trio.Nursery,
) -> None:
    ours, raw = socket.socketpair()
    ours.setblocking(False)
    theirs = trio.SocketStream(trio.socket.from_stdlib_socket(raw))
    connection = ObservedConnection.opened(ours, client=False, limits=Limits())
    ears = connection.observer = Ears()

    def close_and_answer(_: str | bytes) -> str:
        connection.close_nowait(4000)
        return "too late"

    nursery.start_soon(connection.run, close_and_answer)
    await theirs.send_all(frame(b"last"))
    assert await theirs.receive_some() == b"\x88\x02\x0f\xa0"
    assert (ears.told, connection.messages_sent) == ([("received", "last")], 0)
    await theirs.aclose()
