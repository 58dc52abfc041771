"""httpx-ws: its sync client, and its async client under anyio."""

import pytest

httpx_ws = pytest.importorskip("httpx_ws")


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.mark.ws_server(seed=1)
def test_the_reply_comes_back(ws_server):
    with httpx_ws.connect_ws(ws_server.url) as client:
        client.send_text("hello")
        assert client.receive_text() == "hello 566561"


def test_a_close_code_and_its_reason_are_passed_on(ws_server):
    with httpx_ws.connect_ws(ws_server.path("/close/4001/try%20again")) as client:
        client.send_text("hello")
        with pytest.raises(httpx_ws.WebSocketDisconnect) as closed:
            client.receive_text()
    assert (closed.value.code, closed.value.reason) == (4001, "try again")


def test_a_refusal_has_its_status(ws_server):
    with (
        pytest.raises(httpx_ws.WebSocketUpgradeError) as refused,
        httpx_ws.connect_ws(ws_server.path("/status/503")),
    ):
        pass
    assert refused.value.response.status_code == 503


@pytest.mark.anyio
async def test_async_notices_a_reset(ws_server):
    with pytest.raises((httpx_ws.WebSocketNetworkError, ExceptionGroup)):
        async with httpx_ws.aconnect_ws(ws_server.path("/drop/0")) as client:
            await client.receive_text()
