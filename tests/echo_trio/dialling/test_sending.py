"""What may be sent over a dialled connection, up to each of its bounds."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from echo_trio.dialling.order import BadOrder
from echo_trio.dialling.sending import read_sending


def read(**item: Any) -> list[Any]:
    return read_sending(json.dumps({"items": [item]}).encode())


@pytest.mark.parametrize(
    "item",
    [
        {"kind": "text", "text": "x" * 5000},
        {"kind": "text"},
        {"kind": "ping", "text": "ä" * 62},
        {"kind": "ping", "text": "x" * 125},
        {"kind": "close"},
        {"kind": "close", "text": ""},
        {"kind": "close", "code": 1005},
        {"kind": "close", "code": 1000, "text": "ä" * 61},
        {"kind": "close", "code": 4999, "text": "x" * 123},
    ],
    ids=str,
)
def test_what_may_be_sent_is_read_as_it_was_written(item: dict[str, Any]) -> None:
    (found,) = read(**item)
    assert found.payload() == item.get("text", "").encode()
    assert found.code == item.get("code")


@pytest.mark.parametrize(
    ("item", "field"),
    [
        ({"kind": "ping", "text": "x" * 126}, "text"),
        ({"kind": "ping", "text": "ä" * 63}, "text"),
        ({"kind": "close", "code": 1000, "text": "x" * 124}, "text"),
        ({"kind": "close", "text": "why"}, "text"),
        ({"kind": "close", "code": 1005, "text": "why"}, "text"),
        ({"kind": "close", "code": 1006}, "code"),
        ({"kind": "close", "code": 999}, "code"),
        ({"kind": "close", "code": 5000}, "code"),
        ({"kind": "ping", "base64": "%"}, "base64"),
    ],
    ids=str,
)
def test_what_may_not_be_sent_is_named_by_its_field(item: dict[str, Any], field: str) -> None:
    with pytest.raises(BadOrder) as caught:
        read(**item)
    assert caught.value.field == field


def test_bytes_are_those_of_their_base64_and_come_before_a_text() -> None:
    (item,) = read(kind="binary", base64=base64.b64encode(b"\xff\0").decode(), text="x")
    assert item.payload() == b"\xff\0"


@pytest.mark.parametrize(("body", "status"), [(b"{", 400), (b"[]", 422), (b"{}", 422)])
def test_a_body_that_is_no_list_of_items_is_told_so(body: bytes, status: int) -> None:
    with pytest.raises(BadOrder) as caught:
        read_sending(body)
    assert caught.value.status == status
