"""Define the settings of a run: frozen, validated, the source of the flags."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence
from dataclasses import KW_ONLY, dataclass
from functools import partial
from typing import Annotated, Any, Final, Literal

from cyclopts import Group, Parameter

from echo_trio import flags, masks
from loadgen.workload.contradictions import (
    check_handshake,
    check_load,
    check_replies,
    check_scenario,
)
from loadgen.workload.headers import make_request, parse_headers
from loadgen.workload.matching import Rule, Verify, parse_pattern
from loadgen.workload.misbehaviour import Behave, Kind, check_behaviours, pick
from loadgen.workload.pacing import Stage, parse_stage
from loadgen.workload.payloads import DEFAULT_SIZE_BYTES, DEFAULT_TEMPLATE, Payloads, read_template
from loadgen.workload.proxy import Proxy
from loadgen.workload.schedule import DEFAULT_DURATION_S, DEFAULT_RATE_PER_CONN, Schedule
from loadgen.workload.shards import ShardOf
from loadgen.workload.sources import Sources
from loadgen.workload.target import DEFAULT_URL, ROOM, Target

#: The groups of the flags in the help.
CONNECT: Final = Parameter(group=Group("Connect", sort_key=1))
LOAD: Final = Parameter(group=Group("Load", sort_key=2))
MESSAGES: Final = Parameter(group=Group("Messages", sort_key=3))
REPLIES: Final = Parameter(group=Group("Replies", sort_key=4))


def digest(named_files: Iterable[tuple[str, bytes]]) -> str:
    """Return a number for the content of files, in hexadecimal: another if one changes."""
    import hashlib  # noqa: PLC0415 - --help needs no OpenSSL

    whole = hashlib.sha256()
    for _, content in named_files:
        whole.update(len(content).to_bytes(8, "big") + content)
    return whole.hexdigest()


@Parameter(name="*")
@dataclass(frozen=True, slots=True)
class Plan(Schedule):
    """A load run.

    :raises ValueError: if the settings contradict each other or the URL is none.
    """

    count: Annotated[int, flags.count("COUNT", at_least=1)]
    """Sockets to open and hold open together."""

    url: Annotated[str, Parameter(name="URL")] = DEFAULT_URL
    """WebSocket URL of the server."""

    _: KW_ONLY

    connect_concurrency: Annotated[
        int, flags.count("--connect-concurrency", at_least=1), CONNECT
    ] = 256
    """Handshakes in flight at once."""

    connect_rate: Annotated[float | None, flags.rate("--connect-rate"), CONNECT] = None
    """Most handshakes to begin per second; by default there is no limit."""

    connect_timeout_s: Annotated[float, flags.duration("--connect-timeout"), CONNECT] = 10.0
    """Longest time for the TCP connect and the handshake of one socket together."""

    duration_s: Annotated[
        float | None, flags.duration("--duration", default_s=DEFAULT_DURATION_S), LOAD
    ] = None
    """Length of the load phase."""

    rate_per_conn: Annotated[
        float | None, flags.rate("--rate-per-conn", default_per_s=DEFAULT_RATE_PER_CONN), LOAD
    ] = None
    """Open loop: messages due on each socket, whether or not replies have come; 0/s sends none."""

    rate: Annotated[float | None, flags.rate("--rate"), LOAD] = None
    """Open loop: messages due on all sockets together."""

    stages: Annotated[
        tuple[Stage, ...], flags.several("--stage", parse_stage, "DURATION:RATE"), LOAD
    ] = ()
    """Open loop: change the total rate linearly to RATE within DURATION, like 30s:5000/s;
    repeatable, and the first begins at 0. The stages together are the load phase."""

    closed_loop: Annotated[bool, Parameter(negative=""), LOAD] = False
    """Send each socket's next message once the last one is answered, instead of on a schedule."""

    think_s: Annotated[float, flags.duration("--think"), LOAD] = 0.0
    """Closed loop: pause between a reply and the next message."""

    messages: Annotated[int | None, flags.count("--messages", at_least=1), LOAD] = None
    """Messages on each socket; the load phase then ends when all are answered."""

    lifetime_s: Annotated[float | None, flags.duration("--lifetime"), LOAD] = None
    """Churn: close each socket at this age, and open a new one."""

    message: Annotated[str, Parameter(metavar="TEMPLATE"), MESSAGES] = DEFAULT_TEMPLATE
    """Template of the messages, in which {conn}, {seq}, {now} (Unix ms), {random} and {room} are
    replaced. Other braces stay as they are; {{ and }} around something become single braces."""

    message_file: Annotated[
        str | None, Parameter(metavar="FILE", name="--message-file"), MESSAGES
    ] = None
    """File whose whole content is the template."""

    binary: Annotated[bool, Parameter(negative=""), MESSAGES] = False
    """Send binary messages."""

    size_bytes: Annotated[int | None, flags.size("--size"), MESSAGES] = None
    """Pad messages to this size. By default only the default message is padded, to 32 bytes."""

    verify: Annotated[str, Parameter(metavar="RULE"), REPLIES] = "suffix"
    """Rule that matches replies to messages: suffix (the message, a space and a number), exact,
    json:PATH or json:PATH=PATH (both are JSON with equal values there), regex:PATTERN (it matches
    the same text in both), turn (the n-th frame answers the n-th message), fan-out (every socket of
    the room gets a copy), off (frames are only counted)."""

    expect: Annotated[
        tuple[str, ...], flags.several("--expect", parse_pattern, "PATTERN"), REPLIES
    ] = ()
    """Message that the server sends on its own after the handshake: json:PATH=VALUE, regex:PATTERN
    or any; repeatable, in order. A socket counts as open when all have come."""

    ignore: Annotated[
        tuple[str, ...], flags.several("--ignore", parse_pattern, "PATTERN"), REPLIES
    ] = ()
    """Frames that are no replies, by the patterns of --expect; they are only counted;
    repeatable."""

    rooms: Annotated[int, flags.count("--rooms", at_least=1), REPLIES] = 1
    """With --verify fan-out: {room} in URL and message is the socket's number modulo this."""

    arrivals: Annotated[Literal["even", "poisson"], LOAD] = "even"
    """Open loop: messages are due at even intervals, or at random ones like those of many
    independent users (exponential, fixed by the seed)."""

    headers: Annotated[
        tuple[tuple[str, str], ...],
        flags.several_of_each("--header", parse_headers, "HEADER"),
        CONNECT,
        flags.MASKED,
    ] = ()
    """Header of each handshake, 'Name: value'; repeatable. @FILE reads headers from a file, one per
    line. The report masks the values of Authorization, Cookie and the like."""

    origin: Annotated[str | None, Parameter(metavar="ORIGIN", name="--origin"), CONNECT] = None
    """Origin header of each handshake, as a browser would send it."""

    subprotocols: Annotated[
        tuple[str, ...], flags.several("--subprotocol", str, "NAME"), CONNECT, flags.MASKED
    ] = ()
    """Subprotocol to offer; repeatable, in order of preference."""

    cacert: Annotated[str | None, Parameter(metavar="FILE", name="--cacert"), CONNECT] = None
    """wss: PEM file with the certificates to trust instead of the system's."""

    insecure: Annotated[bool, Parameter(negative=""), CONNECT] = False
    """wss: accept any certificate."""

    cert: Annotated[str | None, Parameter(metavar="FILE", name="--cert"), CONNECT] = None
    """wss: PEM file with a client certificate, for a server that asks for one."""

    key: Annotated[str | None, Parameter(metavar="FILE", name="--key"), CONNECT] = None
    """wss: PEM file with the unencrypted private key of --cert, if that doesn't contain it."""

    proxy: Annotated[
        str | None, Parameter(metavar="URL", name="--proxy"), CONNECT, flags.MASKED
    ] = None
    """Dial through this proxy, which resolves the target's name itself: http://host:3128 (CONNECT)
    or socks5://host:1080, with user:password@ before the host where it wants them."""

    compression: Annotated[bool, Parameter(negative=""), CONNECT] = False
    """Offer compressed messages (permessage-deflate)."""

    source_ips: Annotated[
        tuple[str, ...], flags.several("--source-ip", str, "ADDRESSES"), CONNECT
    ] = ()
    """Local address to connect from, a range like 127.0.0.2-127.0.0.9 or a CIDR block; repeatable,
    and all are used in turn."""

    behave: Annotated[
        tuple[Behave, ...], flags.several("--behave", Behave.parse, "WHAT"), LOAD
    ] = ()
    """Let a share of the sockets misbehave: slow-reader:1%:1KiB/s, half-open:1%, no-pong:1%,
    mid-frame-drop:1%:1s or reconnect-storm:100%:10s; repeatable. They are reported separately."""

    scenario: Annotated[str | None, Parameter(metavar="FILE", name="--scenario"), LOAD] = None
    """FILE.py or FILE.py:NAME: run your own async function as each of COUNT users. Excludes the
    flags that say what to send and when."""

    arrive: Annotated[float | None, flags.rate("--arrive"), LOAD] = None
    """With a scenario that has no pace of its own: start users at this rate, at most COUNT at once;
    each leaves when its function returns."""

    stop_timeout_s: Annotated[float, flags.duration("--stop-timeout"), LOAD] = 5.0
    """Longest time to await outstanding replies and to close all sockets."""

    seed: Annotated[int, flags.whole("--seed"), MESSAGES] = 0
    """Seed of payloads and schedule; the same seed repeats them exactly."""

    message_content: Annotated[bytes | None, Parameter(parse=False)] = None
    """The content of `message_file` if it is already read, as for a shard on another machine."""

    scenario_files: Annotated[tuple[tuple[str, bytes], ...], Parameter(parse=False)] = ()
    """Names and contents of the scenario's file and those of its rows, once they are read."""

    pace_factor: Annotated[float, Parameter(parse=False)] = 1.0
    """By how much the paces of a scenario are raised: in a search for capacity."""

    shard_of: Annotated[ShardOf | None, Parameter(parse=False)] = None
    """The part of a larger plan that this is."""

    def __post_init__(self) -> None:
        """Check what no single field can."""
        target = self.target
        check_load(self)
        check_scenario(self)
        check_handshake(self, target)
        if self.message_file is not None and self.message != DEFAULT_TEMPLATE:
            raise ValueError("--message and --message-file both say what to send: give one")
        if self.shard_of is None:
            check_behaviours(self.behave, self.count)
        check_replies(self, self.payloads())
        Sources(self.source_ips)

    @property
    def matching(self) -> Verify:
        """The rule by which a reply finds its message."""
        return Verify.parse(self.verify)

    @property
    def dialled(self) -> tuple[str, int]:
        """The host and port that TCP connects to: the target's, or its proxy's."""
        if self.proxy is not None:
            proxy = Proxy.parse(self.proxy)
            return proxy.host, proxy.port
        return self.target.host, self.target.port

    @property
    def target(self) -> Target:
        """The URL of room 0, taken apart."""
        return self.target_of(0)

    def target_of(self, conn: int) -> Target:
        """Take the URL apart to which a socket connects, by the room that it is in."""
        return Target.parse(self.url.replace(ROOM, str(conn % self.rooms)))

    @property
    def has_rooms(self) -> bool:
        """True if messages may go to whole rooms."""
        return self.scenario is not None or self.matching.rule is Rule.FAN_OUT

    @property
    def is_paced_by_scenario(self) -> bool:
        """True if it is the scenario that says how often something falls due."""
        return self.scenario is not None and self.arrive is None

    def payloads(self) -> Payloads:
        """Make the messages of the sockets.

        :raises ValueError: if they can't be sent, or there is no such file.
        """
        template = self.message if self.message_file is None else self._message_content()
        padded = DEFAULT_SIZE_BYTES if template == DEFAULT_TEMPLATE else 0
        size = padded if self.size_bytes is None else self.size_bytes
        sockets = self.count if self.shard_of is None else self.shard_of.sockets
        return Payloads(
            template,
            size_bytes=size,
            seed=self.seed,
            # With churn more are opened; the number is not known before.
            sockets=None if self.lifetime_s is not None or self.storm is not None else sockets,
            binary=self.binary,
            rooms=self.rooms,
        )

    def _message_content(self) -> bytes:
        if self.message_content is not None:
            return self.message_content
        assert self.message_file is not None
        return read_template(self.message_file)

    def request(self, target: Target) -> partial[bytes]:
        """Make a function that makes the handshake's request from a key.

        :raises ValueError: if a header or subprotocol is not what HTTP allows; raised by the
            function.
        """
        return make_request(target, self.headers, self.origin, self.subprotocols, self.extensions)

    @property
    def extensions(self) -> tuple[str, ...]:
        """The extensions that the handshake offers."""
        from echo_trio.wire.deflate import OFFER  # noqa: PLC0415 - --help needs none of the wire

        return (OFFER,) if self.compression else ()

    @property
    def storm(self) -> Behave | None:
        """The behaviour in which sockets reconnect all at once, if the plan has it."""
        return next((each for each in self.behave if each.kind is Kind.RECONNECT_STORM), None)

    def conns(self) -> tuple[Sequence[int], dict[Kind, list[int]]]:
        """List the numbers of the sockets that behave, and of those that misbehave, by kind.

        They are no objects yet where all behave: preflight has not looked at their number.
        """
        sockets = self.count if self.shard_of is None else self.shard_of.sockets
        shards = 1 if self.shard_of is None else self.shard_of.shards
        own = range(self.conn(0), self.conn(self.count), shards)
        if not self.behave:
            return own, {}
        picked = pick(self.behave, sockets, self.seed)
        apart = {kind: sorted(set(own) & set(conns)) for kind, conns in picked.items()}
        others = set().union(*apart.values())
        return [conn for conn in own if conn not in others], apart

    def part(self, sockets: int) -> Plan:
        """Make the plan of a part of the sockets, which takes their share of the total rate."""
        if sockets == self.count:
            return self
        share = sockets / self.count
        return dataclasses.replace(
            self,
            count=max(sockets, 1),
            rate=None if self.rate is None else self.rate * share,
            stages=tuple(Stage(each.duration_s, each.rate_per_s * share) for each in self.stages),
            behave=tuple(each for each in self.behave if each is self.storm),
        )

    def without_churn(self) -> Plan:
        """Make the same plan, without replacing sockets."""
        return dataclasses.replace(self, lifetime_s=None, behave=())

    def conn(self, number: int) -> int:
        """Return the number in the whole plan of socket `number` of this one."""
        return number if self.shard_of is None else self.shard_of.conn(number)

    def has_conn(self, conn: int) -> bool:
        """Tell whether this is the number of a socket of this shard."""
        shard = self.shard_of
        return shard is None or conn % shard.shards == shard.index

    def sources(self) -> Sources:
        """Return the local addresses to connect from; empty if the system chooses."""
        if self.shard_of is None:
            return Sources(self.source_ips)
        return self.shard_of.sources(self.source_ips)

    def shard(self, index: int, shards: int) -> Plan:
        """Cut part `index`, from 0, out of this plan, which is cut into `shards`.

        Sockets are dealt out one by one, and keep their numbers; so do local addresses, where there
        are enough. Run at the same time, the shards together send what this plan would: the same
        messages, at the same moments.

        :raises ValueError: if there are more shards than sockets, or this is a shard already.
        """
        if self.shard_of is not None:
            raise ValueError("a shard can't be cut into shards")
        shard = ShardOf.cut(index, shards, self.count)
        return dataclasses.replace(
            self,
            count=shard.count,
            connect_concurrency=max(1, shard.deal(self.connect_concurrency)),
            connect_rate=self.connect_rate and self.connect_rate * shard.count / self.count,
            message_content=None if self.message_file is None else self._message_content(),
            shard_of=shard,
        )

    def on_machine(self, source_ips: Sequence[str], turn: int, takers: int) -> Plan:
        """Place this shard on a machine with these addresses, which `takers` shards share."""
        assert self.shard_of is not None
        return dataclasses.replace(
            self,
            source_ips=tuple(source_ips),
            shard_of=dataclasses.replace(self.shard_of, turn=turn, takers=takers),
        )

    def settings(self) -> dict[str, Any]:
        """List every setting as run, for the report, with the default where none was given.

        Secrets are masked (see `echo_trio.masks`).
        """
        settings = {
            key: value
            for key, value in dataclasses.asdict(self).items()
            if key not in {"message_content", "pace_factor", "scenario_files", "shard_of"}
        }
        if self.scenario_files:
            # Scripts of one name may differ.
            settings["scenario_sha256"] = digest(self.scenario_files)
        if self.scenario is not None:  # Its code says what is sent, when, and what comes back.
            settings |= {"message": None, "verify": None}
        elif self.is_rate_each_sockets_own and not self.closed_loop and self.rate_per_conn is None:
            settings["rate_per_conn"] = DEFAULT_RATE_PER_CONN
        if self.duration_s is None and math.isfinite(self.load_s):
            settings["duration_s"] = self.load_s
        return settings | {
            "url": self.shown_url,
            "proxy": self.proxy and masks.mask_url(self.proxy),
            "headers": masks.mask_headers(self.headers),
            "subprotocols": masks.mask_subprotocols(self.subprotocols),
        }

    @property
    def shown_url(self) -> str:
        """The URL of the target, as others may read it."""
        return masks.mask_url(self.url)
