"""Handshakes as CDNs send them, and what is told of a refusal, by servers of a few bytes."""

import pytest


def refuse(answer):
    async def serve(reader, writer, key, counts):
        writer.write(answer)
        await writer.drain()

    return serve


QUICK = ("--messages", "1", "--rate-per-conn", "10/s", "--verify", "off", "--stop-timeout", "1s")
INTERIM = (
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.1 102 Processing\r\n\r\n",
    b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n",
)


@pytest.mark.parametrize("before", [INTERIM[:1], INTERIM[2:], INTERIM], ids=["100", "103", "three"])
def test_interim_answers_before_the_101_are_passed_over(loadgen, serve_bytes, accept, before):
    async def serve(reader, writer, key, counts):
        for each in before:
            writer.write(each)
            await writer.drain()
        writer.write(accept(key))
        await reader.read(100)
        writer.write(b"\x88\x02\x03\xe8")
        await writer.drain()

    run = loadgen("2", serve_bytes(serve).url, *QUICK)
    assert (run.connections["opened"], run.failed) == (2, {})


def test_interim_answers_without_end_break_the_protocol(loadgen, serve_bytes):
    run = loadgen("1", serve_bytes(refuse(INTERIM[2] * 20)).url, *QUICK)
    assert run.failed == {"protocol": 1}
    assert "more than 8 interim answers" in run.report["verdict_reasons"][0]


HEAD = b"HTTP/1.1 401 Unauthorized\r\n"


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        pytest.param(
            HEAD + b"Content-Length: 13\r\n\r\ntoken expired", "HTTP 401: token expired", id="text"
        ),
        pytest.param(
            HEAD + b'Content-Type: application/problem+json\r\n\r\n{"title":\n "no"}',
            'HTTP 401: {"title": "no"}',
            id="json-in-lines",
        ),
        pytest.param(
            HEAD + b"Transfer-Encoding: chunked\r\n\r\n6\r\ntoken \r\n7\r\nexpired\r\n0\r\n\r\n",
            "HTTP 401: token expired",
            id="chunked",
        ),
        pytest.param(
            HEAD + b"Content-Type: text/html\r\n\r\n<head><title>x</title></head><h1>No entry</h1>",
            "HTTP 401: No entry",
            id="html",
        ),
        pytest.param(
            HEAD + b"\r\n\x1b[31mred\r\nline", "HTTP 401: \\x1b[31mred line", id="escapes"
        ),
        pytest.param(HEAD + b"\r\n" + b"x" * 300, f"HTTP 401: {'x' * 200}…", id="long"),
        pytest.param(HEAD + b"Content-Type: image/png\r\n\r\n\x89PNG", "HTTP 401)", id="no-text"),
        pytest.param(HEAD + b"Content-Length: 0\r\n\r\n", "HTTP 401)", id="nothing"),
        pytest.param(
            b"HTTP/1.1 302 Found\r\nLocation: https://a.example/?token=x\r\n\r\n",
            "HTTP 302 to https://a.example/?token=***",
            id="redirect",
        ),
        pytest.param(
            b"\x15\x03\x01\x00\x02\x02\x46", "the URL should begin with wss://", id="tls-alert"
        ),
    ],
)
def test_what_a_refusal_says_stands_in_the_report(loadgen, serve_bytes, answer, told):
    run = loadgen("2", serve_bytes(refuse(answer)).url, *QUICK)
    assert told in run.report["verdict_reasons"][0]
    assert told.rstrip(")") in run.stderr
    assert run.code == 69


def test_the_sentence_for_each_break_of_the_protocol_is_told(loadgen, serve_bytes):
    answer = (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
    )
    run = loadgen("1", serve_bytes(refuse(answer)).url, *QUICK)
    assert run.failed == {"protocol": 1}
    assert "Sec-WebSocket-Accept does not answer our key" in run.report["verdict_reasons"][0]


def test_the_sockets_that_a_server_refuses_in_many_ways_are_told_by_the_most_frequent(
    loadgen, serve_bytes
):
    async def serve(reader, writer, key, counts):
        counts["seen"] += 1
        number = min(counts["seen"], 6)
        writer.write(HEAD + b"\r\nreason %d" % number)
        await writer.drain()

    run = loadgen("10", serve_bytes(serve).url, *QUICK)
    (why,) = run.report["verdict_reasons"][:1]
    assert "HTTP 401: reason 6" in why
    assert why.count("reason") == 3
    assert "…" in why
