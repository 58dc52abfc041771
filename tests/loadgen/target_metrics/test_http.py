"""The poller's HTTP, clause by clause: against bytes that a server of this file sends."""

import contextlib
import errno

import pytest
import trio

from loadgen.target_metrics import http
from loadgen.target_metrics.http import FetchFailed, HttpConnection, Source

PATIENCE_S = 60
OK = b"HTTP/1.1 200 OK\r\n"
PAGE = b"up 1\n"
FIVE = b"Content-Length: 5\r\n\r\nup 1\n"
FOLDED = OK + b"X: a\r\n b\r\n" + FIVE


@contextlib.asynccontextmanager
async def answering(*answers, then_close=False):
    """Serve these bytes, one for each request; yield a connection, and the requests."""
    requests = []

    async def serve(stream):
        with contextlib.suppress(trio.BrokenResourceError):
            for answer in answers:
                request = b""
                while not request.endswith(b"\r\n\r\n"):
                    if not (part := await stream.receive_some()):
                        return
                    request += part
                requests.append(request)
                await stream.send_all(answer)
            if not then_close:
                await stream.receive_some()
        await stream.aclose()

    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
            nursery.start_soon(trio.serve_listeners, serve, [listener])
            port = listener.socket.getsockname()[1]
            connection = await HttpConnection.open(Source(f"http://127.0.0.1:{port}/metrics?x=1"))
            try:
                yield connection, requests
            finally:
                await connection.close()
                nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("answer", "is_reusable"),
    [
        pytest.param(OK + FIVE, True, id="length"),
        pytest.param(OK + b"Content-Length: 5, 5\r\n\r\nup 1\n", True, id="the-same-length-twice"),
        pytest.param(
            OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nup\r\n3;x=y\r\n 1\n\r\n0\r\n\r\n",
            True, id="chunks-with-an-extension",
        ),
        pytest.param(
            OK + b"Transfer-Encoding: Chunked\r\n\r\n5\r\nup 1\n\r\n0\r\nExpires: 0\r\n\r\n",
            True, id="trailers",
        ),
        pytest.param(
            b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" * 3 + OK
            + FIVE, True, id="interim-answers",
        ),
        pytest.param(FOLDED, True, id="a-folded-line"),
        pytest.param(b"HTTP/1.1 200 \r\nContent-Length: 5\r\n\r\nup 1\n", True, id="no-reason"),
        pytest.param(
            OK + b"Connection: X, Close\r\nContent-Length: 5\r\n\r\nup 1\n", False, id="close"
        ),
        pytest.param(b"HTTP/1.0 200 OK\r\n" + FIVE, False, id="version-1.0"),
        pytest.param(
            OK + FIVE + OK + FIVE,
            False, id="an-answer-that-nobody-asked-for",
        ),
    ],
)  # fmt: skip
async def test_an_answer_is_read_as_it_is_framed(answer, is_reusable):
    async with answering(answer) as (connection, _):
        assert (await connection.get())[1] == PAGE
        assert connection.is_reusable == is_reusable
        if not is_reusable:
            with pytest.raises(FetchFailed, match="can't be used again"):
                await connection.get()


async def test_without_a_length_the_answer_is_all_until_the_end():
    async with answering(OK + b"\r\n" + PAGE, then_close=True) as (connection, _):
        assert (await connection.get())[1] == PAGE
        assert not connection.is_reusable


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        pytest.param(
            OK + b"Content-Length: 5, 6\r\n\r\nup 1\n", "does not speak HTTP", id="two-lengths"
        ),
        pytest.param(
            OK + b"Content-Length: +5\r\n\r\nup 1\n", "does not speak HTTP", id="no-number"
        ),
        pytest.param(
            OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "does not speak HTTP",
            id="another-transfer-coding",
        ),
        pytest.param(OK + b"Content-Length: 9\r\n\r\nup 1\n", "does not speak HTTP", id="cut"),
        pytest.param(
            OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nup 1\n\r\n", "does not speak HTTP",
            id="cut-chunks",
        ),
        pytest.param(
            OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", "does not speak HTTP", id="no-chunk"
        ),
        pytest.param(b"HTTP/2.0 200 OK\r\n\r\n", "does not speak HTTP", id="version-2"),
        pytest.param(
            OK + b"Content-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx", "coding 'gzip'", id="gzip"
        ),
        pytest.param(
            OK + b"Content-Encoding: BR\r\nContent-Length: 1\r\n\r\nx", "coding 'br'", id="br"
        ),
        pytest.param(
            b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n",
            r"HTTP 302 \(redirections are not followed\)", id="redirected",
        ),
        pytest.param(
            b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n", "HTTP 401 .*CONSOLE_TOKEN",
            id="unauthorized",
        ),
        pytest.param(b"HTTP/1.1 204 No Content\r\n\r\n", "HTTP 204", id="no-content"),
        pytest.param(b"", "closed|does not speak HTTP", id="nothing"),
        pytest.param(b"HTTP/1.1 100 Continue\r\n\r\n" * 5000, "too many pieces", id="endless-100s"),
        pytest.param(OK + b"X: y" * 20_000, "does not speak HTTP", id="an-endless-head"),
    ],
)  # fmt: skip
async def test_what_is_no_answer_is_told_and_not_asked_again(answer, why):
    async with answering(answer, then_close=True) as (connection, _):
        with pytest.raises(FetchFailed, match=why):
            await connection.get()


async def test_the_media_type_is_read_without_regard_to_case():
    async with answering(OK + b"Content-Type: Application/JSON\r\n" + FIVE) as (connection, _):
        assert (await connection.get())[0] == "application/json"


async def test_a_body_has_a_bound(monkeypatch):
    monkeypatch.setattr(http, "MAX_BODY_BYTES", 4)
    async with answering(OK + FIVE) as (connection, _):
        with pytest.raises(FetchFailed, match="too large"):
            await connection.get()
    monkeypatch.setattr(http, "MAX_BODY_BYTES", 5)
    async with answering(OK + FIVE) as (connection, _):
        assert len((await connection.get())[1]) == 5


async def test_a_request_says_whom_it_asks_and_that_no_coding_is_wanted(monkeypatch):
    monkeypatch.setenv(http.TOKEN_VARIABLE, "s3cret")
    once = OK + FIVE
    async with answering(once, once) as (connection, requests):
        await connection.get()
        await connection.get()
        first, *headers = requests[0].decode().split("\r\n")
        assert first == "GET /metrics?x=1 HTTP/1.1"
        assert headers[0].startswith("Host: 127.0.0.1:")
        assert "Accept-Encoding: identity" in headers
        assert "Authorization: Bearer s3cret" in headers
        assert requests[1] == requests[0]


@pytest.mark.parametrize("more", [b"", b"HTTP/1.1 408 Late\r\nContent-Length: 0\r\n\r\n"])
async def test_a_connection_that_the_server_ended_while_idle_is_not_asked(more):
    """Some say 408 before: that is no answer to the next request."""
    async with answering(OK + FIVE, then_close=True) as (
        connection,
        _,
    ):
        await connection.get()
        while not connection.is_stale:
            await trio.sleep(0.01)


@pytest.mark.parametrize(
    ("url", "host", "path"),
    [
        ("http://h/", "h", "/api/server"),
        ("http://H:80/m#here", "h", "/m"),
        ("https://h:443", "h", "/api/server"),
        ("http://h:81/m", "h:81", "/m"),
        ("http://[::1]:9/m", "[::1]:9", "/m"),
        ("http://[fe80::1%25eth0]/m", "[fe80::1]", "/m"),
        ("http://us%40er:p@h/m", "h", "/m"),
    ],
)
def test_a_urls_authority_becomes_host(url, host, path):
    source = Source(url)
    assert (dict(source.headers)["Host"], source.path) == (host, path)


@pytest.mark.parametrize(
    ("url", "scheme", "host", "port"),
    [
        ("http://h/m", "http", "h", 80),
        ("https://h/m", "https", "h", 443),
        ("https://H:80/m", "https", "h", 80),
        ("http://[::1]:443/m", "http", "::1", 443),
    ],
)
def test_where_to_connect_follows_from_the_scheme_or_is_said(url, scheme, host, port):
    source = Source(url)
    assert (source.scheme, source.host, source.port) == (scheme, host, port)


def test_a_urls_user_is_basic_authorization_and_in_no_other_place():
    """RFC 7617: without %-codes, in base64."""
    source = Source("http://us%40er:p@h/m")
    assert dict(source.headers)["Authorization"] == "Basic dXNAZXI6cA=="
    assert "us%40er" not in repr(source).replace(source.url, "")


@pytest.mark.parametrize("url", ["http://h/a b", "http://h/<>", "ftp://h/", "h:80"])
def test_what_no_request_can_ask_for_is_refused_in_one_line(url):
    with pytest.raises(ValueError, match=r"URL|encoded"):
        Source(url)


def test_who_gives_a_name_and_a_password_sends_no_token_beside_them(monkeypatch):
    monkeypatch.setenv(http.TOKEN_VARIABLE, "s3cret")
    for url, authorization in (
        ("http://u:p@h:1/", "Basic dTpw"), ("http://h:1/", "Bearer s3cret"),
    ):  # fmt: skip
        sent = [value for name, value in http.Source(url).headers if name == "Authorization"]
        assert sent == [authorization]


@pytest.mark.parametrize("status", [299, 300, 308, 399, 400])
async def test_a_redirection_is_said_not_to_be_followed(status):
    answer = b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % status
    async with answering(answer) as (connection, _):
        with pytest.raises(FetchFailed) as failed:
            await connection.get()
    assert ("redirections are not followed" in str(failed.value)) is (300 <= status < 400)


def test_of_several_attempts_the_last_ones_error_is_told():
    failed = OSError("all attempts failed")
    causes = [OSError(errno.ENETUNREACH, "x"), OSError(errno.ECONNREFUSED, "x")]
    failed.__cause__ = ExceptionGroup("of the test", causes)
    refused = http._why(failed)
    assert refused == http._why(OSError(errno.ECONNREFUSED, "x"))
    assert refused != http._why(causes[0])
    assert (http._why(ValueError("said")), http._why(ValueError())) == ("said", "ValueError")
