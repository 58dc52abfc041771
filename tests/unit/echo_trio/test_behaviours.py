"""What each path does with a message."""

from __future__ import annotations

import pytest

from echo_trio import admission, behaviours
from echo_trio.wire.handshake import Refused, UpgradeRequest


def request_for(target: str) -> UpgradeRequest:
    return UpgradeRequest(target, [], "key", [])


@pytest.mark.parametrize(
    ("path", "message", "reply"),
    [("/", "m", "m 7"), ("/", b"\xff", b"\xff 7"), ("/plain", "m", "m"), ("/plain", b"", b"")],
)
def test_a_paths_behaviour_is_a_function_of_message_and_number(
    path: str, message: str | bytes, reply: str | bytes
) -> None:
    behaviour = behaviours.find(path)
    assert behaviour is not None
    assert behaviour(lambda: 7)(message) == reply


@pytest.mark.parametrize("target", ["/", "/plain", "/plain?a=b", "/?x"])
def test_a_known_path_is_admitted_whatever_its_query(target: str) -> None:
    assert admission.admit(request_for(target)) is behaviours.find(target.partition("?")[0])


@pytest.mark.parametrize("target", ["/Plain", "/plain/", "//", "/%70lain", "/nothing"])
def test_an_unknown_path_is_404_with_the_list(target: str) -> None:
    with pytest.raises(Refused) as refused:
        admission.admit(request_for(target))
    assert refused.value.status == 404
    assert refused.value.why == behaviours.listing()


def test_whoever_comes_while_the_server_stops_is_told_when_to_try_again() -> None:
    refused = admission.draining()
    assert refused.status == 503
    assert refused.headers == {"Retry-After": "5"}
