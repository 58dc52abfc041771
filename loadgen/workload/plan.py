"""What a run is to do: frozen, validated, the source of the flags."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from functools import partial
from typing import Annotated, Any, Final, Literal

from cyclopts import Group, Parameter

from echo_trio import files, flags, units
from loadgen.workload import secrets
from loadgen.workload.arrivals import OwnArrivals, Poisson
from loadgen.workload.keys import check_key
from loadgen.workload.matching import ANY, Rule, Verify, parse_pattern
from loadgen.workload.misbehaviour import Behave, Kind, check_behaviours, pick
from loadgen.workload.pacing import Pace, Ramps, Share, Stage, Steady
from loadgen.workload.payloads import DEFAULT_SIZE_BYTES, DEFAULT_TEMPLATE, Payloads
from loadgen.workload.sources import Sources
from loadgen.workload.target import DEFAULT_URL, Target

#: Where a flag stands in the help.
CONNECT: Final = Parameter(group=Group("Connect", sort_key=1))
LOAD: Final = Parameter(group=Group("Load", sort_key=2))
MESSAGES: Final = Parameter(group=Group("Messages", sort_key=3))
REPLIES: Final = Parameter(group=Group("Replies", sort_key=4))

DEFAULT_DURATION_S: Final = 10.0
DEFAULT_RATE_PER_CONN: Final = 1.0

#: Several times what any server takes as the head of a request.
MAX_HEADERS_BYTES: Final = 256 * 1024
#: Room for messages that a server is to refuse.
MAX_MESSAGE_FILE_BYTES: Final = 64 * 2**20

#: Stands in a URL for the number of the socket's room.
ROOM: Final = "{room}"

#: What follows it is a file of headers.
HEADERS_OF_FILE: Final = "@"

#: Headers that make the handshake one, and what to use instead where there is something.
_OWN_HEADERS: Final = {
    "connection": "",
    "upgrade": "",
    "sec-websocket-accept": "",
    "sec-websocket-extensions": ": use --compression",
    "sec-websocket-key": "",
    "sec-websocket-protocol": ": use --subprotocol",
    "sec-websocket-version": "",
    "content-length": "",
    "transfer-encoding": "",
}


def parse_stage(text: str) -> Stage:
    """Read a stage like ``30s:5000/s``.

    :raises ValueError: if it is none.
    """
    duration, colon, rate = text.partition(":")
    if not colon:
        raise ValueError(f"{text!r} is not a stage: write it like 30s:5000/s")
    return Stage(units.parse_duration(duration), units.parse_rate(rate))


def parse_headers(text: str) -> list[tuple[str, str]]:
    """Read a header, or those of a file like ``@headers.txt``, one a line.

    What is on a command line is seen by every user of the machine, and kept by the shell.

    :raises ValueError: if something is none, or there is no such file.
    """
    if not text.startswith(HEADERS_OF_FILE):
        return [parse_header(text)]
    path = text.removeprefix(HEADERS_OF_FILE)
    try:
        lines = files.split_lines(files.read_text(path, at_most=MAX_HEADERS_BYTES))
    except OSError as exc:
        raise ValueError(f"can't read --header {text}: {exc.strerror}") from None
    headers = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                headers.append(parse_header(line))
            except ValueError:
                what = f"line {number} is no header like 'Name: value'"
                raise ValueError(f"--header {text}: {what}") from None
    return headers


def parse_header(text: str) -> tuple[str, str]:
    """Read a header like ``Authorization: Bearer x``.

    :raises ValueError: if it is none, or one that the handshake itself has to set.
    """
    name, colon, value = text.partition(":")
    name, value = name.strip(), value.strip()
    if not colon or not name:
        raise ValueError(f"{text!r} is not a header: write it like 'Name: value'")
    return name, value


@dataclass(frozen=True, slots=True)
class ShardOf:
    """Which part of a larger plan a plan is: shard `index`, from 0, of `shards`.

    :ivar sockets: of the whole plan.
    :ivar turn: from 0, of the `takers` that share its local addresses; these are all shards, or
        those on the same machine.
    """

    index: int
    shards: int
    sockets: int
    turn: int
    takers: int


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

    connect_concurrency: Annotated[
        int, flags.count("--connect-concurrency", at_least=1), CONNECT
    ] = 256
    """Handshakes in flight at once."""

    connect_rate: Annotated[float | None, flags.rate("--connect-rate"), CONNECT] = None
    """Handshakes begun a second, at most; unlimited by default."""

    connect_timeout_s: Annotated[float, flags.duration("--connect-timeout"), CONNECT] = 10.0
    """Bound on each socket's TCP connect and handshake together."""

    duration_s: Annotated[
        float | None, flags.duration("--duration", default_s=DEFAULT_DURATION_S), LOAD
    ] = None
    """Length of the load phase."""

    rate_per_conn: Annotated[
        float | None, flags.rate("--rate-per-conn", default_per_s=DEFAULT_RATE_PER_CONN), LOAD
    ] = None
    """Open loop: messages due on each socket, whether or not replies are in; 0/s holds idle."""

    rate: Annotated[float | None, flags.rate("--rate"), LOAD] = None
    """Open loop: messages due on all sockets together."""

    stages: Annotated[
        tuple[Stage, ...], flags.several("--stage", parse_stage, "DURATION:RATE"), LOAD
    ] = ()
    """Open loop: repeatable, 30s:5000/s; the total rate goes there in a straight line, from 0 at
    first. The stages together are the load phase."""

    closed_loop: Annotated[bool, Parameter(negative=""), LOAD] = False
    """Send a socket's next message when its reply is in, rather than when it is due."""

    think_s: Annotated[float, flags.duration("--think"), LOAD] = 0.0
    """Closed loop: pause between a reply and the next message."""

    messages: Annotated[int | None, flags.count("--messages", at_least=1), LOAD] = None
    """Messages for each socket; the load phase then ends when all are answered."""

    lifetime_s: Annotated[float | None, flags.duration("--lifetime"), LOAD] = None
    """Churn: close a socket that is this old, and open a new one."""

    message: Annotated[str, Parameter(metavar="TEMPLATE"), MESSAGES] = DEFAULT_TEMPLATE
    """Template of the messages; knows {conn}, {seq}, {now} (Unix ms), {random} and {room}. Other
    braces are what they are; {{ and }} around something are single braces."""

    message_file: Annotated[
        str | None, Parameter(metavar="FILE", name="--message-file"), MESSAGES
    ] = None
    """A file whose whole content is the template, as it is."""

    binary: Annotated[bool, Parameter(negative=""), MESSAGES] = False
    """Send binary messages."""

    size_bytes: Annotated[int | None, flags.size("--size"), MESSAGES] = None
    """Pad messages to this size; the default message to 32 bytes."""

    verify: Annotated[str, Parameter(metavar="RULE"), REPLIES] = "suffix"
    """How a reply finds its message: suffix (it is the message, a space and a number), exact,
    json:PATH or json:PATH=PATH (both are JSON with equal values there), regex:PATTERN (it finds the
    same in both), turn (the n-th frame answers the n-th message), fan-out (every socket of the room
    gets a copy), off (frames are counted)."""

    expect: Annotated[
        tuple[str, ...], flags.several("--expect", parse_pattern, "PATTERN"), REPLIES
    ] = ()
    """Repeatable: what the server says by itself after the handshake, in this order;
    json:PATH=VALUE, regex:PATTERN or any. A socket is open when all of it is there."""

    ignore: Annotated[
        tuple[str, ...], flags.several("--ignore", parse_pattern, "PATTERN"), REPLIES
    ] = ()
    """Repeatable, same patterns: frames that are no replies; counted."""

    rooms: Annotated[int, flags.count("--rooms", at_least=1), REPLIES] = 1
    """With --verify fan-out: {room} in URL and message is the socket's number modulo this."""

    arrivals: Annotated[Literal["even", "poisson"], LOAD] = "even"
    """Open loop: messages fall due at even distances, or at random ones as of many independent
    users: exponential gaps, fixed by the seed."""

    headers: Annotated[
        tuple[tuple[str, str], ...],
        flags.several_of_each("--header", parse_headers, "HEADER"),
        CONNECT,
    ] = ()
    """Repeatable, 'Name: value': goes with each handshake. @FILE takes them from a file, one a
    line. In the report, values of Authorization, Cookie and the like are masked."""

    origin: Annotated[str | None, Parameter(metavar="ORIGIN", name="--origin"), CONNECT] = None
    """The Origin header, which a browser would send."""

    subprotocols: Annotated[
        tuple[str, ...], flags.several("--subprotocol", str, "NAME"), CONNECT
    ] = ()
    """Repeatable: offered in this order."""

    cacert: Annotated[str | None, Parameter(metavar="FILE", name="--cacert"), CONNECT] = None
    """wss: a PEM file with the certificates to trust, instead of the system's."""

    insecure: Annotated[bool, Parameter(negative=""), CONNECT] = False
    """wss: take any certificate."""

    cert: Annotated[str | None, Parameter(metavar="FILE", name="--cert"), CONNECT] = None
    """wss: a PEM file with our own certificate, for a server that asks who we are."""

    key: Annotated[str | None, Parameter(metavar="FILE", name="--key"), CONNECT] = None
    """wss: a PEM file with its key, unencrypted; by default it is looked for in --cert's file."""

    compression: Annotated[bool, Parameter(negative=""), CONNECT] = False
    """Offer permessage-deflate."""

    source_ips: Annotated[
        tuple[str, ...], flags.several("--source-ip", str, "ADDRESSES"), CONNECT
    ] = ()
    """Repeatable: local address, range 127.0.0.2-127.0.0.9 or CIDR block, used in turn."""

    behave: Annotated[
        tuple[Behave, ...], flags.several("--behave", Behave.parse, "WHAT"), LOAD
    ] = ()
    """Repeatable, slow-reader:1%:1KiB/s, half-open:1%, no-pong:1%, mid-frame-drop:1%:1s or
    reconnect-storm:100%:10s: so many of the sockets misbehave, and are accounted for apart."""

    stop_timeout_s: Annotated[float, flags.duration("--stop-timeout"), LOAD] = 5.0
    """Bound on awaiting replies in flight and closing all sockets."""

    seed: Annotated[int, flags.whole("--seed"), MESSAGES] = 0
    """Makes payloads and schedule repeat exactly."""

    message_content: Annotated[bytes | None, Parameter(parse=False)] = None
    """What `message_file` holds, when that is known already: a shard on another machine."""

    shard_of: Annotated[ShardOf | None, Parameter(parse=False)] = None
    """Which part of a larger plan this is."""

    def __post_init__(self) -> None:
        """Check what no single field can."""
        target = self.target
        self._check_load()
        self._check_handshake(target)
        if self.message_file is not None and self.message != DEFAULT_TEMPLATE:
            raise ValueError("--message and --message-file both say what to send: give one")
        if self.shard_of is None:
            check_behaviours(self.behave, self.count)
        self._check_replies(self.payloads())
        Sources(self.source_ips)

    def _check_load(self) -> None:
        """Is there one answer to when messages are sent, and when the load ends?"""
        rates = {
            "--rate-per-conn": self.rate_per_conn is not None,
            "--rate": self.rate is not None,
            "--stage": bool(self.stages),
            "--closed-loop": self.closed_loop,
        }
        if len(given := [flag for flag, is_given in rates.items() if is_given]) > 1:
            raise ValueError(f"{given[0]} and {given[1]} both say when to send: give one")
        if self.stages:
            for flag, setting in (("--duration", self.duration_s), ("--messages", self.messages)):
                if setting is not None:
                    raise ValueError(f"--stage and {flag} both say when the load ends: give one")
            if not self.load_s:
                raise ValueError("--stage: all stages together take no time")
        if self.messages and self.lifetime_s is not None:
            raise ValueError(
                "--messages counts for each socket, and --lifetime opens more: give one"
            )
        if self.messages and self.storm is not None:
            raise ValueError("--messages is for each socket, and a storm opens more: give one")
        if self.think_s and not self.closed_loop:
            raise ValueError("--think goes with --closed-loop")
        if self.messages and not self.closed_loop and not self.total_rate(self.count):
            flag = "--rate-per-conn" if self.rate is None else "--rate"
            raise ValueError(f"--messages needs a rate: {flag} is 0/s")
        for flag, value in (("--connect-rate", self.connect_rate), ("--lifetime", self.lifetime_s)):
            if value is not None and not value:
                raise ValueError(f"{flag} has to be more than 0")

    def _check_replies(self, payloads: Payloads) -> None:
        """Can replies be told apart, and from what is no reply?"""
        verify = self.matching
        if verify.find_own is not None:
            check_key(verify, self.verify, payloads, payloads.render(0, 0))
        if verify.rule is Rule.FAN_OUT and not {"conn", "seq"} <= payloads.names:
            raise ValueError(
                "--verify fan-out tells copies apart by the message: it needs {conn} and {seq}"
            )
        if ANY in self.ignore and verify.rule is not Rule.OFF:
            raise ValueError("--ignore any leaves no reply: it goes with --verify off")
        if self.behave and verify.rule is Rule.FAN_OUT:
            raise ValueError(
                "--behave: nobody knows what a socket that misbehaves in a room is owed"
            )
        if self.rooms > 1 and verify.rule is not Rule.FAN_OUT:
            raise ValueError("--rooms goes with --verify fan-out")
        if self.rooms > 1 and ROOM not in self.url:
            raise ValueError(f"--rooms: which room a socket is in is said by {ROOM} in the URL")
        if self.target_of(0).authority != self.target_of(1).authority:
            raise ValueError(f"{ROOM} goes into the path or query of the URL: all have one host")
        if self.closed_loop and verify.rule is Rule.FAN_OUT:
            raise ValueError("--closed-loop awaits a reply, and fan-out has copies: give a rate")
        if self.arrivals != "even" and self.closed_loop:
            raise ValueError("--arrivals says when messages fall due: not with --closed-loop")

    def _check_handshake(self, target: Target) -> None:
        for name, _ in self.headers:
            if (instead := _OWN_HEADERS.get(name.lower())) is not None:
                raise ValueError(f"--header can't set {name}, which the handshake does{instead}")
            if name.lower() == "origin" and self.origin is not None:
                raise ValueError("--origin and --header both set Origin: give one")
        if self.key is not None and self.cert is None:
            raise ValueError("--key goes with --cert, whose key it is")
        for flag, given in (
            ("--cacert", self.cacert is not None),
            ("--cert", self.cert is not None),
            ("--insecure", self.insecure),
        ):
            if given and not target.tls:
                raise ValueError(f"{flag} goes with wss://, and {self.url} is not")
        if self.cacert is not None and self.insecure:
            raise ValueError("--cacert says whom to trust, --insecure to trust anyone: give one")
        self.request(target)("")

    @property
    def matching(self) -> Verify:
        """How a reply finds its message."""
        return Verify.parse(self.verify)

    @property
    def target(self) -> Target:
        """Where to connect, taken apart; of room 0."""
        return self.target_of(0)

    def target_of(self, conn: int) -> Target:
        """Where a socket connects, by the room that it is in."""
        return Target.parse(self.url.replace(ROOM, str(conn % self.rooms)))

    @property
    def load_s(self) -> float:
        """How long the load phase is to take; `math.inf` if messages alone bound it."""
        if self.stages:
            return math.fsum(stage.duration_s for stage in self.stages)
        if self.duration_s is None and self.messages is not None:
            return math.inf
        return DEFAULT_DURATION_S if self.duration_s is None else self.duration_s

    def total_rate(self, sockets: int) -> float:
        """Messages a second in the open loop without stages, with so many sockets open."""
        if self.rate is not None:
            return self.rate
        per_conn = DEFAULT_RATE_PER_CONN if self.rate_per_conn is None else self.rate_per_conn
        return sockets * per_conn

    @property
    def is_rate_each_sockets_own(self) -> bool:
        """Does each socket have a rate, rather than all together?"""
        return self.rate is None and not self.stages

    def pace(self, sockets: int) -> Pace:
        """When messages are due in the open loop, with so many sockets open.

        Of a shard: its share of what is due on all shards. Where sockets are missing and each has
        its own rate, what would have been due on those is not due at all.
        """
        shard = self.shard_of
        if shard is None or (self.is_rate_each_sockets_own and sockets != self.count):
            return self._pace(sockets)
        whole = self._pace(shard.sockets)
        return Share(whole, index=shard.index, shards=shard.shards, sockets=shard.sockets)

    def _pace(self, sockets: int) -> Pace:
        at_most = math.inf if self.messages is None else sockets * self.messages
        if self.stages:
            pace: Steady | Ramps = Ramps(self.stages)
        else:
            pace = Steady.lasting(self.total_rate(sockets), self.load_s, at_most)
        if self.arrivals == "poisson" and pace.total:
            return Poisson(pace, self.seed, at_most)
        return pace

    def own_arrivals(self, conns: Sequence[int]) -> OwnArrivals | None:
        """Return when messages are due on each of these sockets, if each has its own arrivals."""
        if self.arrivals == "even" or not self.is_rate_each_sockets_own:
            return None
        rate = DEFAULT_RATE_PER_CONN if self.rate_per_conn is None else self.rate_per_conn
        at_most = math.inf if self.messages is None else self.messages
        return OwnArrivals(conns, rate, self.load_s, self.seed, at_most)

    def payloads(self) -> Payloads:
        """What the sockets send.

        :raises ValueError: if that can't be sent, or there is no such file.
        """
        template = self.message if self.message_file is None else self._message_content()
        padded = DEFAULT_SIZE_BYTES if template == DEFAULT_TEMPLATE else 0
        size = padded if self.size_bytes is None else self.size_bytes
        sockets = self.count if self.shard_of is None else self.shard_of.sockets
        return Payloads(
            template,
            size_bytes=size,
            seed=self.seed,
            # With churn more come to be, nobody knows how many.
            sockets=None if self.lifetime_s is not None or self.storm is not None else sockets,
            binary=self.binary,
            rooms=self.rooms,
        )

    def _message_content(self) -> bytes:
        if self.message_content is not None:
            return self.message_content
        assert self.message_file is not None
        try:
            return files.read(self.message_file, at_most=MAX_MESSAGE_FILE_BYTES)
        except OSError as exc:
            what = f"can't read --message-file {self.message_file}"
            raise ValueError(f"{what}: {exc.strerror}") from None

    def request(self, target: Target) -> partial[bytes]:
        """What makes the handshake's request from a key.

        :raises ValueError: if a header or subprotocol is not what HTTP allows.
        """
        authority, headers = target.authority, []
        for name, value in self.headers:
            if name.lower() == "host":
                authority = value
            else:
                headers.append((name, value))
        if self.origin is not None:
            headers.append(("Origin", self.origin))
        return partial(
            _request_bytes,
            target.resource,
            authority,
            tuple(headers),
            self.subprotocols,
            self.extensions,
        )

    @property
    def extensions(self) -> tuple[str, ...]:
        """What the handshake offers."""
        from echo_trio.wire.deflate import OFFER  # noqa: PLC0415 - --help needs none of the wire

        return (OFFER,) if self.compression else ()

    @property
    def storm(self) -> Behave | None:
        """What has sockets reconnect all at once, if anything does."""
        return next((each for each in self.behave if each.kind is Kind.RECONNECT_STORM), None)

    def conns(self) -> tuple[list[int], dict[Kind, list[int]]]:
        """The numbers of the sockets that behave, and of those that don't, by how."""
        sockets = self.count if self.shard_of is None else self.shard_of.sockets
        own = [self.conn(number) for number in range(self.count)]
        if not self.behave:
            return own, {}
        picked = pick(self.behave, sockets, self.seed)
        apart = {kind: sorted(set(own) & set(conns)) for kind, conns in picked.items()}
        others = set().union(*apart.values())
        return [conn for conn in own if conn not in others], apart

    def part(self, sockets: int) -> Plan:
        """The load of so many of the sockets, which takes their share of the total rate."""
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
        """The same, without replacing sockets."""
        return dataclasses.replace(self, lifetime_s=None, behave=())

    def conn(self, number: int) -> int:
        """The number in the whole plan of socket `number` of this one."""
        shard = self.shard_of
        return number if shard is None else shard.index + shard.shards * number

    def sources(self) -> Sources:
        """The local addresses to connect from; empty if the system is to choose."""
        sources, shard = Sources(self.source_ips), self.shard_of
        if shard is None or len(sources) < shard.takers:
            return sources
        return Sources(self.source_ips, start=shard.turn, step=shard.takers)

    def shard(self, index: int, shards: int) -> Plan:
        """Part `index`, from 0, of this plan cut into `shards`.

        Sockets are dealt out one by one, and keep their numbers; so do local addresses, where
        there are enough of them. Run at the same time, the shards together send what this plan
        would: the same messages, at the same moments.

        :raises ValueError: if there are more shards than sockets, or this is a shard already.
        """
        if self.shard_of is not None:
            raise ValueError("a shard can't be cut into shards")
        if not 0 <= index < shards <= self.count:
            raise ValueError(f"{self.count} sockets can't be cut into {shards} shards")
        own = len(range(index, self.count, shards))
        return dataclasses.replace(
            self,
            count=own,
            connect_concurrency=max(1, len(range(index, self.connect_concurrency, shards))),
            connect_rate=self.connect_rate and self.connect_rate * own / self.count,
            message_content=None if self.message_file is None else self._message_content(),
            shard_of=ShardOf(index, shards, self.count, turn=index, takers=shards),
        )

    def on_machine(self, source_ips: Sequence[str], turn: int, takers: int) -> Plan:
        """This shard where it runs: these are the machine's addresses, and so many share them."""
        assert self.shard_of is not None
        return dataclasses.replace(
            self,
            source_ips=tuple(source_ips),
            shard_of=dataclasses.replace(self.shard_of, turn=turn, takers=takers),
        )

    def settings(self) -> dict[str, Any]:
        """Every setting as run, for the report: with what holds where nothing was said.

        Without secrets (see `masking`).
        """
        settings = {
            key: value
            for key, value in dataclasses.asdict(self).items()
            if key not in {"message_content", "shard_of"}
        }
        if self.is_rate_each_sockets_own and not self.closed_loop and self.rate_per_conn is None:
            settings["rate_per_conn"] = DEFAULT_RATE_PER_CONN
        if self.duration_s is None and math.isfinite(self.load_s):
            settings["duration_s"] = self.load_s
        return settings | {
            "url": self.shown_url,
            "headers": secrets.mask_headers(self.headers),
            "subprotocols": secrets.mask_subprotocols(self.subprotocols),
        }

    @property
    def shown_url(self) -> str:
        """Where the sockets connect, as others may read it."""
        return secrets.mask_url(self.url)


def _request_bytes(
    resource: str,
    authority: str,
    headers: tuple[tuple[str, str], ...],
    subprotocols: tuple[str, ...],
    extensions: tuple[str, ...],
    key: str,
) -> bytes:
    from echo_trio.wire.handshake import request_bytes  # noqa: PLC0415 - as in `extensions`

    return request_bytes(resource, authority, key, headers, subprotocols, extensions)
