"""Read what the page wants sent over a dialled connection. Pure."""

from __future__ import annotations

import base64
import binascii
from typing import Literal

import msgspec

from echo_trio.dialling.order import BadOrder
from echo_trio.wire import close_codes, frames


class Item(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One of the things to send.

    :ivar text: the payload, whole or in part, as text; or else
    :ivar base64: as bytes, which for text are UTF-8.
    :ivar ticket: the number by which the stream says when it was sent.
    :ivar more: true if the next item of the request after it continues this message.
    :ivar code: of a close frame; None for an empty one.
    """

    kind: Literal["text", "binary", "ping", "close"]
    text: str | None = None
    base64: str | None = None
    ticket: int | None = None
    more: bool = False
    code: int | None = None

    def payload(self) -> bytes:
        """Return the bytes of the payload.

        :raises BadOrder: if they can't be had.
        """
        if self.base64 is None:
            return (self.text or "").encode("utf-8", "replace")
        try:
            return base64.b64decode(self.base64, validate=True)
        except (ValueError, binascii.Error):
            raise BadOrder("base64: this is not base64", field="base64") from None


class _Sending(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    items: list[Item]


def read_sending(body: bytes) -> list[Item]:
    """Read the body of a request to send.

    :raises BadOrder: if it is not a list of items that can be sent.
    """
    try:
        items = msgspec.json.decode(body, type=_Sending).items
    except (msgspec.DecodeError, RecursionError) as exc:
        status = 422 if isinstance(exc, msgspec.ValidationError) else 400
        raise BadOrder(f"the body has to be items to send: {exc}", status=status) from None
    for item in items:
        if item.kind == "ping" and len(item.payload()) > frames.MAX_CONTROL_BYTES:
            raise BadOrder(f"a ping has at most {frames.MAX_CONTROL_BYTES} bytes", field="text")
        if item.kind == "close":
            _check_close(item)
    return items


def _check_close(item: Item) -> None:
    code = close_codes.NO_STATUS if item.code is None else item.code
    if code != close_codes.NO_STATUS and not close_codes.may_be_sent(code):
        raise BadOrder(f"code: {code} may not be sent (RFC 6455, section 7.4)", field="code")
    size = len(item.payload())
    if size > close_codes.MAX_REASON_BYTES or (size and code == close_codes.NO_STATUS):
        raise BadOrder(
            f"text: a reason needs a code, and has at most {close_codes.MAX_REASON_BYTES} bytes",
            field="text",
        )
