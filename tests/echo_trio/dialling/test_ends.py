"""Say of each end of a connection what it was."""

from __future__ import annotations

import errno
import ssl

import pytest

from echo_trio.dialling.ends import Cause, end_of_error, end_of_stream


class TlsError(ssl.SSLError):
    """An error with OpenSSL's word for it, which only OpenSSL can set."""

    reason: str

    def __init__(self, reason: str) -> None:
        super().__init__(1, reason)
        self.said = reason

    def __getattribute__(self, name: str) -> object:
        return super().__getattribute__("said" if name == "reason" else name)


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (TlsError("TLSV1_ALERT_INTERNAL_ERROR"), Cause.TLS_ALERT),
        (TlsError("SSLV3_ALERT_HANDSHAKE_FAILURE"), Cause.TLS_ALERT),
        (TlsError("DECRYPTION_FAILED_OR_BAD_RECORD_MAC"), Cause.TLS),
        (ssl.SSLEOFError(8, "EOF occurred in violation of protocol"), Cause.TLS_CUT),
        (ConnectionResetError(errno.ECONNRESET, "reset"), Cause.RESET),
        (BrokenPipeError(errno.EPIPE, "pipe"), Cause.RESET),
        (TimeoutError(errno.ETIMEDOUT, "timed out"), Cause.NETWORK),
        (OSError(errno.ENETUNREACH, "unreachable"), Cause.NETWORK),
    ],
)
def test_an_error_has_its_cause(error: OSError, cause: Cause) -> None:
    assert end_of_error(error).cause is cause


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
