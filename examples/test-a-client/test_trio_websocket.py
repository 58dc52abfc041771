"""trio-websocket, in Trio."""

import gc
import warnings

import pytest

trio = pytest.importorskip("trio")
trio_websocket = pytest.importorskip("trio_websocket")


@pytest.fixture(autouse=True)
def collect_sockets():
    """Close what trio-websocket 0.12.2 leaves open where the server has closed first."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.mark.trio
@pytest.mark.ws_server(seed=1)
async def test_the_reply_comes_back(ws_server):
    async with trio_websocket.open_websocket_url(ws_server.url) as client:
        await client.send_message("hello")
        assert await client.get_message() == "hello 566561"
    await trio.to_thread.run_sync(ws_server.assert_all_clean)


@pytest.mark.trio
async def test_a_close_code_and_its_reason_are_passed_on(ws_server):
    url = ws_server.path("/close/4001/try%20again")
    async with trio_websocket.open_websocket_url(url) as client:
        await client.send_message("hello")
        with pytest.raises(trio_websocket.ConnectionClosed) as closed:
            await client.get_message()
    assert (closed.value.reason.code, closed.value.reason.reason) == (4001, "try again")


@pytest.mark.trio
async def test_a_reply_that_never_comes_can_be_given_up(ws_server):
    async with trio_websocket.open_websocket_url(ws_server.path("/silent")) as client:
        await client.send_message("hello")
        with trio.move_on_after(0.05) as waiting:
            await client.get_message()
    assert waiting.cancelled_caught


@pytest.mark.trio
async def test_a_refusal_has_its_status(ws_server):
    with pytest.raises(trio_websocket.ConnectionRejected) as refused:
        async with trio_websocket.open_websocket_url(ws_server.path("/status/503")):
            pass
    assert refused.value.status_code == 503
