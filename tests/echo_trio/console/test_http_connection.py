"""One connection of the console: what it takes is bounded, and every request has one answer."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from echo_trio.console import http_connection
from echo_trio.console.http_connection import (
    BODY_TIMEOUT_S,
    HEAD_TIMEOUT_S,
    IDLE_TIMEOUT_S,
    LINGER_S,
    HttpServer,
    asks_for_health,
    refusal,
    turn_away,
)
from echo_trio.console.http_request import RequestRefused
from echo_trio.console.slots import GRACE_S, Slots, Waiting
from echo_trio.console.turns import Turns

#: A hang guard, by the virtual clock.
HANGS_S = 600.0


class App:
    """An app that answers each request with its body, as often as it has `parts`."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, bytes]] = []
        self.parts = 1
        self.states: list[float] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        message = await receive()
        assert message["type"] == "http.request"
        assert message["more_body"] is False
        self.asked.append((scope["method"], scope["path"], message["body"]))
        self.states.append(scope["state"]["arrived_s"])
        await send({"type": "http.response.start", "status": 200,
                    "headers": [(b"content-type", b"text/plain"), (b"x-a", b"b")]})  # fmt: skip
        body = message["body"] or scope["path"].encode()
        for part in range(self.parts):
            more = part < self.parts - 1
            await send({"type": "http.response.body", "body": body, "more_body": more})


class Client:
    """The other end of a connection that is served."""

    def __init__(self, app: Any = None, slots: Slots | None = None) -> None:
        self.app = app or App()
        self.slots = slots or Slots(4)
        turns = [Turns(1.0, burst_s=1e9, advance_s=0.0) for _ in range(2)]
        self.server = HttpServer(self.app, self.slots, *turns)
        self.ours, self.theirs = socket.socketpair()
        for sock in (self.ours, self.theirs):
            sock.setblocking(False)
        self.said = b""
        self.ended_s: float | None = None
        self.over = trio.Event()

    async def run(self) -> None:
        slot = self.slots.take()
        assert slot is not None
        await self.server.serve(self.theirs, slot)
        self.ended_s = trio.current_time()
        self.over.set()

    async def say(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            try:
                view = view[self.ours.send(view) :]
            except BlockingIOError:
                await trio.lowlevel.wait_writable(self.ours)
        await wait_all_tasks_blocked()

    def hear(self) -> bytes:
        """All that was answered so far."""
        while True:
            try:
                data = self.ours.recv(1 << 16)
            except BlockingIOError:
                break
            if not data:
                break
            self.said += data
        return self.said

    async def end(self) -> float:
        """Wait for the end of the connection; return when it came."""
        with trio.fail_after(HANGS_S):
            await self.over.wait()
        assert self.theirs.fileno() == -1
        assert self.ended_s is not None
        return self.ended_s


@pytest.fixture
async def connect(nursery: trio.Nursery) -> Any:
    made: list[Client] = []

    def start(*what: Any) -> Client:
        made.append(Client(*what))
        nursery.start_soon(made[-1].run)
        return made[-1]

    yield start
    for client in made:
        client.ours.close()


def request(path: str = "/", method: str = "GET", body: bytes = b"", more: str = "") -> bytes:
    length = f"Content-Length: {len(body)}\r\n" if body else ""
    return f"{method} {path} HTTP/1.1\r\nHost: h\r\n{length}{more}\r\n".encode() + body


@pytest.mark.parametrize("at_once", [False, True])
async def test_each_request_has_one_answer_in_order(connect, autojump_clock, at_once: bool) -> None:
    client = connect()
    requests = [
        request("/one"), request("/two", "POST", b"body"), request("/three", "HEAD"),
        request("/four", more="Connection: close\r\n"),
    ]  # fmt: skip
    for data in [b"".join(requests)] if at_once else requests:
        await client.say(data)
    said = client.hear()
    assert client.app.asked == [
        ("GET", "/one", b""), ("POST", "/two", b"body"), ("HEAD", "/three", b""),
        ("GET", "/four", b""),
    ]  # fmt: skip
    heads = said.count(b"HTTP/1.1 200 ")
    assert heads == said.count(b"x-a: b\r\n") == 4
    assert said.lower().count(b"\r\ndate: ") == 4
    assert b"/one" in said
    assert b"body" in said
    assert b"/three" not in said
    client.ours.shutdown(socket.SHUT_WR)
    await client.end()
    assert client.slots.full is False


async def test_a_request_that_comes_byte_by_byte_is_the_same(connect, autojump_clock) -> None:
    client = connect()
    for byte in request("/slow", "PUT", b"abc"):
        await client.say(bytes([byte]))
    assert client.app.asked == [("PUT", "/slow", b"abc")]
    client.ours.close()
    await client.end()


async def test_the_body_may_be_waited_for_with_a_word(connect, autojump_clock) -> None:
    client = connect()
    whole = request("/", "POST", b"abc", "Expect: 100-continue\r\n")
    await client.say(whole[:-3])
    assert client.hear().startswith(b"HTTP/1.1 100 ")
    assert client.app.asked == []
    await client.say(b"abc")
    assert client.app.asked == [("POST", "/", b"abc")]
    client.ours.close()
    await client.end()


@pytest.mark.parametrize(
    ("says", "waits_s", "status"),
    [
        (b"", IDLE_TIMEOUT_S, None),
        (b"GET / HT", HEAD_TIMEOUT_S, 408),
        (request("/", "POST", b"abc")[:-1], BODY_TIMEOUT_S, 408),
    ],
    ids=["nothing", "half a head", "half a body"],
)
async def test_who_does_not_go_on_is_let_go(
    connect, autojump_clock, says: bytes, waits_s: float, status: int | None
) -> None:
    client = connect()
    began_s = trio.current_time()
    await client.say(says)
    with trio.move_on_after(waits_s - 0.01):
        await client.over.wait()
    assert (client.hear(), client.over.is_set()) == (b"", False)
    ended_s = await client.end()
    if status is None:
        assert (client.hear(), ended_s - began_s) == (b"", pytest.approx(waits_s))
    else:
        assert client.hear().startswith(b"HTTP/1.1 %d " % status)
        assert ended_s - began_s == pytest.approx(waits_s + LINGER_S)
    assert client.app.asked == []


@pytest.mark.parametrize(
    ("at_once", "slowly", "timeout_s"),
    [
        (b"", request(), HEAD_TIMEOUT_S),
        (request("/", "POST", b"a" * 50)[:-50], b"a" * 50, BODY_TIMEOUT_S),
    ],
    ids=["head", "body"],
)
async def test_who_goes_on_byte_by_byte_has_no_more_time_for_that(
    connect, autojump_clock, at_once: bytes, slowly: bytes, timeout_s: float
) -> None:
    client = connect()
    began_s = trio.current_time()
    await client.say(at_once)
    for at in range(len(slowly)):
        if client.hear():
            break
        await client.say(slowly[at : at + 1])
        await trio.sleep(timeout_s / 8)
    assert client.hear().startswith(b"HTTP/1.1 408 ")
    assert trio.current_time() - began_s == pytest.approx(timeout_s, abs=timeout_s / 8)
    assert client.app.asked == []


async def test_between_two_requests_there_is_as_much_time_as_before_the_first(
    connect, autojump_clock
) -> None:
    client = connect()
    for _ in range(3):
        await trio.sleep(IDLE_TIMEOUT_S - 0.1)
        await client.say(request())
    began_s = trio.current_time()
    assert await client.end() - began_s == pytest.approx(IDLE_TIMEOUT_S)
    assert len(client.app.asked) == 3
    assert client.app.states == sorted(set(client.app.states))


async def test_after_so_many_requests_a_client_has_to_connect_again(
    connect, autojump_clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_connection, "MAX_REQUESTS", 3)
    client = connect()
    await client.say(request() * 4)
    said = client.hear().lower()
    assert (len(client.app.asked), said.count(b"connection: close")) == (3, 1)
    assert said.rindex(b"http/1.1 200") < said.index(b"connection: close")
    client.ours.close()
    await client.end()


async def test_where_others_wait_for_a_slot_each_answer_is_the_last(
    connect, autojump_clock
) -> None:
    client = connect(None, Slots(1))
    await client.say(request() * 2)
    assert (len(client.app.asked), client.hear().lower().count(b"connection: close")) == (1, 1)
    client.ours.close()
    await client.end()


@pytest.mark.parametrize("after", ["nothing", "a little", "a flood"])
async def test_behind_the_last_answer_what_still_comes_is_read_for_a_while(
    connect, autojump_clock, monkeypatch: pytest.MonkeyPatch, after: str
) -> None:
    monkeypatch.setattr(http_connection, "LINGER_BYTES", 1000)
    client = connect()
    began_s = trio.current_time()
    await client.say(request(more="Connection: close\r\n"))
    if after == "a little":
        await client.say(bytes(999))
    elif after == "a flood":
        await client.say(bytes(1000))
    ended_s = await client.end()
    assert ended_s - began_s == pytest.approx(0 if after == "a flood" else LINGER_S)


async def test_an_answer_may_come_in_parts(connect, autojump_clock) -> None:
    client = connect()
    client.app.parts = 3
    await client.say(request("/x"))
    head, _, body = client.hear().partition(b"\r\n\r\n")
    assert b"transfer-encoding: chunked" in head.lower()
    assert body == b"2\r\n/x\r\n" * 3 + b"0\r\n\r\n"
    client.ours.close()
    await client.end()


@pytest.mark.parametrize("how", ["leaves", "floods"])
async def test_a_client_that_leaves_is_told_to_who_works_for_it(
    connect, autojump_clock, how: str
) -> None:
    told: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        told.append((await receive())["type"])

    client = connect(app)
    await client.say(request())
    assert told == []
    await client.say(bytes(http_connection.MAX_HEAD_BYTES))
    assert told == []
    if how == "leaves":
        client.ours.close()
    else:
        await client.say(b"xx")
    await wait_all_tasks_blocked()
    assert told == ["http.disconnect"]
    await client.end()


async def test_who_reads_slowly_has_all_of_a_long_answer(connect, autojump_clock) -> None:
    """Each piece has its own time, however long all of them take."""
    body = bytes(2**21)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})

    client = connect(app)
    await client.say(request())
    while b"\0" * len(body) not in client.hear() and not client.over.is_set():
        await trio.sleep(http_connection.WRITE_TIMEOUT_S / 2)
    assert b"\0" * len(body) in client.hear()
    assert trio.current_time() > 2 * http_connection.WRITE_TIMEOUT_S
    client.ours.close()


async def test_who_reads_nothing_makes_room_before_those_who_wait_for_their_turn(
    connect, autojump_clock
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": bytes(2**22)})

    slots = Slots(2)
    reads_nothing = connect(app, slots)
    await reads_nothing.say(request())
    waits = connect(None, slots)
    waits.server._turns.charge(1e9 + 100.0)
    await waits.say(request())
    assert [len(slots.waiting[what]) for what in Waiting] == [0, 1, 1, 0]
    await trio.sleep(GRACE_S)
    assert slots.take() is not None
    assert await reads_nothing.end() == trio.current_time()
    assert [len(slots.waiting[what]) for what in Waiting] == [0, 0, 1, 0]
    waits.ours.close()


async def test_a_request_has_arrived_before_it_waits_for_its_turn(connect, autojump_clock) -> None:
    client = connect()
    client.server._turns.charge(1e9 + 5.0)
    arrived_s = trio.current_time()
    await client.say(request())
    assert client.app.asked == []
    await trio.sleep(6.0)
    assert (client.app.asked, client.app.states) == ([("GET", "/", b"")], [arrived_s])
    client.ours.close()
    await client.end()


async def test_who_reads_nothing_is_let_go_and_its_request_with_it(
    connect, autojump_clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    cancelled = list[float]()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        try:
            for _ in range(1000):
                part = {"type": "http.response.body", "body": bytes(2**16), "more_body": True}
                await send(part)
        except trio.Cancelled:
            cancelled.append(trio.current_time())
            raise

    client = connect(app)
    began_s = trio.current_time()
    await client.say(request())
    ended_s = await client.end()
    assert cancelled == [pytest.approx(began_s + http_connection.WRITE_TIMEOUT_S)]
    assert ended_s >= cancelled[0]


@pytest.mark.parametrize(
    ("bytes_", "asks"),
    [
        (b"GET /healthz HTTP/1.1\r\n\r\n", True),
        (b"HEAD /readyz HTTP/1.1\r\nHost: x\r\n\r\n", True),
        (b"GET /healthz HTTP/1.1\r\n", False),
        (b"GET /healthzz HTTP/1.1\r\n\r\n", False),
        (b"POST /healthz HTTP/1.1\r\n\r\n", False),
        (b"GET / HTTP/1.1\r\n\r\nGET /healthz ", False),
        (b"", False),
        (b"GET /healthz " + b"x" * 4096 + b"\r\n\r\n", False),
    ],
)
def test_who_asks_for_health_has_said_so_in_whole(bytes_: bytes, asks: bool) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        theirs.sendall(bytes_)
        assert asks_for_health(ours) is asks
        if bytes_:
            assert ours.recv(10) == bytes_[:10]  # It was looked at, and not taken.


@pytest.mark.parametrize("status", [400, 408, 503])
def test_a_refusal_is_whole_and_says_when_to_come_back(status: int) -> None:
    head, _, body = refusal(RequestRefused(status)).partition(b"\r\n\r\n")
    lines = head.decode().lower().split("\r\n")
    assert lines[0].startswith(f"http/1.1 {status} ")
    assert f"content-length: {len(body)}" in lines
    assert ("retry-after: 1" in lines) is (status == 503)
    assert "connection: close" in lines
    assert "x-content-type-options: nosniff" in lines
    assert json.loads(body)["error"]


def test_who_is_turned_away_reads_that_also_if_it_has_spoken() -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        ours.setblocking(False)
        theirs.sendall(b"GET / HTTP/1.1\r\n\r\n")
        turn_away(ours)
        ours.close()
        theirs.settimeout(60)
        assert theirs.recv(4096).startswith(b"HTTP/1.1 503 ")
        assert theirs.recv(4096) == b""


async def test_who_is_cancelled_in_the_hall_leaves_its_place_there(autojump_clock) -> None:
    client = Client()
    with client.ours, client.theirs:
        for _ in range(2 * http_connection.MAX_IN_HALL):
            with trio.move_on_after(http_connection.GRACE_S / 2) as waiting:
                await client.server._comes_to_ask_for_health(client.theirs)
            # Who finds no room there is not waited for.
            assert waiting.cancelled_caught


async def test_an_answer_that_its_app_leaves_half_way_ends_the_connection_at_once(
    connect, autojump_clock
) -> None:
    async def half(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})

    client = connect(half)
    await client.say(request())
    began_s = trio.current_time()
    assert await client.end() == began_s
    assert b"half" in client.hear()
    assert not client.said.endswith(b"0\r\n\r\n")
