"""A running server as tests hold it: its addresses, its faults, and what it says of a bad end."""

from __future__ import annotations

import pytest

from echo_trio.metrics.counters import Outcome
from echo_trio.testing.running_server import RunningServer
from echo_trio.testing.seen import Seen

URL = "ws://127.0.0.1:1/"


def test_it_has_its_addresses_and_hands_faults_on() -> None:
    given: list[str] = []
    server = RunningServer(URL, "http://127.0.0.1:2/", Seen(), given.append)
    assert (server.url, server.console_url) == (URL, "http://127.0.0.1:2/")
    assert repr(server) == f"<RunningServer {URL}>"
    assert server.path("/drop/3") == server.path("drop/3") == f"{URL}drop/3"
    server.faults("~delay/1s")
    server.faults("")
    assert given == ["~delay/1s", ""]


def test_each_connection_that_did_not_end_clean_is_named_and_no_other() -> None:
    seen = Seen()
    server = RunningServer(URL, None, seen, lambda _: None)
    server.assert_all_clean(0)
    seen.accepted("1").ended(Outcome.CLEAN, {"code": 1000})
    server.assert_all_clean(0)
    seen.accepted("2").ended(Outcome.REFUSED, {"status": 503})
    seen.accepted("3")
    seen.accepted("4").ended(Outcome.ABNORMAL, {"code": 1006})
    with pytest.raises(AssertionError) as caught:
        server.assert_all_clean(0)
    assert str(caught.value).splitlines() == [
        "3 of 4 connections did not end clean:",
        "  (no request): refused, HTTP 503, 0 in, 0 out",
        "  (no request): open, 0 in, 0 out",
        "  (no request): abnormal, close code 1006, 0 in, 0 out",
    ]


@pytest.mark.parametrize(("unclean", "more"), [(20, []), (21, ["  and 1 more"])])
def test_of_many_that_did_not_end_clean_twenty_are_named(unclean: int, more: list[str]) -> None:
    seen = Seen()
    for number in range(unclean):
        seen.accepted(str(number)).ended(Outcome.ABNORMAL, {"code": 1006, "messages_sent": number})
    with pytest.raises(AssertionError) as caught:
        RunningServer(URL, None, seen, lambda _: None).assert_all_clean(0)
    first, *lines = str(caught.value).splitlines()
    assert first == f"{unclean} of {unclean} connections did not end clean:"
    assert [line.split()[-2] for line in lines[:20]] == [str(number) for number in range(20)]
    assert lines[20:] == more


def test_waiting_for_ends_gives_the_number_and_the_time() -> None:
    seen = Seen()
    server = RunningServer(URL, None, seen, lambda _: None)
    seen.accepted("1").ended(Outcome.CLEAN, {})
    server.wait_closed(timeout=0)
    with pytest.raises(TimeoutError, match=r"^1 of 2 .* within 0 s; 0 open$"):
        server.wait_closed(2, timeout=0)
