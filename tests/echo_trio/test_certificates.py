"""The files of a certificate are watched: what has changed, and has come to rest, is told once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import trio

from echo_trio.certificates import LOOK_INTERVAL_S, watch


@pytest.fixture
async def changes(nursery, autojump_clock, tmp_path: Path):
    """When a change was told, while `certificate.pem` and `key.pem` are watched."""
    told: list[float] = []
    files = [tmp_path / "certificate.pem", tmp_path / "key.pem"]
    for file in files:
        file.write_text("old")
    nursery.start_soon(watch, files, lambda: told.append(trio.current_time()))
    await trio.sleep(LOOK_INTERVAL_S / 2)  # so that we act between its looks
    return told


async def test_nothing_is_told_while_nothing_changes(changes, autojump_clock):
    await trio.sleep(3600)
    assert changes == []


async def test_a_change_is_told_once_and_within_a_minute(changes, autojump_clock, tmp_path):
    changed_s = trio.current_time()
    (tmp_path / "certificate.pem").write_text("new certificate")
    await trio.sleep(3600)
    assert len(changes) == 1
    assert changes[0] - changed_s < 60


async def test_a_key_that_comes_a_moment_after_its_certificate_is_told_with_it(
    changes, autojump_clock, tmp_path
):
    (tmp_path / "certificate.pem").write_text("new certificate")
    await trio.sleep(LOOK_INTERVAL_S)
    (tmp_path / "key.pem").write_text("new key")
    await trio.sleep(3600)
    assert len(changes) == 1


async def test_a_file_that_was_put_in_the_others_place_is_a_change_even_if_it_looks_the_same(
    changes, autojump_clock, tmp_path
):
    before = (tmp_path / "key.pem").stat()
    (tmp_path / "new.pem").write_text("new")
    os.utime(tmp_path / "new.pem", ns=(before.st_atime_ns, before.st_mtime_ns))
    (tmp_path / "new.pem").replace(tmp_path / "key.pem")
    await trio.sleep(60)
    assert len(changes) == 1


async def test_files_that_are_gone_are_a_change_and_that_they_are_back_another(
    changes, autojump_clock, tmp_path
):
    (tmp_path / "key.pem").unlink()
    await trio.sleep(60)
    (tmp_path / "key.pem").write_text("back")
    await trio.sleep(60)
    assert len(changes) == 2
