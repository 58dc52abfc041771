"""The codes that a close frame may carry are those that RFC 6455 and its registry define."""

from __future__ import annotations

from echo_trio.wire.close_codes import may_be_sent


def test_each_code_may_be_sent_or_not_as_the_registry_says() -> None:
    protocols = {1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014}
    allowed = protocols | set(range(3000, 5000))
    assert {code for code in range(70_000) if may_be_sent(code)} == allowed
