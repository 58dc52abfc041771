"""What a run is to do: frozen, validated, the source of the flags."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from cyclopts import Parameter

from echo_trio import flags
from loadgen.payloads import DEFAULT_SIZE_BYTES, DEFAULT_TEMPLATE, Payloads

DEFAULT_PORT: Final = 8765
DEFAULT_URL: Final = f"ws://127.0.0.1:{DEFAULT_PORT}/"
_DEFAULT_PORTS: Final = {"ws": 80, "wss": 443}


@Parameter(name="*")
@dataclass(frozen=True, slots=True)
class Plan:
    """A load run.

    :raises ValueError: if the settings contradict each other or the URL is none.
    """

    count: Annotated[int, flags.count("COUNT", at_least=1)]
    """Sockets to open and hold open together."""

    url: Annotated[str, Parameter(name="URL")] = DEFAULT_URL
    """Where they connect."""

    _: KW_ONLY

    connect_concurrency: Annotated[int, flags.count("--connect-concurrency", at_least=1)] = 256
    """Handshakes in flight at once."""

    connect_timeout_s: Annotated[float, flags.duration("--connect-timeout")] = 10.0
    """Bound on each socket's TCP connect and handshake together."""

    duration_s: Annotated[float, flags.duration("--duration")] = 10.0
    """Length of the load phase."""

    rate_per_conn: Annotated[float, flags.rate("--rate-per-conn")] = 1.0
    """Open loop: messages due on each socket, whether or not replies are in; 0/s holds idle."""

    closed_loop: Annotated[bool, Parameter(negative="")] = False
    """Send a socket's next message when its reply is in, rather than when it is due."""

    think_s: Annotated[float, flags.duration("--think")] = 0.0
    """Closed loop: pause between a reply and the next message."""

    messages: Annotated[int | None, flags.count("--messages", at_least=1)] = None
    """Messages for each socket; the load phase then ends when all are answered."""

    message: str = DEFAULT_TEMPLATE
    """Template of the messages; knows {conn}, {seq}, {now} (Unix ms) and {random}."""

    size_bytes: Annotated[int | None, flags.size("--size")] = None
    """Pad messages to this size; the default message to 32 bytes."""

    verify: Literal["suffix", "exact", "off"] = "suffix"
    """What a reply has to be: message, space and number; the message; or anything."""

    stop_timeout_s: Annotated[float, flags.duration("--stop-timeout")] = 5.0
    """Bound on awaiting replies in flight and closing all sockets."""

    seed: int = 0
    """Makes payloads and schedule repeat exactly."""

    def __post_init__(self) -> None:
        """Check what no single field can."""
        Target.parse(self.url)
        self.payloads()
        if self.think_s and not self.closed_loop:
            raise ValueError("--think goes with --closed-loop")
        if self.messages and not self.closed_loop and not self.rate_per_conn:
            raise ValueError("--messages needs a rate: --rate-per-conn is 0/s")

    @property
    def target(self) -> Target:
        """Where to connect, taken apart."""
        return Target.parse(self.url)

    def payloads(self) -> Payloads:
        """What the sockets send."""
        padded = DEFAULT_SIZE_BYTES if self.message == DEFAULT_TEMPLATE else 0
        size = padded if self.size_bytes is None else self.size_bytes
        return Payloads(self.message, size_bytes=size, seed=self.seed, sockets=self.count)


@dataclass(frozen=True, slots=True)
class Target:
    """A WebSocket URL, taken apart.

    :ivar authority: the Host header: with the port, unless it is the scheme's own.
    :ivar resource: path and query.
    """

    host: str
    port: int
    authority: str
    resource: str
    tls: bool

    @classmethod
    def parse(cls, url: str) -> Target:
        """Take a URL apart.

        :raises ValueError: if it is not a ws:// or wss:// URL; says what to write.
        """
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as exc:
            raise ValueError(f"{url!r} is not a URL: {exc}") from None
        if port == 0:
            raise ValueError(f"{url!r} has port 0, to which nothing can connect")
        if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
            raise ValueError(f"{url!r} is not a WebSocket URL: write it like {DEFAULT_URL}")
        if parts.scheme == "wss":
            raise ValueError("wss:// is not supported yet: use ws://")
        if parts.fragment:
            raise ValueError(f"{url!r} has a fragment, which a WebSocket URL has not (RFC 6455, 3)")
        if parts.username is not None or parts.password is not None:
            raise ValueError(f"{url!r} has a user name, which a WebSocket URL has not")
        if any(not "!" <= ch <= "~" for ch in url):
            raise ValueError(f"{url!r} has a character that has to be %-encoded")
        resource = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        default = _DEFAULT_PORTS[parts.scheme]
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        authority = host if port in (None, default) else f"{host}:{port}"
        return cls(parts.hostname, port or default, authority, resource, parts.scheme == "wss")
