"""Recordings: what is in them, what is masked, where they end."""

from __future__ import annotations

import base64
import json
import logging
import resource
import stat

import pytest
import structlog
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from echo_trio import Settings, recording, serving_in_thread

#: A hang guard, nothing else.
PATIENCE_S = 60.0


def lines_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_recording_has_each_connection_whole_and_no_secret(tmp_path):
    file = tmp_path / "record.ndjson"
    settings = Settings(port=0, seed=1, drain_timeout_s=1.0, record=file)
    with serving_in_thread(settings) as server:
        headers = {"Authorization": "Bearer hunter2", "X-Kind": "plain"}
        url = server.path("/duplicate/1?token=hunter3&flag&empty=")
        with connect(url, additional_headers=headers, proxy=None) as client:
            client.send("héllo")
            client.recv()
            client.send(b"\xff\x00")
            client.recv()
        with pytest.raises(InvalidStatus), connect(server.path("/status/503?a=b"), proxy=None):
            pass
        with connect(server.path("/fragment/1"), proxy=None) as client:
            client.send("x")
            client.recv()
        server.wait_closed(3, PATIENCE_S)
        assert [connection.messages_out for connection in server.connections] == [4, 0, 1]
    lines = lines_of(file)
    assert "hunter" not in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    first = [line for line in lines if line["connection"] == 1]
    assert [line["type"] for line in first] == [
        "opened", "sent", "received", "received", "sent", "received", "received", "closed"
    ]  # fmt: skip
    details = first[0]["details"]
    assert (details["path"], details["query"]) == (
        "/duplicate/1",
        "token=(masked, 7 bytes)&flag&empty",
    )
    assert ["authorization", "(masked, 14 bytes)"] in details["headers"]
    assert ["x-kind", "plain"] in details["headers"]
    assert (first[1]["kind"], first[1]["data"], first[1]["size_bytes"]) == ("text", "héllo", 6)
    assert first[2]["data"] == "héllo 566561"
    assert (first[4]["kind"], base64.b64decode(first[4]["data"])) == ("binary", b"\xff\x00")
    assert first[4]["size_bytes"] == 2
    assert first[-1]["details"]["outcome"] == "clean"
    assert (first[-1]["details"]["code"], first[-1]["details"]["messages_sent"]) == (1000, 4)
    (refused,) = [line for line in lines if line["connection"] == 2]
    assert refused["type"] == "closed"
    assert (refused["details"]["status"], refused["details"]["path"]) == (503, "/status/503")
    assert "headers" in refused["details"]
    assert "headers" not in first[-1]["details"]
    times = [line["at_ms"] for line in lines]
    assert times == sorted(times)


def test_a_full_recording_says_so_and_the_server_goes_on(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("echo_trio.recording.MAX_FILE_BYTES", 20_000)
    monkeypatch.setattr("echo_trio.recording.AT_ONCE_BYTES", 1_000)
    file = tmp_path / "record.ndjson"
    with (
        caplog.at_level(logging.WARNING, "echo_trio"),
        serving_in_thread(Settings(port=0, drain_timeout_s=1.0, record=file)) as server,
        connect(server.path("/plain"), proxy=None) as client,
    ):
        for number in range(300):
            client.send(str(number))
            assert client.recv() == str(number)
    *before, last = file.read_bytes().splitlines(keepends=True)
    room = 20_000 - recording.LAST_LINE_BYTES
    assert room - 1_000 < sum(map(len, before)) <= room
    assert len(last) <= recording.LAST_LINE_BYTES
    lines = lines_of(file)
    assert lines[-1].keys() == {"type", "at", "at_ms"}
    assert lines[-1]["type"] == "full"
    sent = [line["data"] for line in lines if line["type"] == "sent"]
    assert sent == [str(number) for number in range(len(sent))]
    assert len([r for r in caplog.records if "recording is full" in r.getMessage()]) == 1


class ShortWriter:
    """A file that takes a few bytes at a time, as one on a network may."""

    closed = False

    def __init__(self) -> None:
        self.written = b""

    def write(self, data: memoryview) -> int:
        self.written += data[:7]
        return min(len(data), 7)


def test_a_disk_that_takes_lines_in_parts_gets_them_whole(tmp_path):
    recorder = recording.Recorder.open(tmp_path / "record.ndjson", log=None)
    recorder._draft.file, whole = (short := ShortWriter()), recorder._draft.file
    for number in range(3):  # as if the disk had been busy meanwhile
        recorder.add("sent", 1, data=str(number))
        recorder._take_pending()
    recorder._write()
    recorder._draft.file = whole
    recorder.close()
    assert [json.loads(line)["data"] for line in short.written.splitlines()] == ["0", "1", "2"]


def test_a_file_that_exists_is_left_as_it_is(tmp_path):
    file = tmp_path / "record.ndjson"
    file.write_text("mine")
    with (
        pytest.raises(OSError, match=r"--record .*record\.ndjson: there is a file of that name"),
        serving_in_thread(Settings(port=0, record=file)),
    ):
        pass
    assert file.read_text() == "mine"
    with (
        pytest.raises(OSError, match="that is a folder: name a file in it"),
        serving_in_thread(Settings(port=0, record=tmp_path)),
    ):
        pass


def test_several_workers_have_no_recording(tmp_path):
    with pytest.raises(ValueError, match="--record needs --workers 1"):
        Settings(workers=2, record=tmp_path / "record.ndjson")


def test_a_disk_that_is_full_ends_the_recording_not_the_server(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("echo_trio.recording.AT_ONCE_BYTES", 0)
    file = tmp_path / "record.ndjson"
    with serving_in_thread(Settings(port=0, drain_timeout_s=1.0, record=file)) as server:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (file.stat().st_size + 10, hard))
        try:
            with connect(server.path("/drop/1"), proxy=None) as client:
                client.send("hello")
                client.recv()
                with pytest.raises(ConnectionClosed):
                    client.recv()
            server.wait_closed(1, PATIENCE_S)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        with connect(server.path("/plain"), proxy=None) as client:
            client.send("hello")
            assert client.recv() == "hello"
    (error,) = [r.getMessage() for r in caplog.records if r.levelno == logging.ERROR]
    assert error.startswith("the recording ends")


class Log:
    """A log that is asked for what went wrong."""

    def __init__(self):
        self.errors = []

    def error(self, event, **_):
        self.errors.append(event)


def test_where_the_disk_is_full_the_recording_ends_with_a_whole_line_and_once(tmp_path):
    file = tmp_path / "record.ndjson"
    recorder = recording.Recorder.open(file, log := Log())
    recorder.start()
    for number in range(3):
        recorder.add("sent", 1, data=str(number))
    recorder._take_pending()
    recorder.add("sent", 1, data="what came while the others were written")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # The third is a little shorter than the first, and does not get in whole.
    resource.setrlimit(resource.RLIMIT_FSIZE, (sum(map(len, recorder._chunks)) - 5, hard))
    try:
        recorder._write()
        recorder._take_pending()
        recorder._write()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    recorder.add("sent", 1, data="later")
    recorder.close()
    assert [line["data"] for line in lines_of(file)] == ["0", "1"]
    assert file.read_bytes().endswith(b"\n")
    assert log.errors == ["the recording ends"]


class HeldLock:
    """A lock that another thread has."""

    def acquire(self, blocking=True, timeout=-1):
        assert not blocking
        return False


def test_a_process_that_ends_by_force_saves_what_it_has_and_waits_for_nobody(tmp_path):
    file = tmp_path / "record.ndjson"
    recorder = recording.Recorder.open(file, Log())
    recorder.start()
    recorder.add("sent", 1, data="saved")
    recorder.save_at_once()
    assert [line["data"] for line in lines_of(file)] == ["saved"]
    recorder.add("sent", 1, data="another thread is writing")
    lock, recorder._writing = recorder._writing, HeldLock()
    recorder.save_at_once()
    recorder._writing = lock
    assert [line["data"] for line in lines_of(file)] == ["saved"]
    recorder.close()
    recorder.save_at_once()
    assert len(lines_of(file)) == 2


@pytest.mark.parametrize(
    ("name", "why"),
    [("/dev/full", "it is a device, not a file"), ("nowhere/x", "there is no folder .*nowhere")],
)
def test_what_no_recording_can_be_made_of_is_said(tmp_path, name, why):
    with pytest.raises(OSError, match=f"--record .*{name}: {why}"):
        recording.Recorder.open(tmp_path / name, Log())


class EvenEncoder:
    """Writes every line in 100 bytes, its end included."""

    def encode(self, line):
        return f"{line['type']:99}".encode()


def test_a_recording_is_full_at_its_limit_and_not_a_line_before(tmp_path, monkeypatch):
    monkeypatch.setattr(recording, "MAX_FILE_BYTES", recording.LAST_LINE_BYTES + 1000)
    monkeypatch.setattr(recording, "_ENCODER", EvenEncoder())
    file = tmp_path / "record.ndjson"
    recorder = recording.Recorder.open(file, structlog.get_logger())
    recorder.start()
    for _ in range(12):
        recorder.add("sent", 1)
    recorder.close()
    assert file.read_text().split() == ["sent"] * 10 + ["full"]
