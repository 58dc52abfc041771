"""What is fuzzed: whatever bytes arrive, they parse, or the one documented error is raised.

The first byte of an input chooses the target, the second how the rest is cut into segments.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from echo_trio.console import run_settings
from echo_trio.wire import client_handshake, deflate, server_handshake
from echo_trio.wire.client_handshake import HandshakeFailed
from echo_trio.wire.close_codes import NO_STATUS, may_be_sent
from echo_trio.wire.connection import _TURN_OVER, Connection, Limits
from echo_trio.wire.handshake import HandshakeRefused
from loadgen.journal import run, search
from loadgen.journal.file import Unreadable
from loadgen.studies import compare_read
from loadgen.studies.compare import compare

KEY: Final = "dGhlIHNhbXBsZSBub25jZQ=="
LIMITS: Final = Limits(max_message_bytes=10_000)
REFUSALS: Final = {400, 405, 426, 431, 505}
FAILURES: Final = {1002, 1007, 1008, 1009}


def check(data: bytes) -> None:
    """Try one input; raises whatever shouldn't be."""
    if len(data) >= 2:
        TARGETS[data[0] % len(TARGETS)](data[1], data[2:])


def check_request(_: int, head: bytes) -> None:
    """An upgrade request's head."""
    try:
        request = server_handshake.parse_request(head)
    except HandshakeRefused as exc:
        _check_refusal(exc)
        return
    assert request.path.startswith("/")
    assert not any("\r" in value or "\n" in value for _, value in request.headers)
    compression = deflate.accept(request.extensions)
    answer = server_handshake.accept_response(request, compression=compression)
    assert answer.count(b"\r\n\r\n") == 1


def _check_refusal(refused: HandshakeRefused) -> None:
    assert refused.status in REFUSALS
    assert server_handshake.refusal_response(refused).count(b"\r\n\r\n") == 1


def check_response(_: int, head: bytes) -> None:
    """The head of a server's answer."""
    try:
        response = client_handshake.parse_response(head, KEY, ["chat"], [deflate.OFFER])
    except HandshakeFailed:
        return
    assert response.subprotocol in {None, "chat"}


@dataclass(frozen=True)
class Heard:
    """What became of a stream of frames."""

    messages: list[str | bytes]
    replies: list[int]
    failure: int | None
    close_sent: int | None
    close_received: int | None


def check_frames_from_a_client(cut: int, data: bytes) -> None:
    """Frames, as the server reads them."""
    _check_frames(cut, data, client=False, compression=None)


def check_frames_from_a_server(cut: int, data: bytes) -> None:
    """Frames, as the client reads them."""
    _check_frames(cut, data, client=True, compression=None)


def check_compressed_frames(cut: int, data: bytes) -> None:
    """Frames, with permessage-deflate, as the server reads them."""
    _check_frames(cut, data, client=False, compression=_AGREED)


def _check_frames(
    cut: int, data: bytes, *, client: bool, compression: deflate.Parameters | None
) -> None:
    size = cut or max(len(data), 1)
    segments = [data[at : at + size] for at in range(0, len(data), size)]
    assert hear(segments, client, compression) == hear([data], client, compression)


def hear(segments: list[bytes], client: bool, compression: deflate.Parameters | None) -> Heard:
    """Feed a connection with these, without any I/O."""
    connection = Connection.opened(
        None,  # type: ignore[arg-type]
        client=client,
        limits=LIMITS,
        compression=compression,
    )
    messages: list[str | bytes] = []
    connection._on_message = messages.append  # type: ignore[assignment]
    pongs: list[int] = []
    connection._reply = lambda reply: pongs.append(len(reply))  # type: ignore[method-assign]
    for segment in segments:
        if segment:
            connection._take_arrived(segment)
        while connection._halt & _TURN_OVER:
            connection._go_on()
    assert all(len(message) <= LIMITS.max_message_bytes for message in messages)
    assert connection.failure is None or connection.failure in FAILURES
    if connection.failure is not None:
        assert connection.close_sent == connection.failure
    if connection.close_received is not None:
        assert connection.close_received == NO_STATUS or may_be_sent(connection.close_received)
        assert connection.close_sent == connection.close_received
    return Heard(
        messages, pongs, connection.failure, connection.close_sent, connection.close_received
    )


_AGREED = deflate.accept(
    server_handshake.parse_request(
        b"\r\n".join(
            [
                b"GET / HTTP/1.1",
                b"Host: x",
                b"Upgrade: websocket",
                b"Connection: Upgrade",
                b"Sec-WebSocket-Key: " + KEY.encode(),
                b"Sec-WebSocket-Version: 13",
                b"Sec-WebSocket-Extensions: permessage-deflate",
            ]
        )
    ).extensions
)

#: What a file's readers are given; of this process alone.
SCRATCH: Final = Path(tempfile.mkdtemp(prefix="echo-trio-fuzz-")) / "input"


def _check_told(exc: run_settings.BadSettings | Unreadable | compare_read.Unreadable) -> None:
    assert "\n" not in str(exc)
    assert not isinstance(exc, run_settings.BadSettings) or exc.status in {400, 422}


def check_settings(_: int, body: bytes) -> None:
    """The body of a request for a run of the console's."""
    try:
        asked = run_settings.read_settings(body)
    except run_settings.BadSettings as exc:
        _check_told(exc)
        return
    assert "count" in asked.values


def check_journal(_: int, data: bytes) -> None:
    """The journal of a run, or of a search for capacity, that `recover` is given."""
    SCRATCH.write_bytes(data)
    try:
        if search.recover(SCRATCH) is None:
            run.recover(SCRATCH)
    except Unreadable as exc:
        _check_told(exc)


def check_report(_: int, data: bytes) -> None:
    """A report that `compare` is given."""
    SCRATCH.write_bytes(data)
    try:
        reports = compare_read.read([SCRATCH])
        compare(reports, reports)
    except compare_read.Unreadable as exc:
        _check_told(exc)


TARGETS: Final = [
    check_request,
    check_response,
    check_frames_from_a_client,
    check_frames_from_a_server,
    check_compressed_frames,
    check_settings,
    check_journal,
    check_report,
]
