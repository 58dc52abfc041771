"""Define every setting of the server once: flags, environment and TOML come from here."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final, Literal

from cyclopts import Group, Parameter

from echo_trio import flags, origins, proxies
from echo_trio.contradictions import check_effects
from echo_trio.proxy.address import parse_upstream
from echo_trio.run_history import NotAHistory, check_header
from echo_trio.wire.addresses import ANY_ADDRESS, LOOPBACK_NAMES, is_host, parse_target
from echo_trio.wire.limits import Limits

_TOKEN: Final = re.compile(r"[!-~]+")

#: The groups of the flags in the help.
LISTEN: Final = Parameter(group=Group("Listen", sort_key=1))
CONSOLE: Final = Parameter(group=Group("Console", sort_key=2))
MESSAGES: Final = Parameter(group=Group("Messages", sort_key=3))
PROXY: Final = Parameter(group=Group("Proxy", sort_key=4))
LIMITS: Final = Parameter(group=Group("Limits", sort_key=5))
STOP: Final = Parameter(group=Group("Stop", sort_key=6))
LOG: Final = Parameter(group=Group("Log and configuration", sort_key=7))


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """The server's settings."""

    host: Annotated[str, Parameter(metavar="HOST"), LISTEN] = "127.0.0.1"
    """Address or name to listen on; 0.0.0.0 is all of IPv4, :: all of IPv6."""

    port: Annotated[flags.Port, LISTEN] = 8765
    """Port to listen on; 0 takes a free one."""

    console_host: Annotated[str, Parameter(metavar="HOST"), CONSOLE] = "127.0.0.1"
    """Address or name on which the console listens: web page, health, metrics, load runs."""

    console_port: Annotated[flags.Port, CONSOLE] = 8766
    """Port of the console; 0 takes a free one."""

    console: Annotated[bool, CONSOLE] = True
    """Serve without the console: no web page, no health, no metrics, no load runs."""

    console_token: Annotated[
        str | None, Parameter(metavar="TOKEN", show_default=False), CONSOLE, flags.MASKED
    ] = field(default=None, repr=False)
    """Bearer token that the console requires; mandatory when it listens beyond loopback."""

    console_allow_host: Annotated[
        tuple[str, ...], Parameter(metavar="HOST", negative=""), CONSOLE
    ] = ()
    """Additional host name by which clients may address the console, such as that of a proxy;
    repeatable."""

    run_target: Annotated[
        tuple[str, ...], Parameter(metavar="HOST:PORT", negative=""), CONSOLE
    ] = ()
    """Another server that load runs from the console may target, and its page dial through the
    server; repeatable."""

    dial_cert: Annotated[tuple[Path, ...], Parameter(metavar="FILE", negative=""), CONSOLE] = ()
    """PEM file of a client certificate and its key, which the page may choose by the file's name
    when it dials through the server; repeatable."""

    dial_cacert: Annotated[Path | None, Parameter(metavar="FILE"), CONSOLE] = None
    """PEM file of the authorities to trust when the page dials through the server; by default those
    of the system."""

    scenario_dir: Annotated[str | None, Parameter(metavar="DIR"), CONSOLE] = None
    """Folder of scenarios (FILE.py) that load runs from the console may run: your own code."""

    history: Annotated[Path | None, Parameter(metavar="FILE"), CONSOLE] = None
    """Keep the load runs of the console in this SQLite file, over restarts; loadgen history reads
    it, too."""

    workers: Annotated[int, flags.processes("--workers"), LISTEN] = 1
    """Processes that share the port; auto starts one for each core."""

    seed: Annotated[int | None, flags.whole("--seed"), MESSAGES] = None
    """Append the numbers of a fixed sequence, the same on every connection."""

    max_message_bytes: Annotated[int, flags.size("--max-message-size"), MESSAGES] = 2**20
    """Largest payload of one message; a larger one is answered with close code 1009."""

    max_held_bytes: Annotated[int, flags.size("--max-held"), LIMITS] = 256 * 2**20
    """Most bytes that a process may hold for all connections together, in incomplete messages and
    unsent replies; above it the connection that holds most is closed with code 1013. 0: no
    limit."""

    max_connections: Annotated[int, flags.count("--max-connections"), LIMITS] = 0
    """Most connections at once, including handshakes; further ones are answered with 503. 0: as
    many as the file limit allows."""

    origin: Annotated[tuple[str, ...], Parameter(metavar="ORIGIN", negative=""), LISTEN] = ()
    """Origin whose pages may connect, like https://example.com; repeatable. By default any may."""

    tls_cert: Annotated[Path | None, Parameter(metavar="FILE"), LISTEN] = None
    """Serve wss with the certificate and chain in this PEM file."""

    tls_key: Annotated[Path | None, Parameter(metavar="FILE"), LISTEN] = None
    """PEM file with the certificate's private key, if --tls-cert doesn't contain it."""

    trust_proxy: Annotated[tuple[str, ...], Parameter(metavar="NETWORK", negative=""), LISTEN] = ()
    """Address or network of proxies that may state the address of their client; repeatable."""

    proxy_protocol: Annotated[bool, Parameter(negative=""), LISTEN] = False
    """Expect a PROXY protocol header at the start of each connection from a trusted proxy."""

    upstream: Annotated[str | None, Parameter(metavar="URL", show_default=False), PROXY] = None
    """Be a proxy in front of the server at this URL, like ws://127.0.0.1:9000, and do to its
    connections what paths that begin with /~delay/200ms and the like ask for."""

    fault: Annotated[str, Parameter(metavar="FAULTS", show_default=False), PROXY] = ""
    """Faults of all connections to --upstream, like ~delay/50ms or ~up-drop/3/~corrupt/10; PUT
    /api/faults changes them."""

    upstream_cacert: Annotated[Path | None, Parameter(metavar="FILE"), PROXY] = None
    """PEM file of the authorities to trust for --upstream; by default those of the system."""

    upstream_insecure: Annotated[bool, Parameter(negative=""), PROXY] = False
    """Accept any certificate of --upstream."""

    upstream_compression: Annotated[bool, Parameter(negative=""), PROXY] = False
    """Offer permessage-deflate to --upstream; its choice holds for that side alone."""

    open_timeout_s: Annotated[float, flags.duration("--open-timeout"), LIMITS] = 10.0
    """Longest time for the opening handshake, from accept to the server's answer."""

    close_timeout_s: Annotated[float, flags.duration("--close-timeout"), LIMITS] = 10.0
    """Longest time for the closing handshake."""

    write_timeout_s: Annotated[float, flags.duration("--write-timeout"), LIMITS] = 10.0
    """Longest time that one write may block; after it the connection is aborted."""

    ping_interval_s: Annotated[float, flags.duration("--ping-interval"), LIMITS] = 20.0
    """Time between two pings to each client. 0: no pings."""

    ping_timeout_s: Annotated[float, flags.duration("--ping-timeout"), LIMITS] = 20.0
    """Longest wait for the answer to a ping; after it the server sends close code 1011 and cuts the
    connection. 0: no limit."""

    idle_timeout_s: Annotated[float, flags.duration("--idle-timeout"), LIMITS] = 0.0
    """Longest time without a message in either direction; after it the connection is closed with
    code 1001. 0: no limit."""

    compression: Annotated[bool, MESSAGES] = False
    """Compress messages (permessage-deflate) for clients that ask for it."""

    drain_timeout_s: Annotated[float, flags.duration("--drain-timeout"), STOP] = 10.0
    """Longest time for a graceful stop."""

    drain_grace_s: Annotated[float, flags.duration("--drain-grace"), STOP] = 0.0
    """Part of --drain-timeout in which to await each client's next message and to close the
    connection after its reply. 0: close at once."""

    record: Annotated[Path | None, Parameter(metavar="FILE"), LOG] = None
    """Record each connection's handshake, messages and close in a new file, as JSON lines."""

    log_level: Annotated[Literal["debug", "info", "warning", "error"], LOG] = "info"
    """Lowest level to log; debug logs each connection."""

    log_format: Annotated[Literal["console", "json"], LOG] = "console"
    """Log lines for people, or one JSON object per line."""

    def __post_init__(self) -> None:
        """Check what a type can't say."""
        if self.console_token is not None and not _TOKEN.fullmatch(self.console_token):
            raise ValueError("--console-token has to be printable ASCII without spaces")
        self._check_hosts()
        for target in self.run_target:
            parse_target(target)
        self._check_certificates_of_dials()
        if self.scenario_dir is not None and not Path(self.scenario_dir).is_dir():
            raise ValueError(f"--scenario-dir: {self.scenario_dir!r} is no folder")
        self._check_history()
        for origin in self.origin:
            if origins.parse_origin(origin) is None:
                raise ValueError(f"--origin: {origin!r} is not an origin, like https://example.com")
        for network in self.trust_proxy:
            if proxies.parse_network(network) is None:
                raise ValueError(
                    f"--trust-proxy: {network!r} is neither an address nor a network, "
                    "like 10.0.0.5 or 10.0.0.0/8"
                )
        if self.drain_grace_s > self.drain_timeout_s / 2:
            raise ValueError("--drain-grace may be half of --drain-timeout: closing comes after it")
        self._check_workers()
        self._check_upstream()
        check_effects(self)

    def _check_history(self) -> None:
        if self.history is None:
            return
        try:
            check_header(self.history)
        except NotAHistory as exc:
            raise ValueError(f"--history: {exc}; it is left as it is") from None
        except OSError as exc:
            raise ValueError(f"--history: {self.history}: {exc.strerror or exc}") from None
        if not self.history.absolute().parent.is_dir():
            raise ValueError(f"--history: there is no folder {str(self.history.parent)!r}")

    def _check_upstream(self) -> None:
        if self.upstream is None:
            return
        try:
            address = parse_upstream(self.upstream)
        except ValueError as exc:
            raise ValueError(f"--upstream: {exc}") from None
        here = {self.host, *(LOOPBACK_NAMES if self.host in LOOPBACK_NAMES | ANY_ADDRESS else ())}
        if address.port == self.port and address.host in here:
            raise ValueError(
                f"--upstream: {self.upstream!r} is where this proxy itself listens: "
                "give it another --port"
            )
        if not self.fault:
            return
        # Here: --help needs none of the behaviours.
        from echo_trio.proxy.switch import read_faults  # noqa: PLC0415

        try:
            read_faults(self.fault)
        except ValueError as exc:
            raise ValueError(f"--fault: {exc}") from None

    def _check_certificates_of_dials(self) -> None:
        names = [path.stem for path in self.dial_cert]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(
                    f"--dial-cert: two files have the name {name!r}, by which the page chooses one"
                )

    def _check_hosts(self) -> None:
        for flag, host in (("--host", self.host), ("--console-host", self.console_host)):
            # A port or brackets, as in a URL; the address of IPv6 has more colons than one.
            if not host or host.count(":") == 1 or host.startswith("["):
                raise ValueError(
                    f"{flag}: {host!r} is no host: write it like 127.0.0.1 or ::1, the port apart"
                )
        for host in self.console_allow_host:
            if not is_host(host):
                raise ValueError(
                    f"--console-allow-host: {host!r} is no host: write it like console.example, "
                    "without scheme, port and path"
                )

    def _check_workers(self) -> None:
        if 0 < self.max_connections < self.workers:
            raise ValueError(
                f"--max-connections: {self.max_connections} can't be shared by "
                f"--workers {self.workers}, each needs one"
            )
        if self.record is not None and self.workers > 1:
            raise ValueError("--record needs --workers 1: a recording is one process's")

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
