"""Each way in which an opening fails has its cause, at every step."""

from __future__ import annotations

import socket
import struct
from typing import Any

import pytest

from echo_trio.dialling.ends import Cause, DialFailed
from echo_trio.dialling.opening import Clock, open_connection
from echo_trio.dialling.order import DialOrder, read_target
from echo_trio.dialling.room import ClientContexts


async def test_a_server_that_resets_as_soon_as_tcp_is_there_has_failed_tls() -> None:
    steps = []

    def reset_when_connected(step: str, _data: dict[str, Any]) -> None:
        steps.append(step)
        if step == "connected":
            theirs, _ = listener.accept()
            theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            theirs.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        order = DialOrder(url=f"wss://127.0.0.1:{listener.getsockname()[1]}/")
        target = read_target(order)
        with pytest.raises(DialFailed) as failed:
            await open_connection(
                order,
                target,
                allowed={(target.host, target.port)},
                contexts=ClientContexts({}, None),
                clock=Clock(),
                report=reset_when_connected,
            )
    assert steps == ["resolved", "connected"]
    assert failed.value.end.cause is Cause.TLS
