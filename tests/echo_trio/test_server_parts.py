"""Check what a server hands on to its parts: its recording, its observer, its URL."""

from __future__ import annotations

import json
import socket
from types import SimpleNamespace
from typing import Any

import pytest
import trio
from structlog.testing import LogCapture

from echo_trio import server as server_module
from echo_trio.server import EchoServer, url_of
from echo_trio.settings import Settings

from .conftest import CLOSE, log_to
from .served import PATIENCE_S


@pytest.mark.parametrize(("tls", "url"), [(True, "wss://a:1/"), (False, "ws://a:1/")])
def test_its_url_says_whether_it_speaks_tls(
    monkeypatch: pytest.MonkeyPatch, tls: bool, url: str
) -> None:
    monkeypatch.setattr(server_module.sockets, "own_authority", lambda listener: f"{listener}:1")
    listeners: Any = ["a", "b"]
    assert url_of(listeners, tls=tls) == url


async def test_who_observes_is_told_beside_a_recording(tmp_path) -> None:
    told = list[Any]()
    observer: Any = SimpleNamespace(accepted=told.append)
    settings = Settings(port=0, console=False, record=tmp_path / "record.ndjson")
    for given, observes in ((observer, ["a peer"]), (None, [])):
        told.clear()
        server = EchoServer.listen(settings, log_to(LogCapture()), given)
        assert server._sessions.observer is not None
        server._sessions.observer.accepted("a peer")
        assert server._recorder is not None
        assert (told, server._recorder._connections) == (observes, 1)
        server._recorder.close()
        server.close()


async def test_a_recording_has_its_name_as_soon_as_the_server_runs_and_all_at_its_end(
    serve, tmp_path
):
    file = tmp_path / "record.ndjson"
    served = await serve(record=file)
    names = [path.name for path in tmp_path.iterdir()]
    assert names == ["record.ndjson"]
    stream = await served.open()
    await served.echo(stream)
    await stream.send_all(CLOSE)
    await served.ended(1)
    served.server.drain()
    with trio.fail_after(PATIENCE_S):
        await served.over.wait()
    kinds = [json.loads(line)["type"] for line in lines_of(file)]
    assert kinds == ["opened", "sent", "received", "closed"]


def lines_of(file):
    return file.read_text().splitlines()


async def test_a_server_that_never_ran_gives_all_of_its_ports_back() -> None:
    server = EchoServer.listen(Settings(port=0, console=False), log_to(LogCapture()))
    server._listeners.append(socket.create_server(("127.0.0.1", 0)))
    server.close()
    server.close()
    assert [listener.fileno() for listener in server._listeners] == [-1, -1]
