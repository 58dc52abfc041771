"""The server that generators are measured against, and the witness of what they do.

picows on uvloop, because it must not be the bottleneck. For each line on its stdin it prints
one JSON object: the counts so far, all taken at the same moment, and its own CPU. So the
sockets, messages and closes of every generator are counted by the same neutral party, and
none is taken at its own word.

With `--compression` it agrees to permessage-deflate, and compresses its replies. With
`--answer-after 100` it holds each reply back for so many milliseconds, and notes how long it
really took. With `--refuse-every 10` every tenth handshake gets a 404.
"""

import argparse
import asyncio
import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import deflate
import uvloop
from picows import (
    WSFrame,
    WSListener,
    WSMsgType,
    WSTransport,
    WSUpgradeRequest,
    WSUpgradeResponse,
    WSUpgradeResponseWithListener,
    ws_create_server,
)

sys.path.insert(0, str(Path(__file__).resolve().parent / "peers"))
from echo_contract import BACKLOG, HOST, MAX_MESSAGE_BYTES, announce, binary_reply, text_reply

# What a timer is set for when the loop's clock, of whole milliseconds, fired it too early.
ONCE_MORE_S = 0.0002


@dataclass
class Counts:
    """Times are of the monotonic clock, which all processes of a machine share."""

    refused: int = 0
    opened: int = 0
    open: int = 0
    messages: int = 0
    replies: int = 0
    compressed: int = 0
    """Messages that came compressed."""
    payload_bytes_in: int = 0
    payload_bytes_out: int = 0
    """As they travelled: of compressed messages, the compressed ones."""
    closed_clean: int = 0
    """The client sent a Close frame before its end of stream."""
    closed_abrupt: int = 0
    first_opened_at_s: float = 0.0
    last_opened_at_s: float = 0.0
    last_closed_at_s: float = 0.0


class Witness(WSListener):
    def __init__(self, counts: Counts) -> None:
        self.counts = counts
        self.got_close = False

    def on_ws_connected(self, transport: WSTransport) -> None:
        counts = self.counts
        counts.opened += 1
        counts.open += 1
        counts.last_opened_at_s = time.monotonic()
        if counts.opened == 1:
            counts.first_opened_at_s = counts.last_opened_at_s

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        match frame.msg_type:
            case WSMsgType.TEXT:
                self.counts.messages += 1
                self.counts.payload_bytes_in += frame.payload_size
                reply = text_reply(frame.get_payload_as_utf8_text())
                self.answer(transport, WSMsgType.TEXT, reply.encode())
            case WSMsgType.BINARY:
                self.counts.messages += 1
                self.counts.payload_bytes_in += frame.payload_size
                reply = binary_reply(frame.get_payload_as_bytes())
                self.answer(transport, WSMsgType.BINARY, reply)
            case WSMsgType.CLOSE:
                self.got_close = True
                # Not send_close(): it answers a Close without a code by the code 0, which nobody
                # may send, and at which Node's `ws` breaks off with an error.
                transport.send(WSMsgType.CLOSE, frame.get_payload_as_bytes())
                transport.disconnect()

    def answer(self, transport: WSTransport, kind: WSMsgType, reply: bytes) -> None:
        self.counts.replies += 1
        self.counts.payload_bytes_out += len(reply)
        transport.send(kind, reply)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        counts = self.counts
        counts.open -= 1
        counts.last_closed_at_s = time.monotonic()
        if self.got_close:
            counts.closed_clean += 1
        else:
            counts.closed_abrupt += 1


class CompressingWitness(Witness):
    """Takes compressed messages, and compresses its replies, if the client has offered that.

    As servers do by default, it lets the client refer to earlier messages.
    """

    def __init__(self, counts: Counts) -> None:
        super().__init__(counts)
        self.inflate = deflate.Inflater(keeps_context=True)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type in (WSMsgType.TEXT, WSMsgType.BINARY):
            payload = frame.get_payload_as_bytes()
            self.counts.payload_bytes_in += len(payload)
            if frame.rsv1:
                self.counts.compressed += 1
                payload = self.inflate(payload)
            self.counts.messages += 1
            is_text = frame.msg_type == WSMsgType.TEXT
            reply = text_reply(payload.decode()).encode() if is_text else binary_reply(payload)
            self.counts.replies += 1
            reply = deflate.deflated(reply)
            self.counts.payload_bytes_out += len(reply)
            transport.send(frame.msg_type, reply, rsv1=True)
        else:
            super().on_ws_frame(transport, frame)

    @staticmethod
    def agreed(request: WSUpgradeRequest, counts: Counts) -> WSUpgradeResponseWithListener:
        offers = request.headers.get(deflate.HEADER, "")
        if deflate.NAME not in offers:
            plain = WSUpgradeResponse.create_101_response()
            return WSUpgradeResponseWithListener(plain, Witness(counts))
        response = WSUpgradeResponse.create_101_response(
            extra_headers={deflate.HEADER: deflate.NAME}
        )
        return WSUpgradeResponseWithListener(response, CompressingWitness(counts))


class LateWitness(Witness):
    """Answers after a while, never sooner."""

    def __init__(self, counts: Counts, answer_after_s: float, held_ms: list[float]) -> None:
        super().__init__(counts)
        self.answer_after_s = answer_after_s
        self.held_ms = held_ms
        self.gone = False

    def answer(self, transport: WSTransport, kind: WSMsgType, reply: bytes) -> None:
        received_at_s = time.monotonic()
        loop = asyncio.get_running_loop()

        def when_due() -> None:
            held_s = time.monotonic() - received_at_s
            if held_s < self.answer_after_s:
                loop.call_later(max(self.answer_after_s - held_s, ONCE_MORE_S), when_due)
            elif not self.gone:
                self.held_ms.append(held_s * 1e3)
                self.counts.replies += 1
                transport.send(kind, reply)

        loop.call_later(self.answer_after_s, when_due)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self.gone = True
        super().on_ws_disconnected(transport)


async def main(answer_after_s: float, refuse_every: int, compression: bool) -> None:
    counts = Counts()
    held_ms: list[float] = []
    handshakes = 0

    def witness(
        request: WSUpgradeRequest,
    ) -> Witness | WSUpgradeResponseWithListener | None:
        nonlocal handshakes
        handshakes += 1
        if refuse_every and handshakes % refuse_every == 0:
            counts.refused += 1
            return None
        if compression:
            return CompressingWitness.agreed(request, counts)
        return LateWitness(counts, answer_after_s, held_ms) if answer_after_s else Witness(counts)

    server = await ws_create_server(
        witness,
        HOST,
        0,
        backlog=BACKLOG,
        max_frame_size=MAX_MESSAGE_BYTES,
    )

    def answer() -> None:
        if not sys.stdin.readline():
            server.close()
            return
        moment = {"at_s": time.monotonic(), "cpu_s": time.process_time()}
        held = {"held_ms": sorted(held_ms)} if held_ms else {}
        print(json.dumps({**asdict(counts), **moment, **held}), flush=True)

    server.get_loop().add_reader(sys.stdin.fileno(), answer)
    announce(server.sockets[0].getsockname()[1])
    await server.serve_forever()


parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
parser.add_argument("--answer-after", type=float, default=0, metavar="MS")
parser.add_argument("--refuse-every", type=int, default=0, metavar="HANDSHAKES")
parser.add_argument("--compression", action="store_true")
given = parser.parse_args()
uvloop.run(main(given.answer_after / 1e3, given.refuse_every, given.compression))
