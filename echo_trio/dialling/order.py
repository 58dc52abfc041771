"""Read what the page wants dialled, and decide whether this console dials there. Pure."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection
from typing import Final
from urllib.parse import urlsplit

import msgspec

from echo_trio.wire import addresses
from echo_trio.wire.client_handshake import request_bytes
from echo_trio.wire.handshake import MAX_HEAD_BYTES, TARGET

#: Headers that are the handshake's own, or would put a body behind the request: with such a body a
#: page could smuggle a second request past a proxy.
_OURS: Final = frozenset(
    {
        "connection",
        "content-length",
        "sec-websocket-accept",
        "sec-websocket-extensions",
        "sec-websocket-key",
        "sec-websocket-protocol",
        "sec-websocket-version",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
MAX_HEADERS: Final = 100
_COMPLAINT: Final = re.compile(r"field `([^`]+)`|`\$\.([^`.\[]+)")
_HOW: Final = "write it like ws://127.0.0.1:9000/chat or wss://chat.example/"

Allowed = Collection[tuple[str, int]]


class BadOrder(Exception):
    """The reason why nothing is dialled.

    :ivar status: the HTTP status.
    :ivar field: the field at fault; None if it is none in particular.
    """

    def __init__(self, message: str, *, status: int = 422, field: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.field = field


class DialOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The page's wishes, as it writes them in JSON.

    :ivar url: of the server: scheme ws or wss, host, port, path, query.
    :ivar headers: pairs of name and value, sent in this order. A Host replaces that of the URL.
    :ivar subprotocols: offered in this order.
    :ivar compression: true to offer permessage-deflate.
    :ivar certificate: the name of one of the operator's client certificates.
    :ivar insecure: true to go on although the server's certificate is not trusted.
    """

    url: str
    headers: list[tuple[str, str]] = msgspec.field(default_factory=list)
    subprotocols: list[str] = msgspec.field(default_factory=list)
    compression: bool = True
    certificate: str | None = None
    insecure: bool = False


class Target(msgspec.Struct, frozen=True):
    """The server that a URL names.

    :ivar host: in lower case and without brackets.
    :ivar path: path and query, as the request has them.
    :ivar authority: host and port as the Host header has them.
    """

    host: str
    port: int
    tls: bool
    path: str
    authority: str


def read_order(body: bytes) -> DialOrder:
    """Read the body of a request to dial.

    :raises BadOrder: 400 if it is no JSON, 422 if a field is unknown or of the wrong kind.
    """
    try:
        order = msgspec.json.decode(body, type=DialOrder)
    except msgspec.ValidationError as exc:
        field = _field_of(str(exc))
        why = str(exc).partition(" - at ")[0]
        raise BadOrder(f"{field or 'the body'}: {why}", field=field) from None
    except (msgspec.DecodeError, RecursionError):
        raise BadOrder(
            'the body is not JSON: write it like {"url": "ws://127.0.0.1:9000/"}', status=400
        ) from None
    _check_headers(order)
    return order


def _field_of(message: str) -> str | None:
    """Find the field that msgspec complains of, by its name or its place in the body."""
    found = _COMPLAINT.search(message)
    return found and (found[1] or found[2])[:64]


def _check_headers(order: DialOrder) -> None:
    if len(order.headers) > MAX_HEADERS:
        raise BadOrder(f"headers: at most {MAX_HEADERS} are sent", field="headers")
    for name, _ in order.headers:
        if name.lower() in _OURS:
            raise BadOrder(
                f"headers: {name} is the handshake's own, and can't be set", field="headers"
            )
    if sum(name.lower() == "host" for name, _ in order.headers) > 1:
        raise BadOrder("headers: there can be one Host only", field="headers")


def read_target(order: DialOrder) -> Target:
    """Read the URL of an order.

    :raises BadOrder: if it is not the URL of a WebSocket.
    """
    try:
        parts = urlsplit(order.url)
    except ValueError:
        raise BadOrder(f"url: this is no URL: {_HOW}", field="url") from None
    if parts.scheme not in ("ws", "wss"):
        raise BadOrder(f"url: it has to begin with ws:// or wss://: {_HOW}", field="url")
    if "#" in order.url:
        raise BadOrder("url: a WebSocket's has no fragment (#)", field="url")
    host, port = addresses.split_authority(parts.netloc)
    if not host or not addresses.is_host(host):
        raise BadOrder(f"url: it names no host: {_HOW}", field="url")
    default = addresses.DEFAULT_PORTS[parts.scheme]
    path = f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"
    if not TARGET.fullmatch(path):
        raise BadOrder("url: its path has to be percent-encoded ASCII", field="url")
    shown = f"[{host}]" if ":" in host else host
    port = default if port is None else port
    authority = shown if port == default else f"{shown}:{port}"
    return Target(host, port, parts.scheme == "wss", path, authority)


def make_request(order: DialOrder, target: Target, key: str, extensions: list[str]) -> bytes:
    """Make the upgrade request of an order.

    :raises BadOrder: if a header or a subprotocol can't be sent, or all are too long together.
    """
    hosts = [value for name, value in order.headers if name.lower() == "host"]
    headers = [(name, value) for name, value in order.headers if name.lower() != "host"]
    host = hosts[0] if hosts else target.authority
    try:
        request = request_bytes(target.path, host, key, headers, order.subprotocols, extensions)
    except ValueError as exc:
        field = "subprotocols" if "subprotocol" in str(exc) else "headers"
        raise BadOrder(f"{field}: {exc}", field=field) from None
    if len(request) > MAX_HEAD_BYTES:
        raise BadOrder(
            f"headers: a request has at most {MAX_HEAD_BYTES} bytes", status=422, field="headers"
        )
    return request


def check_target(target: Target, allowed: Allowed) -> None:
    """Refuse a target that the operator has not allowed, by its name: nothing is looked up yet.

    :raises BadOrder: 403, with the flag that would allow it.
    """
    if (target.host, target.port) not in allowed:
        where = f"[{target.host}]" if ":" in target.host else target.host
        raise BadOrder(
            f"this console does not dial {where}:{target.port}: "
            f"start the server with --run-target {where}:{target.port}",
            status=403,
            field="url",
        )


def why_not_there(host: str, port: int, address: str, allowed: Allowed) -> str | None:
    """Say why an address that an allowed name stands for may not be dialled; None if it may.

    Whoever answers for a name in DNS chooses its addresses. So a name leads to no service of this
    machine and to no cloud's metadata, unless the operator has allowed that address itself.

    :param host: the name, or an address, in lower case.
    :param address: one of the addresses found for it.
    """
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    if (str(found), port) in allowed or address == host:
        return None
    if found.is_loopback:
        if host == "localhost" or host.endswith(".localhost"):  # RFC 6761, section 6.3
            return None
        kind = "this machine itself"
    elif found.is_link_local:
        kind = "a link-local address"
    elif found.is_multicast or found.is_unspecified or found.is_reserved:
        kind = "no address of a server"
    else:
        return None
    return (
        f"{host} stands for {found}, which is {kind}: "
        f"if that is meant, allow it with --run-target {_authority(str(found), port)}"
    )


def _authority(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
