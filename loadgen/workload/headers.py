"""Read the headers that go with each handshake, and make its request."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final

from echo_trio import files
from loadgen.workload.target import Target, write_origin

#: Several times what any server takes as the head of a request.
MAX_HEADERS_BYTES: Final = 256 * 1024

#: The mark before the name of a file of headers.
HEADERS_OF_FILE: Final = "@"

#: Headers that make the handshake one, and what to use instead where there is something.
_OWN_HEADERS: Final = {
    "connection": "",
    "upgrade": "",
    "sec-websocket-accept": "",
    "sec-websocket-extensions": ": use --compression",
    "sec-websocket-key": "",
    "sec-websocket-protocol": ": use --subprotocol",
    "sec-websocket-version": "",
    "content-length": "",
    "transfer-encoding": "",
}


def parse_headers(text: str) -> list[tuple[str, str]]:
    """Read a header, or those of a file like ``@headers.txt``, one a line.

    A command line is seen by every user of the machine, and kept by the shell; a file need not be.

    :raises ValueError: if a line is no header, or there is no such file.
    """
    if not text.startswith(HEADERS_OF_FILE):
        return [parse_header(text)]
    path = text.removeprefix(HEADERS_OF_FILE)
    try:
        lines = files.split_lines(files.read_text(path, at_most=MAX_HEADERS_BYTES))
    except OSError as exc:
        raise ValueError(f"can't read --header {text}: {exc.strerror}") from None
    headers = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                headers.append(parse_header(line))
            except ValueError:
                what = f"line {number} is no header like 'Name: value'"
                raise ValueError(f"--header {text}: {what}") from None
    return headers


def parse_header(text: str) -> tuple[str, str]:
    """Read a header like ``Authorization: Bearer x``.

    :raises ValueError: if it is none.
    """
    name, colon, value = text.partition(":")
    name, value = name.strip(), value.strip()
    if not colon or not name:
        # Without the text: what lacks its colon may be a secret by itself.
        raise ValueError("it is not a header: write it like 'Name: value', with the quotes")
    return name, value


def check_headers(headers: Sequence[tuple[str, str]], origin: str | None) -> None:
    """Refuse headers that the handshake itself sets.

    :raises ValueError: if there is one of these, or Origin is set twice.
    """
    for name, _ in headers:
        if (instead := _OWN_HEADERS.get(name.lower())) is not None:
            raise ValueError(f"--header can't set {name}, which the handshake does{instead}")
        if name.lower() == "origin" and origin is not None:
            raise ValueError("--origin and --header both set Origin: give one")


def make_request(
    target: Target,
    headers: Sequence[tuple[str, str]],
    origin: str | None,
    subprotocols: tuple[str, ...],
    extensions: tuple[str, ...],
) -> partial[bytes]:
    """Make a function that makes the handshake's request from a key.

    :raises ValueError: if a header or subprotocol is not what HTTP allows; raised by the function.
    """
    authority, others = target.authority, []
    for name, value in headers:
        if name.lower() == "host":
            authority = value
        else:
            others.append((name, value))
    if origin is not None:
        others.append(("Origin", write_origin(origin)))
    return partial(
        _request_bytes, target.resource, authority, tuple(others), subprotocols, extensions
    )


def _request_bytes(
    resource: str,
    authority: str,
    headers: tuple[tuple[str, str], ...],
    subprotocols: tuple[str, ...],
    extensions: tuple[str, ...],
    key: str,
) -> bytes:
    from echo_trio.wire.client_handshake import request_bytes  # noqa: PLC0415 - not for --help

    return request_bytes(resource, authority, key, headers, subprotocols, extensions)
