"""What hostile pages and hostile servers would try with connections that the console dials."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
import trio

from echo_trio.dialling.room import MAX_DIALS

from .conftest import PATIENCE_S

TOKEN = "correct-horse-battery-staple"


async def accept(peer) -> None:
    await peer.accept()
    await peer.read_to_end()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"sec_fetch_site": "cross-site"}, 403),
        ({"sec_fetch_site": "same-site"}, 403),
        ({"content_type": "text/plain"}, 403),
        ({"content_type": "application/x-www-form-urlencoded"}, 403),
        ({"host": "evil.example"}, 403),
        ({"authorization": ""}, 401),
        ({"authorization": "Bearer wrong"}, 401),
    ],
    ids=str,
)
async def test_no_foreign_page_and_nobody_without_the_token_dials(
    start_page, start_raw, headers, status
):
    server = await start_raw(accept)
    page = await start_page(server.url, console_token=TOKEN)
    page.headers = {"authorization": f"Bearer {TOKEN}"}
    answer = await page.ask("POST /api/dial", {"url": server.url}, **headers)
    assert answer.status == status
    assert server.peers == []
    async with page.dial(server.url) as dialled:
        await dialled.event("opened")
        dial_id = (await dialled.event("dial"))["id"]
        answer = await page.ask(f"POST /api/dial/{dial_id}", {"items": []}, **headers)
        assert answer.status == status
    if "content_type" not in headers and "origin" not in headers:
        assert (await page.ask("GET /api/dial", **headers)).status == status


async def test_only_this_server_and_the_operators_targets_are_dialled(start_page, start_raw):
    server, other = await start_raw(accept), await start_raw(accept)
    page = await start_page(server.url)
    port = urlsplit(other.url).port
    allowed = (await page.ask("GET /api/dial")).json["targets"]
    assert urlsplit(server.url).netloc in allowed
    for url in (
        other.url,
        f"ws://localhost:{port}/",
        f"ws://[::1]:{port}/",
        f"ws://127.0.0.1:{urlsplit(server.url).port}@127.0.0.1:{port}/",
        "ws://169.254.169.254/latest/meta-data",
        f"ws://[::ffff:127.0.0.1]:{urlsplit(server.url).port}/",
        f"ws://2130706433:{urlsplit(server.url).port}/",
    ):
        answer = await page.ask("POST /api/dial", {"url": url})
        assert answer.status in (403, 422), url
        assert answer.json["field"] == "url"
        if answer.status == 403:
            assert "--run-target" in answer.json["error"]
    assert server.peers == other.peers == []


async def test_a_name_that_leads_to_this_machine_is_not_followed_there(start_page, start_raw):
    # The resolver reads "127.1" as 127.0.0.1, as it would a name that an attacker's DNS sends here.
    server = await start_raw(accept)
    url = server.url.replace("127.0.0.1", "127.1")
    page = await start_page(url)
    async with page.dial(url) as dialled:
        end = await dialled.until_over()
        assert (await dialled.event("resolved"))["addresses"] == ["127.0.0.1"]
    assert end["cause"] == "forbidden-address"
    assert f"--run-target {urlsplit(server.url).netloc}" in end["why"]
    assert server.peers == []
    # It is that address which the operator would have to allow.
    page = await start_page(url, server.url)
    async with page.dial(url) as dialled:
        await dialled.event("opened")


WRONG = [
    ({}, 422, "url"),
    ({"url": 1}, 422, "url"),
    ({"url": "http://{}"}, 422, "url"),
    ({"url": "ws://{}/#x"}, 422, "url"),
    ({"url": "ws://{}/a b"}, 422, "url"),
    ({"url": "ws://{}/", "cert": "x"}, 422, "cert"),
    ({"url": "ws://{}/", "headers": [["X"]]}, 422, "headers"),
    ({"url": "ws://{}/", "headers": [["X", "a\r\nY: b"]]}, 422, "headers"),
    ({"url": "ws://{}/", "headers": [["X Y", "a"]]}, 422, "headers"),
    ({"url": "ws://{}/", "headers": [["Content-Length", "5"]]}, 422, "headers"),
    ({"url": "ws://{}/", "headers": [["transfer-encoding", "chunked"]]}, 422, "headers"),
    ({"url": "ws://{}/", "headers": [["Sec-WebSocket-Key", "x"]]}, 422, "headers"),
    ({"url": "ws://{}/", "headers": [["Host", "a"], ["host", "b"]]}, 422, "headers"),
    ({"url": "ws://{}/", "headers": [["X", "x" * 17_000]]}, 422, "headers"),
    ({"url": "ws://{}/", "headers": [["X", ""]] * 101}, 422, "headers"),
    ({"url": "ws://{}/", "subprotocols": ["a b"]}, 422, "subprotocols"),
    ([], 422, None),
]


async def test_an_order_that_can_not_be_sent_is_refused_by_its_field(start_page, start_raw):
    server = await start_raw(accept)
    page = await start_page(server.url)
    for order, status, field in WRONG:
        if isinstance(order, dict) and isinstance(order.get("url"), str):
            order["url"] = order["url"].replace("{}", urlsplit(server.url).netloc)
        answer = await page.ask("POST /api/dial", order)
        assert (answer.status, answer.json.get("field")) == (status, field), order
        assert answer.json["error"]
    assert server.peers == []


WRONG_ITEMS = [
    ({"kind": "pong"}, 422),
    ({"kind": "text", "txt": ""}, 422),
    ({"kind": "binary", "base64": "*"}, 422),
    ({"kind": "text", "base64": "/w=="}, 422),
    ({"kind": "ping", "text": "x" * 126}, 422),
    ({"kind": "close", "code": 1006}, 422),
    ({"kind": "close", "code": 1000, "text": "x" * 124}, 422),
    ({"kind": "close", "text": "without a code"}, 422),
]


async def test_what_can_not_be_sent_is_refused_and_the_connection_goes_on(start_page, start_raw):
    server = await start_raw(accept)
    page = await start_page(server.url)
    async with page.dial(server.url) as dialled:
        await dialled.event("opened")
        for item, status in WRONG_ITEMS:
            assert (await dialled.send(item)).status == status, item
        big = {"kind": "binary", "base64": "AAAA" * 12_000}
        statuses = [(await dialled.send({**big, "more": True})).status for _ in range(40)]
        assert statuses.count(413) == 1
        assert (await page.ask("POST /api/dial/unknown", {"items": []})).status == 404
        assert (await dialled.send({"kind": "close", "code": 1000})).status == 204
        assert (await dialled.send({"kind": "text", "text": "late"})).status == 409


async def test_connections_are_few_and_a_place_is_free_again_at_once(start_page, start_raw):
    server = await start_raw(accept)
    page = await start_page(server.url)
    async with trio.open_nursery() as nursery:
        leave = trio.Event()
        opened = []

        async def stay() -> None:
            async with page.dial(server.url) as dialled:
                await dialled.event("opened")
                opened.append(dialled)
                await leave.wait()

        for _ in range(MAX_DIALS):
            nursery.start_soon(stay)
        with trio.fail_after(PATIENCE_S):
            while len(opened) < MAX_DIALS:
                await trio.sleep(0.01)
        answer = await page.ask("POST /api/dial", {"url": server.url})
        assert (answer.status, str(MAX_DIALS) in answer.json["error"]) == (503, True)
        leave.set()
    with trio.fail_after(PATIENCE_S):
        while (await page.ask("GET /api/dial")).json["open"]:
            await trio.sleep(0.01)
    async with page.dial(server.url) as dialled:
        await dialled.event("opened")
