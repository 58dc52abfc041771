"""Define every setting of the server once: flags, environment and TOML come from here."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final, Literal

from cyclopts import Parameter

from echo_trio import flags, origins, proxies
from echo_trio.wire.addresses import is_host, parse_target
from echo_trio.wire.limits import Limits

_TOKEN: Final = re.compile(r"[!-~]+")


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """The server's settings."""

    host: Annotated[str, Parameter(metavar="HOST")] = "127.0.0.1"
    """Address or name to listen on."""

    port: flags.Port = 8765
    """Port to listen on; 0 takes a free one."""

    console_host: Annotated[str, Parameter(metavar="HOST")] = "127.0.0.1"
    """Address or name where the console listens: web page, health, figures, load runs."""

    console_port: flags.Port = 8766
    """Port of the console; 0 takes a free one."""

    console: bool = True
    """Serve without the console: no web page, no health, no metrics, no load runs."""

    console_token: Annotated[str | None, Parameter(metavar="TOKEN", show_default=False)] = field(
        default=None, repr=False
    )
    """Bearer token that the console asks for; needed when it listens beyond loopback."""

    console_allow_host: Annotated[tuple[str, ...], Parameter(metavar="HOST", negative="")] = ()
    """A further name under which the console may be asked for, a proxy's, say; repeatable."""

    run_target: Annotated[tuple[str, ...], Parameter(metavar="HOST:PORT", negative="")] = ()
    """A server beside this one that the console's load runs may go to, as host:port; repeatable."""

    workers: Annotated[int, flags.processes("--workers")] = 1
    """Processes that share the port; auto takes one for each core."""

    seed: Annotated[int | None, flags.whole("--seed")] = None
    """Makes the suffixes a fixed sequence, the same on every connection."""

    max_message_bytes: Annotated[int, flags.size("--max-message-size")] = 2**20
    """Payload of one message; a longer one is answered with close code 1009."""

    max_held_bytes: Annotated[int, flags.size("--max-held")] = 256 * 2**20
    """What a process may hold for all connections together: parts of messages, replies not yet
    sent; above it the connection that holds most is closed with code 1013. 0: no bound."""

    max_connections: Annotated[int, flags.count("--max-connections")] = 0
    """Connections at once, handshakes too; above it: 503. 0: as many as the file limit allows."""

    origin: Annotated[tuple[str, ...], Parameter(metavar="ORIGIN", negative="")] = ()
    """An origin whose pages may connect, as https://example.com; repeatable; else any may."""

    tls_cert: Annotated[Path | None, Parameter(metavar="FILE")] = None
    """Certificate, and the chain behind it, in PEM: serve wss."""

    tls_key: Annotated[Path | None, Parameter(metavar="FILE")] = None
    """Its key in PEM, if that is in a file of its own."""

    trust_proxy: Annotated[tuple[str, ...], Parameter(metavar="NETWORK", negative="")] = ()
    """Address or network of a proxy that may say who its client is; repeatable."""

    proxy_protocol: Annotated[bool, Parameter(negative="")] = False
    """Whether trusted proxies begin each connection with a header of the PROXY protocol."""

    open_timeout_s: Annotated[float, flags.duration("--open-timeout")] = 10.0
    """Bound on the opening handshake, from accept to our answer."""

    close_timeout_s: Annotated[float, flags.duration("--close-timeout")] = 10.0
    """Bound on the closing handshake."""

    write_timeout_s: Annotated[float, flags.duration("--write-timeout")] = 10.0
    """Bound on one blocked write; then the connection is aborted."""

    ping_interval_s: Annotated[float, flags.duration("--ping-interval")] = 20.0
    """How often to ping each client; 0: never."""

    ping_timeout_s: Annotated[float, flags.duration("--ping-timeout")] = 20.0
    """Bound on the answer to a ping; then close code 1011, and the connection is cut. 0: none."""

    idle_timeout_s: Annotated[float, flags.duration("--idle-timeout")] = 0.0
    """Without a message for so long, a connection is closed with code 1001. 0: never."""

    compression: bool = False
    """Whether to offer permessage-deflate: compressed messages, for clients that ask for them."""

    drain_timeout_s: Annotated[float, flags.duration("--drain-timeout")] = 10.0
    """Budget of a graceful stop."""

    drain_grace_s: Annotated[float, flags.duration("--drain-grace")] = 0.0
    """Of it, how long to await each client's next message, to close behind its reply. 0: don't."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least level to log; debug has one line for each connection."""

    log_format: Literal["console", "json"] = "console"
    """Lines for people, or one JSON object a line."""

    def __post_init__(self) -> None:
        """Check what a type can't say."""
        if self.console_token is not None and not _TOKEN.fullmatch(self.console_token):
            raise ValueError("--console-token has to be printable ASCII without spaces")
        for host in self.console_allow_host:
            if not is_host(host):
                raise ValueError(
                    f"--console-allow-host: {host!r} is no host: write it like console.example, "
                    "without scheme, port and path"
                )
        for target in self.run_target:
            parse_target(target)
        for origin in self.origin:
            if origins.parse_origin(origin) is None:
                raise ValueError(f"--origin: {origin!r} is not an origin, like https://example.com")
        for network in self.trust_proxy:
            if proxies.parse_network(network) is None:
                raise ValueError(
                    f"--trust-proxy: {network!r} is neither an address nor a network, "
                    "like 10.0.0.5 or 10.0.0.0/8"
                )
        if self.proxy_protocol and not self.trust_proxy:
            raise ValueError("--proxy-protocol needs --trust-proxy: who may say so")
        if self.drain_grace_s > self.drain_timeout_s / 2:
            raise ValueError("--drain-grace may be half of --drain-timeout: closing comes after it")
        if 0 < self.max_connections < self.workers:
            raise ValueError(
                f"--max-connections: {self.max_connections} can't be shared by "
                f"--workers {self.workers}, each needs one"
            )
        if self.tls_key is not None and self.tls_cert is None:
            raise ValueError("--tls-key needs --tls-cert")

    @property
    def limits(self) -> Limits:
        """The limits of each connection."""
        return Limits(
            self.max_message_bytes,
            self.write_timeout_s,
            self.close_timeout_s,
            self.ping_interval_s,
            self.ping_timeout_s,
            self.idle_timeout_s,
        )
