"""Say of each end of a connection what it was."""

from __future__ import annotations

import errno
import socket
import ssl

import pytest

from echo_trio.dialling.ends import Cause, end_of_error, end_of_stream, say


class TlsError(ssl.SSLError):
    """An error with OpenSSL's word for it, which only OpenSSL can set."""

    reason: str

    def __init__(self, reason: str) -> None:
        super().__init__(1, reason)
        self.said = reason

    def __getattribute__(self, name: str) -> object:
        return super().__getattribute__("said" if name == "reason" else name)


CUT = "TCP ended without TLS's goodbye (close_notify)"


@pytest.mark.parametrize(
    ("error", "cause", "why"),
    [
        (
            TlsError("TLSV1_ALERT_INTERNAL_ERROR"),
            Cause.TLS_ALERT,
            "the server ended TLS with an alert: tlsv1 alert internal error",
        ),
        (
            TlsError("SSLV3_ALERT_HANDSHAKE_FAILURE"),
            Cause.TLS_ALERT,
            "the server ended TLS with an alert: sslv3 alert handshake failure",
        ),
        (TlsError("BAD_RECORD_MAC"), Cause.TLS, "TLS broke: bad record mac"),
        (
            ssl.SSLEOFError(8, "EOF occurred in violation of protocol"),
            Cause.TLS_CUT,
            f"{CUT}: the server was killed, or something between cut the connection",
        ),
        (ssl.SSLZeroReturnError(6, "closed"), Cause.TLS_CUT, ""),
        (ConnectionResetError(errno.ECONNRESET, "reset"), Cause.RESET, ""),
        (BrokenPipeError(errno.EPIPE, "pipe"), Cause.RESET, ""),
        (ConnectionAbortedError(errno.ECONNABORTED, "aborted"), Cause.RESET, ""),
        (
            TimeoutError(errno.ETIMEDOUT, "timed out"),
            Cause.NETWORK,
            "the other end's network has not answered TCP for too long",
        ),
        (
            OSError(errno.ENETUNREACH, "unreachable"),
            Cause.NETWORK,
            "the connection broke: Network is unreachable",
        ),
        (OSError("no number"), Cause.NETWORK, "the connection broke: no number"),
    ],
)
def test_an_error_has_its_cause_and_its_sentence(error: OSError, cause: Cause, why: str) -> None:
    end = end_of_error(error)
    assert end.cause is cause
    assert end.why == why or (not why and len(end.why) > 20)


@pytest.mark.parametrize(
    ("head", "frame", "amid_message", "cause", "says"),
    [
        (0, None, False, Cause.EOF, "without a close frame"),
        (0, None, True, Cause.EOF_IN_MESSAGE, "between two frames"),
        (1, None, False, Cause.EOF_IN_FRAME, "1 bytes had arrived"),
        (3, None, True, Cause.EOF_IN_FRAME, "3 bytes had arrived"),
        (0, (0, 2000), True, Cause.EOF_IN_FRAME, "0 of 2,000 bytes"),
        (6, (1999, 2000), False, Cause.EOF_IN_FRAME, "1,999 of 2,000 bytes"),
    ],
)
def test_an_end_of_the_stream_is_told_by_what_had_arrived(
    head: int, frame: tuple[int, int] | None, amid_message: bool, cause: Cause, says: str
) -> None:
    end = end_of_stream(head=head, frame=frame, amid_message=amid_message)
    assert end.cause is cause
    assert says in end.why


def test_an_error_is_said_in_the_systems_words() -> None:
    assert say(socket.gaierror(socket.EAI_NONAME, "unknown")) == "unknown"
    assert say(OSError(errno.ECONNREFUSED, "x")) == "Connection refused"
    assert say(OSError("no number")) == "no number"
