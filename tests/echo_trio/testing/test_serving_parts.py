"""What a server inside another program is made of: its upstream, its console, and their ends."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from websockets.trio.client import connect

from echo_trio import Settings, serving, serving_in_thread
from echo_trio.server import EchoServer
from echo_trio.service import CannotStart

from ..conftest import handshake

#: A hang guard, nothing else.
PATIENCE_S = 60.0


class FakeConsole:
    """A console that notes what it was given, and how long it ran."""

    made: list[FakeConsole]

    def __init__(self, *args: Any, **more: Any) -> None:
        self.args, self.more = args, more
        self.told: list[str] = []
        self.made.append(self)

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        self.told.append("run")
        task_status.started()
        try:
            await trio.sleep_forever()
        finally:
            self.told.append("over")

    def drain(self) -> None:
        self.told.append("drain")


@pytest.fixture
def servers(monkeypatch: pytest.MonkeyPatch) -> list[EchoServer]:
    """The servers that were made."""
    made: list[EchoServer] = []
    listen = EchoServer.listen

    def note(*args: Any) -> EchoServer:
        made.append(listen(*args))
        return made[-1]

    monkeypatch.setattr(EchoServer, "listen", note)
    return made


@pytest.fixture
def consoles(monkeypatch: pytest.MonkeyPatch) -> list[FakeConsole]:
    """The consoles that were made."""
    FakeConsole.made = []
    monkeypatch.setattr("echo_trio.console.serve.Console", FakeConsole)
    return FakeConsole.made


@pytest.mark.parametrize("upstream", [None, "ws://127.0.0.1:1/"])
async def test_a_console_is_the_servers_and_ends_with_it(
    servers: list[EchoServer], consoles: list[FakeConsole], upstream: str | None
) -> None:
    settings = Settings(port=0, console_port=0, console=False)
    async with serving(settings, upstream=upstream, console=True) as running:
        (console,), (server,) = consoles, servers
        given, listeners = console.args
        assert (given.console, given.upstream) == (True, upstream)
        more = dict(console.more)
        faults = more.pop("faults")
        assert more.pop("log") is server._log
        assert more == {"url": running.url, "snapshot": server.snapshot, "budget": server.budget}
        assert running.console_url == f"http://127.0.0.1:{listeners[0].getsockname()[1]}/"
        if upstream is None:
            assert faults is None
        else:
            faults.set("~delay/1s")
            assert (faults.get(), server.faults) == ("~delay/1s", "~delay/1s")
        assert console.told == ["run"]
    assert console.told == ["run", "drain", "over"]
    for listener in listeners:
        listener.close()


async def test_a_console_that_cannot_be_leaves_no_server_behind(servers: list[EchoServer]) -> None:
    settings = Settings(port=0, console_port=0, console_host="0.0.0.0")
    with pytest.raises(CannotStart, match="needs a token"):
        async with serving(settings, console=True):
            pytest.fail("it serves")
    assert [listener.fileno() for listener in servers[0]._listeners] == [-1]


async def test_a_server_with_an_upstream_stands_before_that() -> None:
    with trio.fail_after(PATIENCE_S):
        async with (
            serving(Settings(port=0, seed=1)) as behind,
            serving(upstream=behind.url) as proxy,
            connect(proxy.path("/?x=1")) as client,
        ):
            await client.send("hello")
            assert await client.recv() == "hello 566561"
            (connection,) = behind.connections
            assert (connection.path, connection.messages_in) == ("/", 1)
            proxy.faults("~duplicate/1")
            await client.send("again")
            replies = {await client.recv(), await client.recv()}
            assert {reply.split()[0] for reply in replies} == {"again"}
        with pytest.raises(ValueError, match="is no proxy"):
            behind.faults("~drop/1")


class OddError(Exception):
    pass


async def test_what_the_body_raises_drops_clients_at_once_without_a_close_frame() -> None:
    streams: list[trio.SocketStream] = []

    async def fail() -> None:
        async with serving() as server:
            port = int(server.url.rpartition(":")[2].rstrip("/"))
            streams.append(await trio.open_tcp_stream("127.0.0.1", port))
            await streams[0].send_all(handshake())
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += await streams[0].receive_some()
            raise OddError

    with trio.fail_after(PATIENCE_S):
        with pytest.raises(OddError):
            await fail()
        assert await streams[0].receive_some() == b""
    await streams[0].aclose()


def test_a_server_that_fails_meanwhile_is_told_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(server: EchoServer, *, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        server.close()
        raise OddError

    monkeypatch.setattr(EchoServer, "run", fail)
    with pytest.raises(BaseException) as told, serving_in_thread():  # noqa: PT011
        pass
    assert isinstance(told.value, OddError) or "OddError" in repr(told.value)
