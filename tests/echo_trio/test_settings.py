"""The settings' defaults are the contract's, and their help says what each is."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from echo_trio import cli
from echo_trio.settings import Settings

CONTRACT_DEFAULTS = {
    "host": "127.0.0.1",
    "port": 8765,
    "console_host": "127.0.0.1",
    "console_port": 8766,
    "console": True,
    "console_token": None,
    "console_allow_host": (),
    "run_target": (),
    "dial_cert": (),
    "dial_cacert": None,
    "scenario_dir": None,
    "history": None,
    "workers": 1,
    "seed": None,
    "max_message_bytes": 2**20,
    "max_held_bytes": 256 * 2**20,
    "trust_proxy": (),
    "proxy_protocol": False,
    "upstream": None,
    "fault": "",
    "upstream_cacert": None,
    "upstream_insecure": False,
    "upstream_compression": False,
    "open_timeout_s": 10.0,
    "close_timeout_s": 10.0,
    "write_timeout_s": 10.0,
    "max_connections": 0,
    "origin": (),
    "tls_cert": None,
    "tls_key": None,
    "ping_interval_s": 20.0,
    "ping_timeout_s": 20.0,
    "idle_timeout_s": 0.0,
    "compression": False,
    "drain_timeout_s": 10.0,
    "drain_grace_s": 0.0,
    "record": None,
    "log_level": "info",
    "log_format": "console",
}


def test_the_defaults_are_the_contracts() -> None:
    assert dataclasses.asdict(Settings()) == CONTRACT_DEFAULTS


def test_every_setting_is_a_documented_flag(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help"]) == 0
    text = " ".join(capsys.readouterr().out.replace("│", " ").split())
    flags = ["--" + field.name.replace("_", "-") for field in dataclasses.fields(Settings)]
    renamed = {"--max-message-bytes": "--max-message-size", "--max-held-bytes": "--max-held"}
    for flag in flags:
        assert renamed.get(flag, flag.removesuffix("-s")) in text
    assert "Longest time for the opening handshake" in text


def test_the_limits_on_a_connection_come_from_the_settings() -> None:
    limits = Settings(
        max_message_bytes=1,
        write_timeout_s=2,
        close_timeout_s=3,
        ping_interval_s=4,
        ping_timeout_s=5,
        idle_timeout_s=6,
    ).limits
    assert dataclasses.astuple(limits) == (1, 2, 3, 4, 5, 6)


def test_a_grace_may_be_half_of_the_drain_and_no_more():
    assert Settings(drain_timeout_s=10.0, drain_grace_s=5.0).drain_grace_s == 5.0
    with pytest.raises(ValueError, match="--drain-grace"):
        Settings(drain_timeout_s=10.0, drain_grace_s=5.001)


def test_each_worker_needs_one_connection_and_one_is_enough():
    assert Settings(workers=4, max_connections=4).workers == 4
    assert Settings(workers=4, max_connections=0).workers == 4
    with pytest.raises(ValueError, match="can't be shared"):
        Settings(workers=4, max_connections=3)


def test_each_limit_of_a_connection_is_its_own_setting():
    limits = Settings(
        max_message_bytes=1, write_timeout_s=2.0, close_timeout_s=3.0, ping_interval_s=4.0,
        ping_timeout_s=5.0, idle_timeout_s=6.0,
    ).limits  # fmt: skip
    assert (limits.max_message_bytes, limits.write_timeout_s, limits.close_timeout_s) == (1, 2, 3)
    assert (limits.ping_interval_s, limits.ping_timeout_s, limits.idle_timeout_s) == (4, 5, 6)


@pytest.mark.parametrize("host", ["", "localhost:9000", "[::1]", "[::1]:9000"])
@pytest.mark.parametrize("flag", ["host", "console_host"])
def test_a_host_to_listen_on_has_no_port_and_no_brackets(flag, host):
    with pytest.raises(ValueError, match="the port apart"):
        Settings(**{flag: host})


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"console_token": "two words"}, "--console-token has to be printable ASCII"),
        ({"console_token": ""}, "--console-token has to be printable ASCII"),
        ({"console_allow_host": ("a.example", "http://b")}, "--console-allow-host: 'http://b'"),
        ({"run_target": ("a.example:80", "b")}, "'b'"),
        ({"dial_cert": (Path("a/one.pem"), Path("b/one.pem")), "run_target": ("a:1",)},
         "--dial-cert: two files have the name 'one'"),
        ({"scenario_dir": "/nowhere"}, "--scenario-dir: '/nowhere' is no folder"),
        ({"history": Path("/nowhere/runs.db")}, "--history: there is no folder '/nowhere'"),
        ({"history": Path("/")}, "--history: /: "),
        ({"history": Path(__file__)}, "--history: .*test_settings.py.*; it is left as it is"),
        ({"origin": ("https://a.example", "a.example")}, "--origin: 'a.example' is not an origin"),
        ({"trust_proxy": ("10.0.0.0/8", "a.example")}, "--trust-proxy: 'a.example' is neither"),
        ({"upstream": "http://a.example"}, "--upstream: "),
        ({"upstream": "ws://a.example:1", "fault": "~what/1"}, "--fault: "),
        ({"record": Path("r.ndjson"), "workers": 2}, "--record needs --workers 1"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_by_the_name_of_its_flag(
    settings: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(ValueError, match=f"^{complaint}"):
        Settings(**settings)


def test_what_makes_sense_is_taken(tmp_path: Path) -> None:
    Settings(
        console_token="a~!", console_allow_host=("a.example",), run_target=("a.example:80",),
        dial_cert=(Path("a/one.pem"), Path("a/two.pem")), scenario_dir=str(tmp_path),
        history=tmp_path / "runs.db", origin=("https://a.example",),
        trust_proxy=("10.0.0.0/8", "::1"), record=Path("r.ndjson"), workers=1,
    )  # fmt: skip
    Settings(upstream="ws://a.example:1", fault="~delay/1s")


@pytest.mark.parametrize(
    ("host", "port", "upstream", "is_itself"),
    [
        ("127.0.0.1", 9000, "ws://127.0.0.1:9000/", True),
        ("127.0.0.1", 9000, "ws://localhost:9000/", True),
        ("0.0.0.0", 9000, "ws://[::1]:9000/", True),
        ("a.example", 9000, "ws://a.example:9000/", True),
        ("127.0.0.1", 9000, "ws://127.0.0.1:9001/", False),
        ("127.0.0.1", 9000, "ws://a.example:9000/", False),
        ("a.example", 9000, "ws://127.0.0.1:9000/", False),
    ],
)
def test_a_proxy_does_not_stand_before_itself(
    host: str, port: int, upstream: str, is_itself: bool
) -> None:
    if is_itself:
        with pytest.raises(ValueError, match="is where this proxy itself listens"):
            Settings(host=host, port=port, upstream=upstream)
    else:
        Settings(host=host, port=port, upstream=upstream)
