"""A status that a handshake is refused with has the headers that HTTP requires with it."""

from __future__ import annotations

import pytest

from echo_trio.behaviours.refusal import refuse


@pytest.mark.parametrize(
    ("status", "names"),
    [
        (401, {"WWW-Authenticate"}),
        (405, {"Allow"}),
        (407, {"Proxy-Authenticate"}),
        (426, {"Upgrade", "Connection", "Sec-WebSocket-Version"}),
        (200, set()),
        (503, set()),
    ],
)
def test_a_status_has_the_headers_that_belong_to_it(status: int, names: set[str]) -> None:
    refusal = refuse(status)
    assert (refusal.status, set(refusal.headers)) == (status, names)
