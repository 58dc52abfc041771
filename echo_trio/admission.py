"""Who may come in. Pure decisions over a handshake that is well-formed."""

from __future__ import annotations

from echo_trio import behaviours
from echo_trio.scripts import Behaviour
from echo_trio.wire.handshake import Refused, UpgradeRequest

#: When a client that was turned away should try again, in seconds.
RETRY_AFTER_S = 5


def admit(request: UpgradeRequest) -> Behaviour:
    """The behaviour that the client asked for.

    :raises Refused: if it may not have one, with the status that says why.
    """
    try:
        found = behaviours.find(request.path)
    except behaviours.BadParameter as exc:
        raise Refused(400, str(exc)) from None
    if found is None:
        raise Refused(404, behaviours.listing())
    if isinstance(found, behaviours.Refusal):
        raise Refused(found.status, "As you asked.", **found.headers)
    return found


def too_slow() -> Refused:
    """What a client is told whose handshake took longer than the open timeout."""
    return Refused(408, "The handshake took too long.")


def draining() -> Refused:
    """What a client is told that comes while the server stops."""
    return Refused(503, "The server is stopping.", Retry_After=str(RETRY_AFTER_S))
