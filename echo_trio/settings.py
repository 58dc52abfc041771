"""Everything that can be set about the server, once: flags, environment and TOML come from here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from cyclopts import Parameter

from echo_trio import flags
from echo_trio.wire.connection import Limits


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """The server's settings."""

    host: str = "127.0.0.1"
    """Address or name to listen on."""

    port: flags.Port = 8765
    """Port to listen on; 0 takes a free one."""

    console_host: str = "127.0.0.1"
    """Address or name where the console listens: web page, health, snapshot."""

    console_port: flags.Port = 8766
    """Port of the console; 0 takes a free one."""

    console: bool = True
    """Whether to have a console."""

    seed: int | None = None
    """Makes the suffixes a fixed sequence, the same on every connection."""

    max_message_bytes: Annotated[int, flags.size("--max-message-size")] = 2**20
    """Payload of one message; a longer one is answered with close code 1009."""

    open_timeout_s: Annotated[float, flags.duration("--open-timeout")] = 10.0
    """Bound on the opening handshake, from accept to our answer."""

    close_timeout_s: Annotated[float, flags.duration("--close-timeout")] = 10.0
    """Bound on the closing handshake."""

    write_timeout_s: Annotated[float, flags.duration("--write-timeout")] = 10.0
    """Bound on one blocked write; then the connection is aborted."""

    drain_timeout_s: Annotated[float, flags.duration("--drain-timeout")] = 10.0
    """Budget of a graceful stop."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least level to log; debug has one line for each connection."""

    log_format: Literal["console", "json"] = "console"
    """Lines for people, or one JSON object a line."""

    @property
    def limits(self) -> Limits:
        """What a connection allows its peer."""
        return Limits(self.max_message_bytes, self.write_timeout_s, self.close_timeout_s)
