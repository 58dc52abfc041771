"""Whatever a client sends, we answer as `websockets`' Trio server does, but for what is named here.

Both get the same bytes over real sockets, a unit at a time: a message, a control frame, or one of
these with something wrong in it. Behind each goes a ping, so that one knows when it is answered.
"""

from __future__ import annotations

import itertools
import logging
import os
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, NamedTuple

import pytest
import structlog
import trio
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from websockets.exceptions import ConnectionClosed
from websockets.trio.server import serve as serve_websockets

from echo_trio.server import EchoServer
from echo_trio.settings import Settings

from .conftest import BINARY, CLOSE, PATIENCE_S, PING, PONG, TEXT, frame, request

EXAMPLES = int(os.environ.get("STATEFUL_EXAMPLES", "5000"))
LIMIT = 2000
#: Where we differ, on purpose.
DIFFERENCES = {
    "order": "Pongs overtake their echoes, which are a task's; with us all keeps its order.",
    "before the end": "A message right in front of what ends the connection may get no echo of "
    "theirs any more.",
    "reasons": "What a close frame of a server's own says to people is up to it.",
    "length of 64 bits": "They call it too big (1009); the RFC has the first bit be 0 (1002).",
    "minimal length": "They take a length in more bytes than it needs; section 5.2 of RFC 6455 "
    "does not.",
    "two faults at once": "Of a bad code with a bad reason, they name the reason.",
    "utf-8 at once": "We refuse text at its first wrong byte, they when the message is whole; "
    "so pings amid it go unanswered with us, and another fault behind it is not seen.",
}


class Frame(NamedTuple):
    opcode: int
    payload: bytes


class Ends(NamedTuple):
    """Where the two servers listen."""

    ours: int
    theirs: int


@pytest.fixture(scope="module")
def ends() -> Iterator[Ends]:
    """Both servers, in one thread."""
    started: SimpleQueue[Any] = SimpleQueue()

    async def echo(websocket: Any) -> None:
        with suppress(ConnectionClosed):
            while True:
                await websocket.send(await websocket.recv())

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            silent = structlog.make_filtering_bound_logger(logging.CRITICAL)
            ours = EchoServer.listen(
                Settings(port=0, console=False, max_message_bytes=LIMIT),
                structlog.wrap_logger(None, wrapper_class=silent),
            )
            await nursery.start(ours.run)
            quiet = logging.getLogger("websockets.differential")
            quiet.setLevel(logging.CRITICAL)
            theirs = await nursery.start(
                lambda task_status: serve_websockets(
                    echo,
                    0,
                    host="127.0.0.1",
                    compression=None,
                    max_size=LIMIT,
                    ping_interval=None,
                    logger=quiet,
                    task_status=task_status,
                )
            )
            ports = Ends(
                int(ours.url.rstrip("/").rpartition(":")[2]),
                theirs.listeners[0].socket.getsockname()[1],
            )
            started.put((ports, trio.lowlevel.current_trio_token(), nursery.cancel_scope))
            await trio.sleep_forever()

    thread = threading.Thread(target=trio.run, args=(main,), daemon=True)
    thread.start()
    ports, token, scope = started.get(timeout=PATIENCE_S)
    yield ports
    token.run_sync_soon(scope.cancel)
    thread.join(PATIENCE_S)


class Client:
    """Says any bytes, hears frames."""

    def __init__(self, port: int) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=20)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._heard = self.sock.makefile("rb")
        self.sock.sendall(request("GET /plain HTTP/1.1"))
        assert self._heard.readline().startswith(b"HTTP/1.1 101 ")
        while self._heard.readline() != b"\r\n":
            pass

    def hear(self) -> Frame | None:
        """The next frame; nothing at the end of the stream."""
        head = self._heard.read(2)
        if not head:
            return None
        size = head[1]
        assert size < 127
        if size == 126:
            size = int.from_bytes(self._heard.read(2))
        return Frame(head[0] & 0x0F, self._heard.read(size))

    def close(self) -> None:
        self._heard.close()
        self.sock.close()


@dataclass
class Answer:
    """What a unit led to, in the terms in which both have to agree."""

    messages: list[Frame]
    pongs: list[bytes]
    close_code: int | None = None
    ended: bool = False


def ask(client: Client, unit: bytes, mark: bytes, like: Answer | None = None) -> Answer:
    """Send a unit, and hear all that answers it.

    :param like: at least as much has to come; without it, what comes before the pong to `mark`.
    """
    messages, ends = (len(like.messages), like.ended) if like else (0, False)
    answer = Answer([], [])
    try:
        client.sock.sendall(unit + frame(PING, mark))
        marked = False
        while ends or not marked or len(answer.messages) < messages:
            heard = client.hear()
            if heard is None:
                answer.ended = True
                break
            if heard == (PONG, mark):
                marked = True
            elif heard.opcode == PONG:
                answer.pongs.append(heard.payload)
            elif heard.opcode == CLOSE:
                answer.close_code = int.from_bytes(heard.payload[:2]) if heard.payload else 1005
            else:
                answer.messages.append(heard)
    except ConnectionError:
        answer.ended = True
    return answer


# -- Units ------------------------------------------------------------------------------------

texts = st.text(max_size=20).map(str.encode) | st.sampled_from([b"x" * 126, b"x" * LIMIT])
datas = st.binary(max_size=20) | st.sampled_from([b"", bytes(126), bytes(LIMIT)])
short = st.binary(max_size=10) | st.just(b"x" * 125)
reasons = st.text(max_size=10).map(str.encode)
codes = st.sampled_from(
    [0, 999, 1000, 1001, 1003, 1004, 1005, 1006, 1007, 1011, 1012, 1014, 1015, 1016, 2999, 3000,
     4999, 5000, 65535]
)  # fmt: skip


@st.composite
def whole(draw: st.DrawFn) -> list[bytes]:
    """A right message in one or several frames, perhaps with a ping amid it."""
    opcode = draw(st.sampled_from([TEXT, BINARY]))
    payload = draw(texts if opcode == TEXT else datas)
    parts = draw(st.integers(1, 3))
    step = len(payload) // parts + 1
    pieces = [payload[at * step : (at + 1) * step] for at in range(parts)]
    frames = [
        frame(0 if at else opcode, piece, fin=at == parts - 1) for at, piece in enumerate(pieces)
    ]
    if parts > 1 and draw(st.booleans()):
        frames.insert(1, frame(PING, draw(short)))
    return frames


@st.composite
def spoilt(draw: st.DrawFn) -> list[bytes]:
    """The same, with the header of one of its frames changed, of the same length."""
    frames = draw(whole())
    at = draw(st.integers(0, len(frames) - 1))
    first = draw(st.integers(0, 255))
    frames[at] = bytes((first,)) + frames[at][1:]
    # It may have become the beginning of something: that ends here, one way or the other.
    return [*frames, frame(0), frame(0)]


wrong = st.sampled_from(
    [
        frame(TEXT, b"\xff"),
        frame(TEXT, b"\xed\xa0\x80"),
        frame(TEXT, b"ab\xc3"),
        frame(TEXT, b"\xe2", fin=False) + frame(0, b"\x28"),
        frame(TEXT, b"\xff", fin=False) + frame(0, b"fine"),
        frame(PING, b"x" * 126),
        frame(PONG, b"x", fin=False),
        frame(CLOSE, b"\x03"),
        frame(CLOSE, b"\x03\xe8\xff"),
        frame(BINARY, bytes(LIMIT + 1)),
        frame(BINARY, bytes(LIMIT), fin=False) + frame(0, b"x"),
        b"\x81\x02hi",
        b"\x82\xff" + struct.pack("!Q", 2**40) + bytes(4),
    ]
).map(lambda data: [data])

units = st.one_of(
    whole(),
    whole(),
    short.map(lambda data: [frame(PING, data)]),
    short.map(lambda data: [frame(PONG, data)]),
    st.builds(lambda code, why: [frame(CLOSE, struct.pack("!H", code) + why)], codes, reasons),
    st.just([frame(CLOSE)]),
    spoilt(),
    wrong,
)


def compare(ends: Ends, talk: list[list[bytes]]) -> None:
    ours, theirs = Client(ends.ours), Client(ends.theirs)
    try:
        for number, unit in zip(itertools.count(), [*talk, [frame(CLOSE, b"\x03\xe8")]]):
            mark = b"mark %d" % number
            here = ask(ours, b"".join(unit), mark)
            there = ask(theirs, b"".join(unit), mark, here)
            if here.close_code == 1007:
                here.pongs = there.pongs  # DIFFERENCES["utf-8 at once"]
                if there.close_code == 1002:  # They came to something else first.
                    here.close_code = 1002
            if here.ended:  # DIFFERENCES["before the end"]
                here.messages = here.messages[: len(there.messages)]
            assert here == there, (unit, talk)
            if here.ended:
                return
        raise AssertionError("a close frame did not end it")
    finally:
        ours.close()
        theirs.close()


@settings(
    deadline=None,
    max_examples=80,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(talk=st.lists(units, max_size=5))
@example(talk=[])
def test_we_answer_whatever_comes_as_websockets_does(ends: Ends, talk: list[list[bytes]]) -> None:
    compare(ends, talk)


@pytest.mark.soak
@settings(deadline=None, max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
@given(talk=st.lists(units, max_size=8))
def test_we_answer_a_lot_more_as_websockets_does(ends: Ends, talk: list[list[bytes]]) -> None:
    compare(ends, talk)
