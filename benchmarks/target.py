"""The server that generators are measured against, and the witness of what they do.

picows on uvloop, because it must not be the bottleneck. For each line on its stdin it prints
one JSON object: the counts so far, all taken at the same moment, and its own CPU. So the
sockets, messages and closes of every generator are counted by the same neutral party, and
none is taken at its own word.
"""

import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import uvloop
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_create_server

sys.path.insert(0, str(Path(__file__).resolve().parent / "peers"))
from echo_contract import BACKLOG, HOST, MAX_MESSAGE_BYTES, announce, binary_reply, text_reply


@dataclass
class Counts:
    """Times are of the monotonic clock, which all processes of a machine share."""

    opened: int = 0
    open: int = 0
    messages: int = 0
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
                reply = text_reply(frame.get_payload_as_utf8_text())
                transport.send(WSMsgType.TEXT, reply.encode())
            case WSMsgType.BINARY:
                self.counts.messages += 1
                transport.send(WSMsgType.BINARY, binary_reply(frame.get_payload_as_bytes()))
            case WSMsgType.CLOSE:
                self.got_close = True
                transport.send_close(frame.get_close_code())
                transport.disconnect()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        counts = self.counts
        counts.open -= 1
        counts.last_closed_at_s = time.monotonic()
        if self.got_close:
            counts.closed_clean += 1
        else:
            counts.closed_abrupt += 1


async def main() -> None:
    counts = Counts()
    server = await ws_create_server(
        lambda _request: Witness(counts),
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
        print(json.dumps({**asdict(counts), **moment}), flush=True)

    server.get_loop().add_reader(sys.stdin.fileno(), answer)
    announce(server.sockets[0].getsockname()[1])
    await server.serve_forever()


uvloop.run(main())
