"""The settings' defaults are the contract's, and their help says what each is."""

from __future__ import annotations

import dataclasses

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
