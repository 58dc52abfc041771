"""A file of the page is sent in the smallest form that its reader takes."""

from __future__ import annotations

from pathlib import Path

import pytest

from echo_trio.console.assets import asset_response


@pytest.mark.parametrize(
    ("accepts", "encoding"),
    [
        ("", None),
        ("gzip, deflate, br", "br"),
        ("gzip", "gzip"),
        ("GZIP;Q=0.5", "gzip"),
        ("br;q=0, gzip", "gzip"),
        ("br;q=0.001", "br"),
        ("br;q=nonsense, gzip", "gzip"),
        ("br;level=3", "br"),
        ("*", "br"),
        ("*;q=0", None),
        ("*, br;q=0", "gzip"),
        ("identity", None),
        ("x" * 510 + ",br", None),
        ("x" * 509 + ",br", "br"),
    ],
)
def test_the_best_form_that_is_taken_is_sent(
    tmp_path: Path, accepts: str, encoding: str | None
) -> None:
    for suffix in ("", ".br", ".gz"):
        (tmp_path / f"a.js{suffix}").write_text(suffix)
    response = asset_response(tmp_path / "a.js", accepts, cache_control="no-cache")
    assert response.headers.get("content-encoding") == encoding
    suffix = {"br": ".br", "gzip": ".gz", None: ""}[encoding]
    assert Path(response.path) == tmp_path / f"a.js{suffix}"
    assert response.media_type == "text/javascript"
    assert (response.headers["cache-control"], response.headers["vary"]) == (
        "no-cache",
        "accept-encoding",
    )


@pytest.mark.parametrize(
    ("name", "kind"),
    [("a.css", "text/css"), ("a.html", "text/html"), ("a.svg", "image/svg+xml"),
     ("a.woff2", "font/woff2"), ("a.bin", "application/octet-stream")],
)  # fmt: skip
def test_a_form_that_was_not_built_is_passed_over(tmp_path: Path, name: str, kind: str) -> None:
    (tmp_path / name).write_text("")
    response = asset_response(tmp_path / name, "br, gzip", cache_control="x")
    assert (Path(response.path), response.media_type) == (tmp_path / name, kind)
    (tmp_path / f"{name}.gz").write_text("")
    response = asset_response(tmp_path / name, "br, gzip", cache_control="x")
    assert (response.headers["content-encoding"], response.media_type) == ("gzip", kind)
