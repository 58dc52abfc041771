"""Watch what a server's other clients notice: a crowd of probes, newcomers, and health checks.

All of them keep to a schedule and count from when something was due: a server that is away for a
second costs everything that fell due in that second, and not one message alone.
"""

from __future__ import annotations

import http.client
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from math import ceil, inf

from .attack import PONG, SWITCHED, TEXT, frame, upgrade

COUNT = 20
INTERVAL_S = 0.2
#: How long a newcomer or a health check waits before it says that there was no answer.
GIVE_UP_S = 10.0

PING = 9


@dataclass(frozen=True, slots=True)
class Window:
    """What was due between two moments.

    :ivar latencies_ms: in ascending order; of what is unanswered, how long it has been so.
    :ivar failures: why something was not answered as it should be.
    """

    latencies_ms: list[float]
    failures: list[str]

    def percentile(self, share: float) -> float:
        """The latency in ms that this share does not exceed."""
        if not self.latencies_ms:
            return inf
        return self.latencies_ms[ceil(share * len(self.latencies_ms)) - 1]

    @property
    def p50(self) -> float:
        return self.percentile(0.50)

    @property
    def p99(self) -> float:
        return self.percentile(0.99)

    @property
    def longest(self) -> float:
        return self.percentile(1.0)


@dataclass
class Record:
    """What was due when, and when it was answered. One thread writes, others may read."""

    answered: list[tuple[float, float]] = field(default_factory=list)
    failures: list[tuple[float, str]] = field(default_factory=list)
    outstanding: Callable[[], list[float]] = list

    def window(self, begin_s: float, end_s: float = inf) -> Window:
        """What was due between two moments of the monotonic clock."""
        return Window(
            sorted(1000 * latency for due_s, latency in self._known() if begin_s <= due_s < end_s),
            [why for due_s, why in self.failures if begin_s <= due_s < end_s],
        )

    def late(self, begin_s: float, end_s: float, until_s: float) -> int:
        """How many that were due between two moments were not answered until a third."""
        found = [due_s + latency for due_s, latency in self._known() if begin_s <= due_s < end_s]
        return sum(answered_s > until_s for answered_s in found)

    def _known(self) -> list[tuple[float, float]]:
        now_s = time.monotonic()
        return self.answered + [(due_s, now_s - due_s) for due_s in self.outstanding()]


class Probe:
    """One well-behaved client: sends on its schedule, checks each reply."""

    def __init__(self, address: tuple[str, int], number: int) -> None:
        self.sock = socket.create_connection(address, GIVE_UP_S)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.sendall(upgrade())
        head = b""
        while b"\r\n\r\n" not in head:
            more = self.sock.recv(4096)
            assert more, f"a probe was refused: {head!r}"
            head += more
        assert head.startswith(SWITCHED), head
        self.sock.setblocking(False)
        self.unanswered: deque[tuple[float, bytes]] = deque()
        self._number = number
        self._sent = 0
        self._unread = b""

    def send(self, due_s: float) -> None:
        message = b"probe-%d-%d" % (self._number, self._sent)
        self._sent += 1
        self.unanswered.append((due_s, message))
        # 5 messages a second find room in the kernel's buffer for hours.
        self.sock.sendall(frame(TEXT, message))

    def read(self) -> list[float]:
        """Take replies; returns when each of them was due.

        :raises ConnectionError: if the server has ended this connection, or replied wrongly.
        """
        data = self.sock.recv(65536)
        if not data:
            raise ConnectionError("a probe's connection was ended")
        self._unread += data
        answered = []
        while len(self._unread) >= 2 and len(self._unread) >= 2 + self._unread[1]:
            opcode, size = self._unread[0] & 0x0F, self._unread[1]
            payload, self._unread = self._unread[2 : 2 + size], self._unread[2 + size :]
            if opcode == PING:
                self.sock.sendall(frame(PONG, payload))
                continue
            due_s, message = self.unanswered.popleft() if self.unanswered else (0.0, b"")
            if opcode != TEXT or not payload.startswith(message + b" "):
                raise ConnectionError(f"the reply to {message!r} was {opcode} {payload!r}")
            answered.append(due_s)
        return answered


class Probes:
    """The crowd, in a thread of its own.

    :ivar record: of their messages.
    """

    def __init__(self, address: tuple[str, int]) -> None:
        self.record = Record(outstanding=self._outstanding)
        self._selector = selectors.DefaultSelector()
        self._probes = [Probe(address, number) for number in range(COUNT)]
        for probe in self._probes:
            self._selector.register(probe.sock, selectors.EVENT_READ, probe)
        self._over = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the crowd without a goodbye."""
        self._over = True
        self._thread.join()
        for probe in self._probes:
            probe.sock.close()

    def _outstanding(self) -> list[float]:
        return [due_s for probe in self._probes for due_s, _ in list(probe.unanswered)]

    def _run(self) -> None:
        # Evenly spread: one of the crowd is due every 10 ms.
        schedule = deque(
            (time.monotonic() + INTERVAL_S * index / COUNT, probe)
            for index, probe in enumerate(self._probes)
        )
        while not self._over:
            due_s, probe = schedule[0]
            for key, _ in self._selector.select(max(0.0, due_s - time.monotonic())):
                self._try(key.data, self._read)
            while (due_s := schedule[0][0]) <= time.monotonic():
                _, probe = schedule.popleft()
                schedule.append((due_s + INTERVAL_S, probe))
                self._try(probe, lambda probe, due_s=due_s: probe.send(due_s))

    def _read(self, probe: Probe) -> None:
        for due_s in probe.read():
            self.record.answered.append((due_s, time.monotonic() - due_s))

    def _try(self, probe: Probe, do: Callable[[Probe], None]) -> None:
        try:
            do(probe)
        except OSError as exc:
            if probe.sock in self._selector.get_map():
                self._selector.unregister(probe.sock)
                self.record.failures.append((time.monotonic(), str(exc)))


class Repeated:
    """Something done again and again, on a schedule, in a thread of its own.

    :ivar record: of it; what raised is a failure.
    """

    def __init__(self, do: Callable[[], None], interval_s: float = INTERVAL_S) -> None:
        self.record = Record(outstanding=lambda: list(self._doing))
        self._do = do
        self._interval_s = interval_s
        self._doing: list[float] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Let what is being done come to its end, and do it no more."""
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        due_s = time.monotonic()
        while not self._over.wait(max(0.0, due_s - time.monotonic())):
            self._doing = [due_s]
            try:
                self._do()
            except (OSError, http.client.HTTPException, AssertionError) as exc:
                self.record.failures.append((due_s, f"{type(exc).__name__}: {exc}"[:200]))
            self.record.answered.append((due_s, time.monotonic() - due_s))
            self._doing = []
            # What fell due meanwhile is not made up for: one at a time.
            due_s = max(due_s + self._interval_s, time.monotonic())


def check_health(console: tuple[str, int]) -> None:
    """Ask for /healthz on a new connection."""
    connection = http.client.HTTPConnection(*console, timeout=GIVE_UP_S)
    try:
        connection.request("GET", "/healthz")
        response = connection.getresponse()
        assert response.status == 200, f"status {response.status}"
        assert response.read() == b"alive\n"
    finally:
        connection.close()


def place_order(console: tuple[str, int]) -> None:
    """Ask for a run that names no count: that starts nothing, and is told so, or to come again."""
    connection = http.client.HTTPConnection(*console, timeout=GIVE_UP_S)
    try:
        connection.request("POST", "/api/runs", b"{}", {"Content-Type": "application/json"})
        response = connection.getresponse()
        assert response.status in {422, 503}, f"status {response.status}"
        response.read()
    finally:
        connection.close()


def come_and_go(echo: tuple[str, int]) -> None:
    """Connect, shake hands, have one message echoed, and leave."""
    with socket.create_connection(echo, GIVE_UP_S) as sock:
        sock.sendall(upgrade() + frame(TEXT, b"I am new"))
        received = b""
        while b"I am new " not in received:
            more = sock.recv(4096)
            assert more, f"a newcomer was refused: {received[:100]!r}"
            received += more
