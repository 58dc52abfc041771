"""Find settings of the server that would do nothing beside the others. Pure.

Whoever gives a setting wants something done. Where the others leave it without effect that is a
mistake, which is told before anything listens.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import TYPE_CHECKING, Final, NamedTuple

from echo_trio.proxy.address import parse_upstream

if TYPE_CHECKING:
    from echo_trio.settings import Settings


class _Need(NamedTuple):
    """The condition under which some settings have an effect.

    :ivar names: the fields of `Settings`.
    :ivar is_met: tells from all settings whether they have one.
    :ivar why: follows the flag in the complaint.
    """

    names: tuple[str, ...]
    is_met: Callable[[Settings], object]
    why: str


_NEEDS: Final = (
    _Need(
        (
            "console_host", "console_port", "console_token", "console_allow_host", "run_target",
            "dial_cert", "dial_cacert", "scenario_dir", "history",
        ),
        lambda settings: settings.console,
        "is the console's, and this server has none",
    ),
    _Need(
        ("fault", "upstream_cacert", "upstream_insecure", "upstream_compression"),
        lambda settings: settings.upstream is not None,
        "needs --upstream: the server behind this one",
    ),
    _Need(
        ("upstream_cacert", "upstream_insecure"),
        lambda settings: settings.upstream and parse_upstream(settings.upstream).tls,
        "goes with wss://, and --upstream is ws://",
    ),
    _Need(
        ("upstream_cacert",),
        lambda settings: not settings.upstream_insecure,
        "says whom to trust, --upstream-insecure to trust anyone: give one",
    ),
    _Need(
        ("seed",),
        lambda settings: settings.upstream is None,
        "is for the numbers behind replies, and a proxy (--upstream) appends none",
    ),
    _Need(("tls_key",), lambda settings: settings.tls_cert, "needs --tls-cert"),
    _Need(
        ("proxy_protocol",),
        lambda settings: settings.trust_proxy,
        "needs --trust-proxy: who may say so",
    ),
    _Need(
        ("ping_timeout_s",),
        # Without pings, no limit to their answers is as good as any.
        lambda settings: settings.ping_interval_s or not settings.ping_timeout_s,
        "is for the answer to a ping, and --ping-interval 0s sends none",
    ),
    _Need(
        ("dial_cert",),
        lambda settings: settings.run_target,
        "is for servers that ask for one: --run-target names those that may be dialled",
    ),
    _Need(
        ("dial_cacert",),
        lambda settings: settings.run_target or settings.tls_cert,
        "is for wss: --run-target names what may be dialled beside this server",
    ),
)  # fmt: skip


def check_effects(settings: Settings) -> None:
    """Check that each setting that was given does something.

    A setting counts as given if it is not as it is by default.

    :raises ValueError: if one does nothing.
    """
    defaults = {field.name: field.default for field in fields(settings)}
    for need in _NEEDS:
        for name in need.names:
            value = getattr(settings, name)
            # Port 0, any that is free, is no wish that could be left unfulfilled.
            is_given = value != defaults[name] and not (name == "console_port" and value == 0)
            if is_given and not need.is_met(settings):
                flag = f"--{name.removesuffix('_s').replace('_', '-')}"
                raise ValueError(f"{flag} {need.why}")
