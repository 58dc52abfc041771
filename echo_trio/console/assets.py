"""Send the page's files compressed, as the build has laid them ready."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from starlette.responses import FileResponse

#: Of what a build has in it. A system's own list may differ, like Windows' registry, where many a
#: program has made text/plain of .js, which no browser runs.
_MEDIA_TYPES: Final = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
}
#: In the order of preference: the suffix beside the file, by the name of its encoding.
_VARIANTS: Final = {"br": ".br", "gzip": ".gz"}
#: The part of a list of encodings that is read: no browser sends a longer one.
_MAX_ACCEPT: Final = 512


def asset_response(file: Path, accept_encoding: str, *, cache_control: str) -> FileResponse:
    """Return a file of the page in the smallest form that the client takes.

    :param accept_encoding: the request's header, empty if it has none.
    """
    headers = {"cache-control": cache_control, "vary": "accept-encoding"}
    media_type = _MEDIA_TYPES.get(file.suffix, "application/octet-stream")
    for encoding in _taken(accept_encoding):
        compressed = file.with_name(file.name + _VARIANTS[encoding])
        if compressed.is_file():
            headers["content-encoding"] = encoding
            return FileResponse(compressed, headers=headers, media_type=media_type)
    return FileResponse(file, headers=headers, media_type=media_type)


def _taken(accept_encoding: str) -> Iterator[str]:
    """Yield our encodings that the header accepts (RFC 9110, 12.5.3), the best first."""
    weights: dict[str, float] = {}
    for item in accept_encoding[:_MAX_ACCEPT].lower().split(","):
        name, _, parameter = item.partition(";")
        key, _, weight = parameter.strip().partition("=")
        try:
            weights[name.strip()] = float(weight) if key.strip() == "q" else 1.0
        except ValueError:
            weights[name.strip()] = 0.0
    for encoding in _VARIANTS:
        if weights.get(encoding, weights.get("*", 0.0)) > 0:
            yield encoding
