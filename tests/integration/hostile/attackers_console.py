"""Say what a hostile HTTP client sends to the console."""

from __future__ import annotations

import json

from .attack import Attack, filled


def request(line: str, *headers: str, body: bytes = b"") -> bytes:
    """Write an HTTP/1.1 request."""
    lines = [f"{line} HTTP/1.1", "Host: localhost", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def order(text: str) -> bytes:
    """Ask for a run with this JSON."""
    body = text.encode()
    return request(
        "POST /api/runs",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        body=body,
    )


def on_console(name: str, block: bytes, **more: object) -> Attack:
    """Send this block to the console."""
    return Attack(name, block=block, console=True, **more)  # type: ignore[arg-type]


def _many(setting: str, value: str, count: int) -> bytes:
    """Order a run with this setting many times over, and a count that is none."""
    return order(json.dumps({"count": "none", setting: [value] * count}, separators=(",", ":")))


_HEADERS = ("Content-Type: application/json", "Transfer-Encoding: chunked")
_BYTES_AS_CHUNKS = request("POST /api/runs", *_HEADERS, body=b"1\r\n \r\n" * 70_000)
_DOUBLED = "{" + ",".join(f'"k{number}":1' for number in range(5_000)) + ',"k4999":1}'

# HTTP/2 without an upgrade (RFC 9113, section 3.3), frames by hand.
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_SETTINGS, _HTTP2_PING, _RST_STREAM, _HEADERS_FRAME = 4, 6, 3, 1


def _http2_frame(kind: int, payload: bytes = b"", *, flags: int = 0, stream: int = 0) -> bytes:
    return len(payload).to_bytes(3) + bytes((kind, flags)) + stream.to_bytes(4) + payload


def _rapid_resets(count: int) -> bytes:
    """Open streams and reset each at once (CVE-2023-44487)."""
    # Static table: GET, http, /; and :authority: localhost (RFC 7541, appendix A).
    fields = b"\x82\x86\x84\x41\x09localhost"
    return b"".join(
        _http2_frame(_HEADERS_FRAME, fields, flags=5, stream=stream)
        + _http2_frame(_RST_STREAM, bytes(4), stream=stream)
        for stream in range(1, 2 * count, 2)
    )


_HTTP2_OPENING = _PREFACE + _http2_frame(_SETTINGS)

#: As fast as they can: alone and twenty of them.
FLOODS = (
    on_console("console-requests", filled(request("GET /api/server"))),
    on_console("console-headers-in-order", _many("header", "a:b", 6_000)),
    on_console("console-subprotocols-in-order", _many("subprotocol", "a", 6_000)),
    on_console("console-stages-in-order", _many("stage", "1s:1/s", 6_000)),
    on_console("console-thresholds-in-order", _many("fail-if", "messages.lost>0", 3_000)),
    on_console("console-doubled-key", order(_DOUBLED)),
    on_console("console-one-byte-chunks", _BYTES_AS_CHUNKS, times=1),
    on_console(
        "console-large-head",
        request("GET /healthz", *(f"x{number}: y" for number in range(6_000))),
    ),
    on_console("console-endless-head", filled(b"x: y\r\n"), opening=b"GET /healthz HTTP/1.1\r\n"),
    on_console("console-http2-settings", filled(_http2_frame(_SETTINGS)), opening=_HTTP2_OPENING),
    on_console(
        "console-http2-pings", filled(_http2_frame(_HTTP2_PING, bytes(8))), opening=_HTTP2_OPENING
    ),
    on_console(
        "console-http2-resets",
        _rapid_resets(100_000),
        opening=_HTTP2_OPENING,
        times=1,
    ),
    on_console("console-churn", request("GET /healthz"), times=1, leaves=True),
)

#: 200 of them, held.
CROWDS = (
    on_console("console-idle", b""),
    on_console("console-half-a-head", b"", opening=b"GET /healthz HTTP/1.1\r\nHost: "),
    on_console("console-idle-behind-answer", b"", opening=request("GET /healthz")),
    on_console("console-slow-readers", b"", opening=request("GET /api/live"), reads=False),
    on_console(
        "console-half-a-body",
        b"",
        opening=request(
            "POST /api/runs", "Content-Type: application/json", "Content-Length: 60000", body=b"{"
        ),
    ),
    on_console("console-idle-http2", b"", opening=_HTTP2_OPENING),
    on_console("console-health", request("GET /healthz"), times=1),
)
