"""A setting that would do nothing is refused, and the same where it does something is not."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from echo_trio.settings import Settings

CERT = Path("c.pem")
NO_CONSOLE = {"console": False}
TARGET = {"run_target": ("a.example:1",)}
WS, WSS = {"upstream": "ws://a.example"}, {"upstream": "wss://a.example"}

#: What is given, beside what it does nothing and why, and beside what it does something.
ROWS: list[tuple[dict[str, Any], dict[str, Any], str, dict[str, Any]]] = [
    *(
        ({name: value}, NO_CONSOLE, "is the console's", needed)
        for name, value, needed in (
            ("console_host", "::1", {}),
            ("console_port", 9, {}),
            ("console_token", "hush", {}),
            ("console_allow_host", ("a.example",), {}),
            ("run_target", ("a.example:1",), {}),
            ("dial_cert", (CERT,), TARGET),
            ("dial_cacert", CERT, TARGET),
            ("scenario_dir", ".", {}),
            ("history", Path("runs.db"), {}),
        )
    ),
    ({"fault": "~delay/1s"}, {}, "needs --upstream", WS),
    ({"upstream_cacert": CERT}, {}, "needs --upstream", WSS),
    ({"upstream_insecure": True}, {}, "needs --upstream", WSS),
    ({"upstream_compression": True}, {}, "needs --upstream", WS),
    ({"upstream_cacert": CERT}, WS, "goes with wss://", WSS),
    ({"upstream_insecure": True}, WS, "goes with wss://", WSS),
    ({"upstream_cacert": CERT}, WSS | {"upstream_insecure": True}, "says whom to trust", WSS),
    ({"seed": 0}, WS, "is for the numbers behind replies", {}),
    ({"tls_key": CERT}, {}, "needs --tls-cert", {"tls_cert": CERT}),
    ({"proxy_protocol": True}, {}, "needs --trust-proxy", {"trust_proxy": ("10.0.0.1",)}),
    ({"ping_timeout_s": 5.0}, {"ping_interval_s": 0.0}, "is for the answer to a ping", {}),
    ({"dial_cert": (CERT,)}, {}, "is for servers that ask for one", TARGET),
    ({"dial_cacert": CERT}, {}, "is for wss", TARGET),
    ({"dial_cacert": CERT}, {}, "is for wss", {"tls_cert": CERT}),
]


@pytest.mark.parametrize(
    ("given", "in_vain", "why", "of_use"),
    ROWS,
    ids=[f"{next(iter(given))}: {why}" for given, _, why, _ in ROWS],
)
def test_a_setting_is_taken_where_it_does_something_and_nowhere_else(
    given: dict[str, Any], in_vain: dict[str, Any], why: str, of_use: dict[str, Any]
) -> None:
    (name, value), *_ = given.items()
    assert getattr(Settings(**given, **of_use), name) == value
    flag = "--" + name.removesuffix("_s").replace("_", "-")
    with pytest.raises(ValueError, match=f"^{flag} {re.escape(why)}"):
        Settings(**given, **in_vain)


@pytest.mark.parametrize(
    "given",
    [
        {"console_port": 0, "console": False},  # any port that is free is no wish
        {"ping_timeout_s": 0.0, "ping_interval_s": 0.0},  # as good a limit as any
        {"ping_timeout_s": 20.0, "ping_interval_s": 0.0},  # as it is by default
    ],
    ids=str,
)
def test_what_is_no_wish_is_not_refused(given: dict[str, Any]) -> None:
    assert Settings(**given)
