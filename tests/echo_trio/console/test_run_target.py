"""Where a console's runs may go."""

from __future__ import annotations

from echo_trio.console.run_target import Targets


def test_this_server_has_each_of_its_names_and_what_is_allowed_is() -> None:
    targets = Targets.of("ws://127.0.0.1:9000/", "Localhost", ["Other.example:1", "wss://[::2]/x"])
    assert targets.own_url == "ws://127.0.0.1:9000/"
    assert targets.allowed == {
        ("127.0.0.1", 9000),
        ("localhost", 9000),
        ("::1", 9000),
        ("other.example", 1),
        ("::2", 443),
    }


def test_a_server_elsewhere_has_no_name_of_this_machine() -> None:
    targets = Targets.of("wss://192.0.2.1:9000/", "host.example")
    assert targets.allowed == {("192.0.2.1", 9000), ("host.example", 9000)}


def test_of_a_server_that_listens_everywhere_the_near_address_is_taken() -> None:
    targets = Targets.of("ws://0.0.0.0:9000/", "0.0.0.0")
    assert targets.own_url == "ws://127.0.0.1:9000/"
    assert ("localhost", 9000) in targets.allowed
    assert ("0.0.0.0", 9000) not in targets.allowed
    assert Targets.of("ws://[::]:9000/", "::").own_url == "ws://[::1]:9000/"
