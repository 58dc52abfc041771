"""A server that stops: whom it lets finish, whom it sends away, and what it keeps."""

from __future__ import annotations

import trio
from trio.testing import wait_all_tasks_blocked

from echo_trio import server as server_module
from echo_trio.metrics.counters import Outcome

from .conftest import CLOSE
from .served import PATIENCE_S, message

#: Longer than any test: what ends sooner does so for another cause.
NEVER_S = 3600.0


#: A reply, and the close frame right behind it.
ANSWER = b"\x81\x01m" + b"\x88\x18" + (1001).to_bytes(2, "big") + b"the server is stopping"


async def read_all(stream: trio.SocketStream) -> bytes:
    with trio.fail_after(PATIENCE_S):
        return b"".join([bytes(part) async for part in stream])


async def test_a_handshake_under_way_is_told_so_at_once(serve):
    served = await serve(drain_timeout_s=NEVER_S, open_timeout_s=NEVER_S)
    stream = await served.connect()
    await stream.send_all(b"GET / HTTP/1.1\r\nHost:")
    with trio.fail_after(PATIENCE_S):
        while not served.sessions.openings:
            await trio.sleep(0.002)
    served.server.drain()
    assert (await read_all(stream)).startswith(b"HTTP/1.1 503 ")
    await stream.aclose()
    with trio.fail_after(PATIENCE_S):
        await served.over.wait()
    now = served.server.snapshot()
    assert (now.outcomes, now.refused_reasons) == ({Outcome.REFUSED: 1}, {"draining": 1})


async def test_within_the_grace_each_has_its_next_reply_and_then_its_close(serve):
    served = await serve(
        drain_timeout_s=2 * NEVER_S, drain_grace_s=NEVER_S, close_timeout_s=NEVER_S
    )
    asking, silent = await served.open(), await served.open()
    served.server.drain()
    await wait_all_tasks_blocked()
    await asking.send_all(message(b"m"))
    said = b""
    with trio.fail_after(PATIENCE_S):
        while len(said) < len(ANSWER):
            said += await asking.receive_some()
    assert said == ANSWER
    await asking.send_all(CLOSE)
    await served.ended(1)
    assert not served.over.is_set()
    await silent.send_all(CLOSE)
    assert (await read_all(silent)).startswith(b"\x88")
    with trio.fail_after(PATIENCE_S):
        await served.over.wait()
    now = served.server.snapshot()
    assert (now.outcomes, now.messages_sent) == ({Outcome.CLEAN: 2}, 1)


async def test_a_snapshot_may_repeat_the_traffic_of_one_before_and_counts_the_rest_anew(serve):
    served = await serve()
    stream = await served.open()
    before = served.server.snapshot()
    await served.echo(stream)
    again = served.server.snapshot(before)
    assert (again.messages_received, again.messages_sent) == (0, 0)
    assert (again.bytes_received, again.bytes_sent) == (before.bytes_received, before.bytes_sent)
    now = served.server.snapshot()
    assert (now.messages_received, now.messages_sent, now.bytes_sent) == (
        1,
        1,
        before.bytes_sent + 3,
    )
    other = await served.open()
    assert (served.server.snapshot(before).open, again.open) == (2, 1)
    await stream.aclose()
    await other.aclose()


async def test_who_comes_amid_a_drain_finds_nobody_and_patience_is_for_those_who_are_there(
    serve, monkeypatch
):
    asked = []
    monkeypatch.setattr(server_module, "patience_of", lambda *of: asked.append(of) or NEVER_S)
    served = await serve(drain_timeout_s=NEVER_S, close_timeout_s=NEVER_S)
    first, second, gone = [await served.open() for _ in range(3)]
    await gone.aclose()
    await served.ended(1)
    served.server.drain()
    await wait_all_tasks_blocked()
    assert [listener.fileno() for listener in served.server._listeners] == [-1]
    assert (asked, served.over.is_set()) == ([(NEVER_S, 2)], False)
    for stream in (first, second):
        await stream.send_all(CLOSE)
    with trio.fail_after(PATIENCE_S):
        await served.over.wait()
