"""What the page's files weigh on the wire, and in which form they come."""

from __future__ import annotations

import gzip
import mimetypes
import os
import re
from collections.abc import Callable
from typing import Any

import pytest

from echo_trio.console.assets import asset_response
from echo_trio.console.endpoints import PAGE

Ask = Callable[..., Any]

#: What the first view may weigh on the wire, its font included.
FIRST_VIEW_BYTES = 120 * 1024
ENTRY = re.compile(r'(?:src|href)="\./(assets/[^"]+)"')

# Where everything is to be tried, a page that isn't there is a failure.
pytestmark = pytest.mark.skipif(
    not (PAGE / "index.html").is_file() and os.environ.get("CI") != "true",
    reason="the page isn't built: make page",
)


def entry_script() -> str:
    scripts = ENTRY.findall((PAGE / "index.html").read_text())
    return next(name for name in scripts if name.endswith(".js"))


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [
        ("gzip, deflate, br, zstd", "br"),
        ("br;q=0.1, gzip;q=1.0", "br"),
        ("gzip", "gzip"),
        ("GZIP", "gzip"),
        ("*", "br"),
        ("br;q=0, *", "gzip"),
        ("br;q=nonsense, gzip", "gzip"),
        ("identity", None),
        ("br;q=0, gzip;q=0", None),
        (None, None),
    ],
)
def test_a_script_comes_in_the_best_form_that_the_client_takes_and_lasts(
    console: Any, ask: Ask, accepted: str | None, encoding: str | None
) -> None:
    name = entry_script()
    headers = {} if accepted is None else {"accept-encoding": accepted}
    answer = ask(console.console, f"GET /{name}", **headers)
    assert answer.status == 200
    assert answer.headers.get("content-encoding") == encoding
    assert answer.headers["content-type"].startswith("text/javascript")
    assert answer.headers["vary"] == "accept-encoding"
    assert "immutable" in answer.headers["cache-control"]
    plain = (PAGE / name).read_bytes()
    if encoding is None:
        assert answer.body == plain
    elif encoding == "gzip":
        assert gzip.decompress(answer.body) == plain
    else:
        assert answer.body == (PAGE / f"{name}.br").read_bytes()
        assert len(answer.body) < len(plain) / 3


def test_what_a_file_is_does_not_depend_on_what_the_system_says_of_its_suffix(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mimetypes.init()
    # So it is in many a registry of Windows.
    monkeypatch.setitem(mimetypes.types_map, ".js", "text/plain")
    files = {each.suffix: each for each in PAGE.rglob("*.*") if each.suffix not in {".br", ".gz"}}
    types = {
        suffix: asset_response(file, "", cache_control="no-store").media_type
        for suffix, file in files.items()
    }
    assert types == {
        ".css": "text/css",
        ".html": "text/html",
        ".js": "text/javascript",
        ".svg": "image/svg+xml",
        ".woff2": "font/woff2",
    }


def test_the_first_view_weighs_at_most_120_kib_on_the_wire(console: Any, ask: Ask) -> None:
    fonts = [f"assets/{font.name}" for font in PAGE.glob("assets/geist-latin-wght-normal-*.woff2")]
    assert fonts
    names = ["", "favicon.svg", *ENTRY.findall((PAGE / "index.html").read_text()), *fonts]
    answers = [ask(console.console, f"GET /{name}", **{"accept-encoding": "br"}) for name in names]
    assert {answer.status for answer in answers} == {200}
    assert sum(len(answer.body) for answer in answers) <= FIRST_VIEW_BYTES
