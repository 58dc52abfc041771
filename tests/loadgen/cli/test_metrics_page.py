"""The page of a run's figures is served as HTTP asks for, and to nobody for ever."""

import socket

import pytest
import trio
import trio.testing

from loadgen.cli import metrics_page as page_module
from loadgen.cli.metrics_page import IDLE_S, MAX_CONNECTIONS, BadAddress, MetricsPage, _parse

BODY = b"loadgen_sent_total 7\n"


@pytest.fixture
def page(monkeypatch):
    def exposition(run, name):
        assert (run, name) == ("the run", "the name")
        return BODY

    monkeypatch.setattr(page_module.prometheus, "exposition", exposition)
    with MetricsPage("0", "the name") as made:
        yield made


async def answers(page, *requests):
    """Send requests on one connection; return all that it answers until it ends."""
    ours, theirs = trio.testing.memory_stream_pair()
    said = b""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(page._answer, theirs, "the run")
        for request in requests:
            await ours.send_all(request)
        await ours.send_eof()
        async for part in ours:
            said += part
    return said


def get(target="/metrics", method="GET", more=""):
    return f"{method} {target} HTTP/1.1\r\nHost: x\r\n{more}\r\n".encode()


@pytest.mark.parametrize(
    ("request_", "status", "body"),
    [
        (get(), 200, BODY),
        (get("/"), 200, BODY),
        (get("/metrics?a=b"), 200, BODY),
        (get(method="HEAD"), 200, b""),
        (get("/metric"), 404, b"the page is /metrics\n"),
        (get(method="POST", more="Content-Length: 3\r\n") + b"abc", 405, b"GET /metrics\n"),
        (get("/nowhere", method="DELETE"), 405, b"GET /metrics\n"),
    ],
)
async def test_one_page_is_there_and_nothing_else(page, request_, status, body):
    head, _, came = (await answers(page, request_)).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert came == body
    headers = head.decode().lower().splitlines()
    assert f"content-length: {len(body or BODY)}" in headers
    kind = page_module.prometheus.CONTENT_TYPE if status == 200 else "text/plain"
    assert f"content-type: {kind}".lower() in headers


async def test_a_connection_has_as_many_answers_as_it_asks_for(page):
    said = await answers(page, get() + get("/"), get())
    assert said.count(b"HTTP/1.1 200 ") == said.count(BODY) == 3
    said = await answers(page, get(more="Connection: close\r\n") + get())
    assert said.count(BODY) == 1


@pytest.mark.parametrize("nonsense", [b"", b"\x16\x03\x01\x00\r\n\r\n", b"GET / HTTP/1.1\r\n"])
async def test_what_is_no_request_has_no_answer(page, nonsense):
    assert await answers(page, nonsense) == b""


async def test_who_asks_for_nothing_is_let_go_and_who_asks_again_has_its_time_again(
    page, autojump_clock
):
    ours, theirs = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(page._answer, theirs, "the run")
        await trio.sleep(IDLE_S - 1)
        await ours.send_all(get())
        assert (await ours.receive_some()).endswith(BODY)
        began_s = trio.current_time()
        assert await ours.receive_some() == b""
        assert trio.current_time() - began_s == pytest.approx(IDLE_S)
    assert page._limiter.borrowed_tokens == 0


async def test_who_takes_no_answer_is_let_go(page, autojump_clock):
    ours, theirs = trio.testing.lockstep_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(page._answer, theirs, "the run")
        await ours.send_all(get())
        await trio.sleep(IDLE_S + 1)
        assert page._limiter.borrowed_tokens == 0
        nursery.cancel_scope.cancel()


async def test_so_many_are_answered_at_once_and_the_next_when_one_has_left(page, nursery):
    streams = []
    for _ in range(MAX_CONNECTIONS + 1):
        ours, theirs = trio.testing.memory_stream_pair()
        streams.append(ours)
        nursery.start_soon(page._answer, theirs, "the run")
    await trio.testing.wait_all_tasks_blocked()
    assert page._limiter.borrowed_tokens == MAX_CONNECTIONS == 16
    statistics = page._limiter.statistics()
    assert statistics.tasks_waiting == 1
    for stream in streams:
        await stream.send_eof()
    await trio.testing.wait_all_tasks_blocked()
    assert page._limiter.borrowed_tokens == 0


async def test_the_page_is_on_its_port_for_one_run_after_the_other(page, nursery):
    host, port = page.url.removeprefix("http://").removesuffix("/metrics").split(":")
    for _ in range(2):
        async with trio.open_nursery() as serving:
            serving.start_soon(page.serve, "the run")
            async with await trio.open_tcp_stream(host, int(port)) as stream:
                await stream.send_all(get())
                with trio.fail_after(60):
                    assert (await stream.receive_some()).startswith(b"HTTP/1.1 200 ")
            serving.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("address", "where"),
    [
        ("9100", ("127.0.0.1", 9100)),
        ("0", ("127.0.0.1", 0)),
        ("Host.example:1", ("host.example", 1)),
        ("[::1]:9100", ("::1", 9100)),
    ],
)
def test_an_address_is_a_port_or_a_host_and_a_port(address, where):
    assert _parse(address) == where


@pytest.mark.parametrize("address", ["", "host", ":9100", "host:", "\u0663", "1:2:3", "70000"])
def test_what_is_no_address_says_how_to_write_one(address):
    with pytest.raises(BadAddress, match="is no address: write it like 9100"):
        _parse(address)


def test_a_port_that_is_taken_is_told_before_the_run():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(BadAddress, match=f"can't listen on {port}: Address already in use"):
            MetricsPage(str(port))


def test_its_url_has_the_port_that_was_free_and_gives_it_back():
    with MetricsPage("127.0.0.1:0") as page:
        port = int(page.url.removeprefix("http://127.0.0.1:").removesuffix("/metrics"))
        assert port > 0
    with socket.create_server(("127.0.0.1", port)):
        pass
