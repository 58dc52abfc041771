"""Say how a dialled connection ended, in a word for programs and a sentence for people. Pure."""

from __future__ import annotations

import errno
import socket
import ssl
from enum import StrEnum

import msgspec

from echo_trio.wire.sockets import describe_error


class Cause(StrEnum):
    """The cause of an end, or of there being no connection at all."""

    CLOSED = "closed"
    """The server sent a close frame: by itself, or as the answer to ours."""
    NO_SUCH_HOST = "no-such-host"
    FORBIDDEN_ADDRESS = "forbidden-address"
    """The name stands for addresses that this console does not dial."""
    UNREACHABLE = "unreachable"
    """No TCP connection."""
    TLS = "tls"
    """The TLS handshake failed."""
    CERTIFICATE = "certificate"
    """The server's certificate is not trusted."""
    TLS_ALERT = "tls-alert"
    """The server ended TLS with an alert."""
    TLS_CUT = "tls-cut"
    """TCP ended without the goodbye of TLS: the server was killed, or somebody cut in."""
    REFUSED = "refused"
    """An HTTP answer other than 101."""
    BAD_ANSWER = "bad-answer"
    """An answer that RFC 6455 does not allow, or none."""
    OPEN_TIMEOUT = "open-timeout"
    EOF = "eof"
    """TCP ended between two messages, without a close frame."""
    EOF_IN_MESSAGE = "eof-in-message"
    """TCP ended between two frames of one message."""
    EOF_IN_FRAME = "eof-in-frame"
    RESET = "reset"
    NETWORK = "network"
    """Another error of TCP: no route any more, no answer for minutes."""
    VIOLATION = "violation"
    """The server sent what it may not."""
    TOO_BIG = "too-big"
    CLOSE_TIMEOUT = "close-timeout"
    """The server did not answer our close frame."""
    WRITE_TIMEOUT = "write-timeout"
    """The server does not read."""
    IDLE = "idle"
    MEMORY = "memory"
    """The process held too much, and this connection most."""
    STOPPING = "stopping"
    """The console's own server stops."""


class End(msgspec.Struct, frozen=True):
    """The end of a dialled connection.

    :ivar why: one sentence.
    """

    cause: Cause
    why: str


class DialFailed(Exception):
    """There is no connection; says why."""

    def __init__(self, cause: Cause, why: str) -> None:
        super().__init__(cause, why)
        self.end = End(cause, why)


def end_of_error(exc: OSError) -> End:
    """Say what an error of an open connection means."""
    if isinstance(exc, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return End(
            Cause.TLS_CUT,
            "TCP ended without TLS's goodbye (close_notify): the server was killed, or something "
            "between cut the connection",
        )
    if isinstance(exc, ssl.SSLError):
        said = (exc.reason or str(exc)).lower().replace("_", " ")
        if "alert" in said:
            return End(Cause.TLS_ALERT, f"the server ended TLS with an alert: {said}")
        return End(Cause.TLS, f"TLS broke: {said}")
    number = exc.errno
    if isinstance(exc, ConnectionResetError | BrokenPipeError | ConnectionAbortedError):
        return End(
            Cause.RESET,
            "the server, or something between, reset the TCP connection: a crash, a kill, or a "
            "close with bytes unread",
        )
    if number == errno.ETIMEDOUT:
        return End(Cause.NETWORK, "the other end's network has not answered TCP for too long")
    return End(Cause.NETWORK, f"the connection broke: {say(exc)}")


def end_of_stream(*, head: int, frame: tuple[int, int] | None, amid_message: bool) -> End:
    """Say where in the stream of frames TCP ended, though no close frame had come.

    :param head: bytes of a frame's header that had arrived, or of a control frame.
    :param frame: of the frame under way, the bytes that had arrived and those announced.
    :param amid_message: true between two frames of one message.
    """
    if frame is not None:
        arrived, announced = frame
        return End(
            Cause.EOF_IN_FRAME,
            f"TCP ended inside a frame: {arrived:,} of {announced:,} bytes had arrived",
        )
    if head:
        return End(
            Cause.EOF_IN_FRAME, f"TCP ended inside a frame, of which {head} bytes had arrived"
        )
    if amid_message:
        return End(Cause.EOF_IN_MESSAGE, "TCP ended between two frames of one message")
    return End(
        Cause.EOF,
        "the server ended TCP without a close frame: it exited, or its code closed the connection "
        "without the WebSocket's goodbye",
    )


def say(exc: OSError) -> str:
    """Say an error of the system in its own words."""
    if isinstance(exc, socket.gaierror):
        return exc.strerror or str(exc)
    return describe_error(exc.errno) if exc.errno else str(exc)
