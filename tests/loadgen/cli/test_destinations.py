"""Output goes whole to whatever a path names, and waits for a reader as long as nobody minds."""

import errno
import os
import threading
from types import SimpleNamespace

import psutil
import pytest

from loadgen.cli import destinations
from loadgen.cli.destinations import (
    PATIENCE_S,
    PlainFile,
    Stdout,
    _is_harmless,
    _Patience,
    is_same_file,
    is_stdout,
    open_destination,
    write_patiently,
)

CONTENT = bytes(range(256)) * 2000  # more than a pipe holds


@pytest.fixture
def asked_to_end(monkeypatch):
    """Whether a signal has come; and the clock."""
    facts = SimpleNamespace(received=0, now_s=100.0)
    monkeypatch.setattr(destinations, "INTERRUPTS", facts)
    monkeypatch.setattr(
        destinations, "time", SimpleNamespace(monotonic=lambda: facts.now_s, sleep=lambda _: None)
    )
    return facts


def test_a_file_is_tried_before_and_replaced_as_a_whole(tmp_path):
    path = tmp_path / "x"
    path.write_text("old")
    destination = open_destination(str(path))
    assert isinstance(destination, PlainFile)
    assert path.read_text() == "old"
    for content in (b"new", b"newer"):
        destination.write(content)
        assert path.read_bytes() == content
    with pytest.raises(FileNotFoundError):
        open_destination(str(tmp_path / "nowhere" / "x"))


@pytest.mark.parametrize("path", ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
def test_each_name_of_stdout_is_one(capfdbinary, path):
    assert is_stdout(path)
    destination = open_destination(path)
    assert isinstance(destination, Stdout)
    print("before ", end="")
    destination.write(b"and behind")
    assert capfdbinary.readouterr().out == b"before and behind"


@pytest.mark.parametrize("path", ["x", "--", "/dev/stderr", "/dev/fd/2", "/dev/fd/10", "dev/fd/1"])
def test_nothing_else_is_stdout(path):
    assert not is_stdout(path)


def test_stdout_without_a_descriptor_takes_bytes_as_well(capsysbinary):
    print("before ", end="")
    Stdout().write(b"and behind")
    assert capsysbinary.readouterr().out == b"before and behind"


@pytest.mark.parametrize("by", ["/dev/fd/{}", "/proc/self/fd/{}"])
def test_a_descriptor_that_was_inherited_is_written_behind_what_is_there(tmp_path, by):
    with (tmp_path / "x").open("wb", buffering=0) as file:
        file.write(b"before ")
        destination = open_destination(by.format(file.fileno()))
        destination.write(b"one ")
        destination.write(b"two")
        assert os.fstat(file.fileno()).st_size == len(b"before one two")
    assert (tmp_path / "x").read_bytes() == b"before one two"


@pytest.mark.parametrize("comes", ["before", "later"])
def test_the_reader_of_a_pipe_gets_all_of_it_whenever_it_comes(tmp_path, comes):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    read = []
    reader = threading.Thread(target=lambda: read.append(path.read_bytes()))
    if comes == "before":
        reader.start()
    destination = open_destination(str(path))
    if comes == "later":
        reader.start()
    destination.write(CONTENT)
    reader.join(60)
    assert read == [CONTENT]


def test_a_pipe_ends_with_each_writing_and_is_there_for_the_next_reader(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    destination = open_destination(str(path))
    before = psutil.Process().num_fds()
    for content in (b"one", b"two"):
        reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        destination.write(content)
        assert [os.read(reader, 99), os.read(reader, 99)] == [content, b""]
        os.close(reader)
    assert psutil.Process().num_fds() == before


def test_a_pipe_whose_reader_has_left_is_told(tmp_path):
    ours, theirs = os.pipe()
    os.close(ours)
    try:
        with pytest.raises(BrokenPipeError):
            write_patiently(theirs, b"x")
    finally:
        os.close(theirs)


def test_a_named_pipe_whose_reader_has_left_is_told_and_closed(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    destination = open_destination(str(path))
    os.close(reader)
    before = psutil.Process().num_fds()
    with pytest.raises(BrokenPipeError):
        destination.write(b"x")
    assert before - psutil.Process().num_fds() == 1


def test_nobody_is_waited_for_who_does_not_come_once_the_end_was_asked_for(tmp_path, asked_to_end):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    destination, looks = open_destination(str(path)), []

    def sleep(_):
        looks.append(asked_to_end.now_s)
        if len(looks) == 50:
            asked_to_end.received = 2
        asked_to_end.now_s += 0.25

    destinations.time.sleep = sleep
    with pytest.raises(TimeoutError) as late:
        destination.write(b"x")
    assert late.value.errno == errno.ETIMEDOUT
    assert len(looks) == 50 + PATIENCE_S / 0.25


def test_whoever_takes_some_now_and_then_is_waited_for(asked_to_end, monkeypatch):
    """Of five parts each is taken after a little less than patience lasts; the last too late."""
    ours, theirs = os.pipe()
    asked_to_end.received = 2
    waits, taken = [], []

    def poll(_):
        waits.append(1)
        asked_to_end.now_s += PATIENCE_S * 0.3
        return (len(waits) % 4 == 0 or len(taken) == 3) and len(taken) < 5

    def write(descriptor, view):
        taken.append(bytes(view))
        if len(taken) == 3:
            raise BlockingIOError
        return min(len(view), 7)

    monkeypatch.setattr(destinations, "_poll_for_writing", lambda _: poll)
    monkeypatch.setattr(destinations.os, "write", write)
    content = bytes(range(100))
    with pytest.raises(TimeoutError, match="nobody reads it"):
        write_patiently(theirs, content)
    monkeypatch.undo()
    os.close(ours)
    os.close(theirs)
    assert taken == [content[at:] for at in (0, 7, 14, 14, 21)]


def test_a_pipe_is_given_no_more_at_once_than_it_surely_has_room_for(monkeypatch):
    ours, theirs = os.pipe()
    sizes, write = [], os.write
    monkeypatch.setattr(
        destinations.os, "write", lambda fd, view: sizes.append(len(view)) or write(fd, view)
    )
    write_patiently(theirs, bytes(10_000))
    monkeypatch.undo()
    os.close(ours)
    os.close(theirs)
    assert sizes == [4096, 4096, 10_000 - 2 * 4096]


def test_patience_begins_to_end_when_the_end_was_asked_for(asked_to_end):
    patience = _Patience()
    for _ in range(3):
        asked_to_end.now_s += 1000
        patience.check()
    asked_to_end.received = 15
    patience.check()
    asked_to_end.now_s += PATIENCE_S - 0.001
    patience.check()
    asked_to_end.now_s += 0.001
    with pytest.raises(TimeoutError):
        patience.check()


@pytest.mark.parametrize(
    ("path", "harmless"),
    [
        ("/dev/null", True),
        ("/DEV/NULL", True),
        ("/dev/full", True),
        ("/dev/zero", False),
        ("/dev/pts/0", True),
        ("/dev/tty", True),
        ("/dev/ttyS0", True),
        ("/dev/random", False),
    ],
)
def test_a_device_is_written_to_if_nothing_can_be_lost_there(monkeypatch, path, harmless):
    numbers = {"/dev/null": (1, 3), "/dev/full": (1, 7), "/dev/zero": (1, 5), "/dev/random": (1, 8)}
    monkeypatch.setattr(
        destinations.os, "stat",
        lambda name: SimpleNamespace(st_rdev=os.makedev(*numbers.get(name, (4, 64)))),
    )  # fmt: skip
    assert _is_harmless(path) is harmless


def test_a_device_that_does_something_is_refused():
    open_destination("/dev/null").write(b"x")
    with pytest.raises(OSError, match="device, not a file"):
        open_destination("/dev/zero")
    with pytest.raises(OSError, match="No space left"):
        open_destination("/dev/full").write(b"x")


def test_two_names_are_of_one_file_only_if_both_are_plain(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x").write_text("")
    (tmp_path / "link").symlink_to("x")
    os.mkfifo("pipe")
    same = [("x", "x"), ("x", "./x"), ("x", "link"), ("new", "./new")]
    others = [("x", "y"), ("pipe", "pipe"), ("-", "-"), ("/dev/null", "/dev/null"),
              ("/dev/fd/3", "/dev/fd/3"), ("x", "pipe"), ("pipe", "x")]  # fmt: skip
    assert [is_same_file(*each) for each in [*same, *others]] == [True] * 4 + [False] * 7
