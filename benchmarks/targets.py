"""What the wire has to reach, and how far the newest results are from it. Pure.

The thresholds are those of the issues that asked for the wire and for speed; ratios are of medians
of one run.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from generator_catalogue import CLOSED_LOOP, K6, LOCUST, OPEN_LOOP, OUR_SCENARIO
from generator_catalogue import OURS as LOADGEN
from server_catalogue import OURS as ECHO_TRIO

MANY, SOME, FEW, FEWEST = 10_000, 1_000, 100, 10
SMALL_BYTES, LARGE_BYTES, HUGE_BYTES = 16, 64 * 1024, 1024 * 1024
# The generator's target is stated for a machine on which Node's ws echoes at this cost.
NODE_WS_REFERENCE_US = 18.5


class NotMeasured(Exception):
    """A figure that a target needs is not in the results; the message says which."""


@dataclass(frozen=True)
class Figures:
    """The medians of a server run and of a generator run, looked up by what they measure.

    :ivar processors: the kind of processor of each run.
    """

    rows: Sequence[Mapping[str, object]]
    processors: Sequence[str]

    def row(self, **identity: object) -> Mapping[str, object]:
        for row in self.rows:
            if all(row.get(key) == value for key, value in identity.items()):
                return row
        raise NotMeasured(", ".join(str(value) for value in identity.values()))

    def value(self, key: str, **identity: object) -> float:
        value = self.row(**identity).get(key)
        if not isinstance(value, int | float):
            raise NotMeasured(f"{key} of {', '.join(str(part) for part in identity.values())}")
        return float(value)

    def echo(
        self,
        peer: str,
        *,
        sockets: int = MANY,
        size_bytes: int = SMALL_BYTES,
        kind: str = "text",
        key: str = "cpu_us_per_message",
    ) -> float:
        return self.value(
            key, figure="exchange", peer=peer, sockets=sockets, size_bytes=size_bytes, kind=kind
        )

    def connection(self, peer: str, key: str, sockets: int = MANY) -> float:
        return self.value(key, figure="connections", peer=peer, sockets=sockets)

    def generator(self, peer: str, key: str, load: str = OPEN_LOOP, sockets: int = MANY) -> float:
        return self.value(key, figure="generator", peer=peer, sockets=sockets, load=load)


@dataclass(frozen=True)
class Target:
    figure: str
    at_most: float
    moonshot: float
    unit: str
    measured: Callable[[Figures], float]


@dataclass(frozen=True)
class Standing:
    target: Target
    value: float | None
    verdict: str
    """`moonshot`, `reached`, `missed`, or `not measured: …`"""


def standings(figures: Figures) -> list[Standing]:
    return [standing(target, figures) for target in TARGETS]


def standing(target: Target, figures: Figures) -> Standing:
    try:
        value = target.measured(figures)
    except NotMeasured as what:
        return Standing(target, None, f"not measured: {what}")
    if value <= target.moonshot:
        return Standing(target, value, "moonshot")
    return Standing(target, value, "reached" if value <= target.at_most else "missed")


def _over(peer: str, sockets: int = MANY) -> Callable[[Figures], float]:
    return lambda figures: (
        figures.echo(ECHO_TRIO, sockets=sockets) / figures.echo(peer, sockets=sockets)
    )


def _per_byte_over_websockets(
    sockets: int, size_bytes: int, kind: str
) -> Callable[[Figures], float]:
    def ratio(figures: Figures) -> float:
        ours, theirs = (
            figures.echo(
                peer, sockets=sockets, size_bytes=size_bytes, kind=kind, key="cpu_ns_per_byte"
            )
            for peer in (ECHO_TRIO, "websockets-asyncio")
        )
        return ours / theirs

    return ratio


def _growth(figures: Figures) -> float:
    return figures.echo(ECHO_TRIO) / figures.echo(ECHO_TRIO, sockets=FEW)


def _handshake_over_node(figures: Figures) -> float:
    key = "cpu_us_per_handshake"
    return figures.connection(ECHO_TRIO, key) / figures.connection("node-ws", key)


def _generator_cpu(figures: Figures) -> float:
    if len(set(figures.processors)) > 1:
        raise NotMeasured("Node and the generator were measured on different processors")
    scale = NODE_WS_REFERENCE_US / figures.echo("node-ws")
    return figures.generator(LOADGEN, "cpu_us_per_message") * scale


def _message_over_k6(sockets: int) -> Callable[[Figures], float]:
    """Compare what a message of the open loop costs with k6."""

    def ratio(figures: Figures) -> float:
        ours, theirs = (
            figures.generator(peer, "cpu_us_per_message", sockets=sockets) for peer in (LOADGEN, K6)
        )
        return ours / theirs

    return ratio


def _request_over(peer: str) -> Callable[[Figures], float]:
    """What a request of a scenario costs beside a message of another generator."""

    def ratio(figures: Figures) -> float:
        ours, theirs = (
            figures.generator(each, "cpu_us_per_message", CLOSED_LOOP, SOME)
            for each in (OUR_SCENARIO, peer)
        )
        return ours / theirs

    return ratio


def _user_beyond_socket(figures: Figures) -> float:
    user, socket = (
        figures.generator(each, "kb_per_socket", CLOSED_LOOP) for each in (OUR_SCENARIO, LOADGEN)
    )
    return user - socket


def _opened_against_ours(figures: Figures) -> float:
    row = {"figure": "against ours", "peer": LOADGEN, "sockets": MANY}
    if figures.value("opened", **row) < MANY:
        raise NotMeasured("not all sockets opened")
    # The onlooker's clock starts with the process, so imports and preflight are inside.
    return max(
        figures.value("accepted_after_start_s", **row), figures.value("all_open_after_s", **row)
    )


def _interrupt(figures: Figures) -> float:
    if figures.generator(LOADGEN, "interrupt_closed_clean") < MANY:
        return float("inf")  # fast but unclean is a miss
    return figures.generator(LOADGEN, "interrupt_last_close_s")


def _drain(figures: Figures) -> float:
    row = {"figure": "drain", "peer": ECHO_TRIO, "sockets": MANY}
    if figures.value("got_1001", **row) < MANY:
        return float("inf")
    return figures.value("process_gone_s", **row)


TARGETS = (
    Target(
        "server CPU per message ÷ stock trio-websocket", 0.07, 0.05, "", _over("trio-websocket")
    ),
    Target("÷ websockets on asyncio", 0.33, 0.25, "", _over("websockets-asyncio")),
    Target("÷ aiohttp", 0.38, 0.3, "", _over("aiohttp")),
    Target("÷ Node ws", 1.15, 1.0, "", _over("node-ws")),
    Target("÷ picows (Cython)", 1.1, 1.0, "", _over("picows")),
    Target("÷ picows (Cython), 100 sockets", 1.1, 1.0, "", _over("picows", FEW)),
    Target("CPU per message at 10,000 ÷ at 100", 1.3, 1.15, "", _growth),
    Target(
        "server memory per idle connection",
        3,
        2.5,
        "KB",
        lambda figures: figures.connection(ECHO_TRIO, "idle_kb_per_connection"),
    ),
    Target("server CPU per handshake ÷ Node ws", 1.5, 1.0, "", _handshake_over_node),
    Target(
        "server CPU per handshake",
        60,
        50,
        "µs",
        lambda figures: figures.connection(ECHO_TRIO, "cpu_us_per_handshake"),
    ),
    *(
        Target(
            f"CPU per byte ÷ websockets on asyncio: {shown}, {kind}",
            0.7,
            0.5,
            "",
            _per_byte_over_websockets(sockets, size_bytes, kind),
        )
        for shown, size_bytes, sockets in (
            ("64 KiB", LARGE_BYTES, FEW),
            ("1 MiB", HUGE_BYTES, FEWEST),
        )
        for kind in ("text", "binary")
    ),
    Target(
        "generator CPU per verified message, scaled to Node ws = 18.5 µs",
        35,
        25,
        "µs",
        _generator_cpu,
    ),
    Target(
        "generator memory per socket",
        3.5,
        2.5,
        "KB",
        lambda figures: figures.generator(LOADGEN, "kb_per_socket"),
    ),
    Target(
        "generator CPU per opened socket",
        60,
        50,
        "µs",
        lambda figures: figures.generator(LOADGEN, "cpu_us_per_opened_socket"),
    ),
    *(
        Target(
            f"generator CPU per message ÷ k6 v2, 1/s a socket, {sockets:,} sockets",
            1.0,
            0.75,
            "",
            _message_over_k6(sockets),
        )
        for sockets in (FEW, SOME, MANY)
    ),
    Target(
        "scenario: CPU of a request ÷ a message without code, closed loop, 1,000 sockets",
        1.5,
        1.25,
        "",
        _request_over(LOADGEN),
    ),
    Target("÷ k6 v2, the same scenario", 1.0, 0.75, "", _request_over(K6)),
    Target("÷ Locust, the same scenario", 0.5, 0.33, "", _request_over(LOCUST)),
    Target("scenario: memory of a user beyond a socket", 8, 4, "KB", _user_beyond_socket),
    Target("generator: 10,000 open against our server", 5, 3.5, "s", _opened_against_ours),
    Target("Ctrl-C at 10,000: last socket closed clean", 2, 1, "s", _interrupt),
    Target("SIGTERM at 10,000: server gone, all got 1001", 2, 1, "s", _drain),
)
