"""Sockets of the driver: each answers a reply with the next message, compressed or not."""

import itertools
import socket
import struct
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import deflate
from picows import WSFrame, WSListener, WSMsgType, WSTransport

#: More of 1 KiB than fit into a window of 32 KiB.
JSON_DOCUMENTS = 64


class MeasurementFailed(Exception):
    """The server broke off or answered wrongly; the message is one line for people."""


@dataclass
class Tally:
    """What all sockets together have seen in the running cell."""

    kind: WSMsgType = WSMsgType.TEXT
    sending: bool = False
    in_flight: int = 0
    echoed: int = 0
    wrong: int = 0
    compressed: int = 0
    """Replies that came compressed."""
    disconnected: int = 0
    latencies_s: list[float] = field(default_factory=list)


class EchoClient(WSListener):
    """One socket: answers every reply with the next message, while there is to be sent."""

    compresses = False

    def __init__(self, index: int, tally: Tally) -> None:
        self.index = index
        self.tally = tally
        self.message = self.on_the_wire = b""
        self.turns: Iterator[tuple[bytes, bytes]] | None = None
        self.sent_at_s: deque[float] = deque()
        self.fragments: list[bytes] = []
        self.transport: WSTransport

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport

    def prepare(self, messages: Sequence[bytes]) -> None:
        """Take what is to be sent from now on, in turn; several only with one in flight."""
        encoded = [(message, self.encoded(message)) for message in messages]
        self.message, self.on_the_wire = encoded[0]
        self.turns = itertools.cycle(encoded) if len(encoded) > 1 else None

    def encoded(self, message: bytes) -> bytes:
        return message

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code())
            return
        payload = frame.get_payload_as_bytes()
        kind = frame.msg_type
        if not frame.fin or kind == WSMsgType.CONTINUATION:
            self.fragments.append(payload)
            if not frame.fin:
                return
            payload, kind = b"".join(self.fragments), self.tally.kind
            self.fragments.clear()
        self.on_reply(payload, kind)

    def on_reply(self, payload: bytes, kind: WSMsgType) -> None:
        tally, message, now_s = self.tally, self.message, time.perf_counter()
        tally.echoed += 1
        tally.in_flight -= 1
        tally.latencies_s.append(now_s - self.sent_at_s.popleft())
        # The message, a space, one to six digits.
        if (
            kind != tally.kind
            or not payload.startswith(message)
            or not 2 <= len(payload) - len(message) <= 7
        ):
            tally.wrong += 1
        if tally.sending:
            self.send(now_s)

    def send(self, now_s: float) -> None:
        self.sent_at_s.append(now_s)
        self.tally.in_flight += 1
        if self.turns is not None:
            self.message, self.on_the_wire = next(self.turns)
        self.transport.send(self.tally.kind, self.on_the_wire, rsv1=self.compresses)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self.tally.disconnected += 1


class CompressingClient(EchoClient):
    """The same, where both ends compress."""

    compresses = True

    def on_ws_connected(self, transport: WSTransport) -> None:
        super().on_ws_connected(transport)
        answer = transport.response.headers.get(deflate.HEADER)
        if not deflate.has_agreed(answer):
            raise MeasurementFailed(f"the server does not agree to {deflate.NAME}: {answer}")
        self.window_bits = deflate.window_bits(answer, "client")
        self.inflate = deflate.Inflater("server_no_context_takeover" not in answer)
        self.is_compressed = False

    def encoded(self, message: bytes) -> bytes:
        return deflate.kept_deflated(message, self.window_bits)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type != WSMsgType.CONTINUATION:
            self.is_compressed = frame.rsv1
        super().on_ws_frame(transport, frame)

    def on_reply(self, payload: bytes, kind: WSMsgType) -> None:
        if self.is_compressed:
            self.tally.compressed += 1
            payload = self.inflate(payload)
        super().on_reply(payload, kind)


def messages_for(index: int, size_bytes: int, kind: str) -> list[bytes]:
    """What a socket sends, in turn: messages of exactly that size.

    One that begins with the socket's number, by which a reply meant for another socket is told. But
    of `json`, which is what compression is for, there are many: the same one again and again is
    what a compressor that remembers earlier messages makes nearly nothing of. `utf8` is text in
    characters of one to four bytes: plain ASCII lets decoders take a short cut that real text does
    not.
    """
    if kind == "json":
        documents = [deflate.json_message(at, size_bytes) for at in range(JSON_DOCUMENTS)]
        first = index % JSON_DOCUMENTS
        return documents[first:] + documents[:first]
    head = f"{index:08d}".encode()[:size_bytes]
    pattern = "aß水🌊".encode() if kind == "utf8" else b"0123456789abcdef"
    room = size_bytes - len(head)
    body = pattern * (room // len(pattern))
    return [head + body + b"." * (room - len(body))]


#: Where struct tcp_info (<linux/tcp.h>) has tcpi_bytes_acked and tcpi_bytes_received.
TCP_INFO_BYTES = struct.Struct("=120x2Q")


def bytes_on_the_wire(clients: Sequence[EchoClient]) -> tuple[int, int]:
    """Sum up what TCP has carried to the server and from it, as the kernel counts."""
    sent = received = 0
    for client in clients:
        descriptor = client.transport.underlying_transport.get_extra_info("socket").fileno()
        view = socket.socket(socket.AF_INET, socket.SOCK_STREAM, fileno=descriptor)
        try:
            info = view.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TCP_INFO_BYTES.size)
        finally:
            view.detach()
        acked, got = TCP_INFO_BYTES.unpack(info)
        sent, received = sent + acked, received + got
    return sent, received
