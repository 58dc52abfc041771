"""Name the codes of close frames (RFC 6455, section 7.4.1, and IANA's registry)."""

from __future__ import annotations

from typing import Final

NORMAL_CLOSURE: Final = 1000
GOING_AWAY: Final = 1001
PROTOCOL_ERROR: Final = 1002
NO_STATUS: Final = 1005  # never on the wire: a close frame without a code
ABNORMAL_CLOSURE: Final = 1006  # never on the wire: no close frame
INVALID_PAYLOAD: Final = 1007
POLICY_VIOLATION: Final = 1008
MESSAGE_TOO_BIG: Final = 1009
INTERNAL_ERROR: Final = 1011
TRY_AGAIN_LATER: Final = 1013
BAD_GATEWAY: Final = 1014

#: Of UTF-8: what a close frame holds behind its code (RFC 6455, section 5.5).
MAX_REASON_BYTES: Final = 123

_DEFINED: Final = frozenset({1000, 1001, 1002, 1003, *range(1007, 1015)})


def may_be_sent(code: int) -> bool:
    """Tell whether a close frame may carry this code (RFC 6455, sections 7.4.1 and 7.4.2).

    These are the codes defined for sending, and 3000 to 4999, which libraries and applications may
    define. The same codes are accepted from a peer.
    """
    return code in _DEFINED or 3000 <= code <= 4999
