"""Who may ask: the decisions."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.datastructures import Headers

from echo_trio.console.guard import Access, Guard, why_no_change, why_not_from_here
from echo_trio.wire.addresses import parse_target, split_authority

OURS = {"host": "console.example:8766", "content-type": "application/json"}


@pytest.mark.parametrize(
    ("authority", "parts"),
    [
        ("localhost", ("localhost", None)),
        ("LocalHost:80", ("localhost", 80)),
        ("[::1]:80", ("::1", 80)),
        ("[::1]", ("::1", None)),
        ("", ("", None)),
        (":80", ("", None)),
        ("a@b", ("", None)),
        ("a/b", ("", None)),
        ("a?b", ("", None)),
        ("a#b", ("", None)),
        ("a\tb", ("", None)),
        ("a:99999", ("", None)),
        ("a:b", ("", None)),
        ("[::1", ("", None)),
    ],
)
def test_an_authority_is_host_and_port(authority: str, parts: tuple[str, int | None]) -> None:
    assert split_authority(authority) == parts


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("example.org:8765", ("example.org", 8765)),
        ("ws://Example.org/", ("example.org", 80)),
        ("wss://example.org", ("example.org", 443)),
        ("ws://[::1]:9/path?query", ("::1", 9)),
    ],
)
def test_a_target_is_an_authority_or_a_websocket_url(text: str, target: tuple[str, int]) -> None:
    assert parse_target(text) == target


@pytest.mark.parametrize("text", ["", "h", "http://h/", "ws://", "ws://u@h/", "h:0", "://h:1", "*"])
def test_what_is_no_target_is_said(text: str) -> None:
    with pytest.raises(ValueError, match="is no target"):
        parse_target(text)


@pytest.mark.parametrize(
    ("origin", "host", "same"),
    [
        ("http://console.example:8766", "console.example:8766", True),
        ("HTTP://Console.Example:8766", "console.example:8766", True),
        ("https://console.example", "console.example", True),
        ("https://console.example", "console.example:443", True),
        ("http://console.example:80", "console.example", True),
        ("http://[::1]:8766", "[::1]:8766", True),
        ("http://console.example", "console.example:8766", False),
        ("http://console.example:8766", "console.example", False),
        ("https://console.example:8767", "console.example:8766", False),
        ("http://console.example.evil.example:8766", "console.example:8766", False),
        ("http://a@console.example:8766", "console.example:8766", False),
        ("null", "console.example:8766", False),
        ("", "console.example:8766", False),
        ("file://", "", False),
        ("ws://console.example:8766", "console.example:8766", False),
    ],
)
def test_an_origin_is_ours_by_host_and_port(origin: str, host: str, same: bool) -> None:
    headers = Headers({**OURS, "host": host, "origin": origin})
    assert (why_no_change(headers) is None) is same


def test_who_is_no_browser_has_no_origin_and_may_change_things() -> None:
    assert why_no_change(Headers(OURS)) is None
    assert why_not_from_here(Headers(OURS)) is None


def test_any_wrong_token_is_refused() -> None:
    access = Access(hosts=frozenset(), token="s3cret")
    assert access.accepts("Bearer s3cret")
    for wrong in (
        "",
        "Bearer",
        "Bearer ",
        "Bearer s3cre",
        "Bearer s3cretx",
        "s3cret",
        "Basic s3cret",
    ):
        assert not access.accepts(wrong)
    assert not access.accepts("Bearer \xff\xfe")
    assert "s3cret" not in repr(access)


def test_an_address_is_known_only_where_we_listen_on_all() -> None:
    some = Access(hosts=frozenset({"localhost"}))
    every = Access(hosts=frozenset({"localhost"}), any_address=True)
    for address in ("192.0.2.1", "192.0.2.1:1", "[2001:db8::1]:1"):
        assert not some.knows_host(address)
        assert every.knows_host(address)
    for name in ("evil.example", "", "192.0.2", "localhost.evil.example"):
        assert not every.knows_host(name)


@pytest.mark.parametrize(
    ("site", "may"),
    [("same-origin", True), ("same-site", False), ("cross-site", False), ("none", False)],
)
def test_only_a_page_of_our_own_may_change_things(site: str, may: bool) -> None:
    assert (why_no_change(Headers({**OURS, "sec-fetch-site": site})) is None) is may


@pytest.mark.parametrize(
    ("said", "may"),
    [
        (("same-origin", "cors", "empty"), True),
        (("none", "navigate", "document"), True),
        (("same-site", "cors", "empty"), False),
        (("cross-site", "no-cors", "image"), False),
        (("same-site", "navigate", "document"), True),
        (("cross-site", "navigate", "document"), True),
        (("same-site", "navigate", "iframe"), False),
        (("cross-site", "navigate", "iframe"), False),
        (("cross-site", "no-cors", "document"), False),
    ],
)
def test_a_page_elsewhere_may_link_to_us_and_neither_ask_nor_frame_us(
    said: tuple[str, str, str], may: bool
) -> None:
    names = ("sec-fetch-site", "sec-fetch-mode", "sec-fetch-dest")
    assert (why_not_from_here(Headers(dict(zip(names, said, strict=True)))) is None) is may


@pytest.mark.parametrize(
    ("parts", "status"),
    [(0, 500), (1, 200), (2, 200)],
    ids=["before its answer", "amid it", "behind it"],
)
async def test_a_request_that_fails_is_answered_once_and_its_failure_is_told(
    parts: int, status: int
) -> None:
    answer = [
        {"type": "http.response.start", "status": 200, "headers": []},
        {"type": "http.response.body", "body": b"half", "more_body": True},
    ][:parts]
    sent, failures = list[Any](), list[tuple[str, str]]()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for part in answer:
            await send(part)
        raise ZeroDivisionError("secret")

    async def send(message: Any) -> None:
        sent.append(message)

    guard = Guard(
        app, Access(hosts=frozenset({"h"})), lambda what, exc: failures.append((what, str(exc)))
    )
    scope = {"type": "http", "path": "/", "method": "GET", "headers": [(b"host", b"h")]}
    await guard(scope, None, send)  # type: ignore[arg-type]
    assert failures == [("request", "secret")]
    starts = [message["status"] for message in sent if message["type"] == "http.response.start"]
    assert starts == [status]
    assert sent[:parts] == answer
    assert (len(sent) > parts) is (parts == 0)
    assert b"secret" not in b"".join(message.get("body", b"") for message in sent)


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/", {}, 200),
        ("/healthz", {}, 200),
        ("/assets/a.js", {"sec-fetch-site": "cross-site"}, 200),
        ("/api/server", {}, 401),
        ("/metrics", {}, 401),
        ("/api/server", {"authorization": "Bearer hush"}, 200),
        ("/metrics", {"authorization": "bearer  hush "}, 200),
        ("/api/server", {"authorization": "Basic hush"}, 401),
        ("/api/server", {"authorization": "Bearer hus"}, 401),
        ("/api/server", {"authorization": "Bearer hush", "sec-fetch-site": "cross-site"}, 403),
        ("/", {"upgrade": "WebSocket"}, 403),
        ("/", {"host": "other"}, 403),
        ("/api/server", {"host": "other", "authorization": "Bearer hush"}, 403),
    ],
)
async def test_what_is_guarded_needs_the_token_and_all_needs_the_host(
    path: str, headers: dict[str, str], status: int
) -> None:
    sent = list[Any]()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def send(message: Any) -> None:
        sent.append(message)

    failed = list[Any]()
    access = Access(hosts=frozenset({"h"}), token="hush")
    guard = Guard(app, access, lambda *why: failed.append(why))
    said = [(name.encode(), value.encode()) for name, value in ({"host": "h"} | headers).items()]
    scope = {"type": "http", "path": path, "method": "GET", "headers": said}
    await guard(scope, None, send)  # type: ignore[arg-type]
    assert (sent[0]["status"], failed) == (status, [])
    names = {name for name, _ in sent[0]["headers"]}
    assert b"content-security-policy" in names
    assert (b"www-authenticate" in names) is (status == 401)
