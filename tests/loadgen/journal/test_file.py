import os
import stat

import psutil
import pytest

from echo_trio.files import WrongKind
from loadgen.journal import file as journals
from loadgen.journal.run import Journal
from loadgen.workload.plan import Plan

PLAN = Plan(3)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where journals are that nobody has named a place for."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return journals.default_path().parent


def leave_journal(path, *, record=b"a record\n"):
    """What a run leaves that is killed."""
    journal = Journal(path, PLAN)
    journal._append(record)
    journal.close()
    return path.read_bytes()


def test_a_journal_is_readable_to_its_user_alone_and_known_by_its_first_line(tmp_path):
    journal = Journal(tmp_path / "x", PLAN)
    assert stat.S_IMODE(journal.path.stat().st_mode) == 0o600
    assert journal.path.read_bytes().startswith(b'{"journal":1,')
    journal.remove()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("content", [b"", b"my notes\n", b'{"schema": 1}\n', b"\xff\xfe"])
def test_a_file_that_is_no_journal_is_left_as_it_is(tmp_path, content, overwrite):
    notes = tmp_path / "notes.txt"
    notes.write_bytes(content)
    with pytest.raises(WrongKind, match="no journal, and is left as it is"):
        Journal(notes, PLAN, overwrite=overwrite)
    assert notes.read_bytes() == content
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("kind", ["device", "pipe", "folder", "link", "link to nothing"])
def test_what_is_no_plain_file_is_no_place_for_a_journal(tmp_path, kind, overwrite):
    path, journal = tmp_path / "x", tmp_path / "a.journal"
    leave_journal(journal)
    make = {
        "device": lambda: path.symlink_to("/dev/null"),
        "pipe": lambda: os.mkfifo(path),
        "folder": path.mkdir,
        "link": lambda: path.symlink_to(journal),
        "link to nothing": lambda: path.symlink_to("nothing"),
    }
    make[kind]()
    with pytest.raises(WrongKind):
        Journal(path, PLAN, overwrite=overwrite)
    with pytest.raises(WrongKind, match="it is a device"):
        Journal(journals.Path("/dev/null"), PLAN, overwrite=overwrite)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.journal", "x"]


@pytest.mark.parametrize("write", [Journal._append, Journal._restart])
def test_the_journal_of_another_run_is_written_over_only_if_that_was_said(tmp_path, write):
    path = tmp_path / "x"
    before = leave_journal(path)
    with pytest.raises(FileExistsError) as caught:
        Journal(path, PLAN)
    assert "--overwrite" in caught.value.strerror
    assert path.read_bytes() == before
    journal = Journal(path, PLAN, overwrite=True)
    assert path.read_bytes() == before  # until there is something to replace it by
    write(journal, b"another\n")
    assert path.read_bytes().endswith(b"another\n")
    assert b"a record" not in path.read_bytes()
    journal.remove()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("write", [Journal._append, Journal._restart])
@pytest.mark.parametrize("is_there", [False, True])
def test_once_a_record_is_written_the_journal_before_is_let_go_of(tmp_path, write, is_there):
    path = tmp_path / "x"
    if is_there:
        leave_journal(path)
    before = psutil.Process().num_fds()
    journal = Journal(path, PLAN, overwrite=True)
    assert (journal.has_records, psutil.Process().num_fds() - before) == (False, 1 + is_there)
    for number in range(3):
        write(journal, b"record %d\n" % number)
        assert (journal.has_records, psutil.Process().num_fds() - before) == (True, 1)
    journal.close()
    assert path.read_bytes().endswith(b"record 2\n")
    assert psutil.Process().num_fds() == before


@pytest.mark.parametrize("end", [Journal.remove, Journal.close])
def test_a_run_that_is_refused_leaves_the_journal_that_it_was_to_replace(tmp_path, end):
    path = tmp_path / "x"
    before = leave_journal(path)
    end(Journal(path, PLAN, overwrite=True))
    assert path.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_journal_in_use_is_not_written_over(tmp_path, overwrite):
    path = tmp_path / "x"
    writing = Journal(path, PLAN)
    with pytest.raises(BlockingIOError, match="another run is writing it"):
        Journal(path, PLAN, overwrite=overwrite)
    writing.close()
    replacing = Journal(path, PLAN, overwrite=True)
    with pytest.raises(BlockingIOError, match="another run is writing it"):
        Journal(path, PLAN, overwrite=overwrite)
    replacing.close()


def test_a_file_that_came_in_the_place_of_a_journal_is_neither_replaced_nor_removed(tmp_path):
    path = tmp_path / "x"
    journal = Journal(path, PLAN)
    path.unlink()
    path.write_text("my notes")
    with pytest.raises(FileExistsError):
        journal._restart(b"longer\n")
    journal._append(b"it goes on in the file that it had\n")
    journal.remove()
    assert path.read_text() == "my notes"


def test_a_journal_knows_how_long_its_file_is_whatever_was_written(tmp_path):
    journal = Journal(tmp_path / "x", PLAN)
    for write in (journal._append, journal._restart, journal._append, journal._restart):
        write(b"a line of the run\n")
        assert journal._size_bytes == journal.path.stat().st_size
    journal.remove()


def test_the_newest_journal_that_nobody_writes_is_found(folder):
    assert journals.find_latest() is None
    leave_journal(folder / "20260101T000000-1.journal")
    leave_journal(folder / "20250101T000000-1.journal")
    running = Journal(folder / "20270101T000000-1.journal", PLAN)
    assert journals.find_latest() == folder / "20260101T000000-1.journal"
    running.close()
    assert journals.find_latest() == running.path


def test_only_so_many_journals_of_dead_runs_are_kept_and_nothing_else_is_touched(folder):
    for number in range(15):
        leave_journal(folder / f"20260101T0000{number:02}-1.journal")
    (folder / "20250101T000000-1.journal").write_text("by hand")
    (folder / "mine.journal").write_text("")
    os.mkfifo(folder / "20240101T000000-1.journal")
    (folder / "20230101T000000-1.journal").symlink_to(folder / "mine.journal")
    journals.default_path()
    assert sorted(path.name for path in folder.iterdir())[:5] == [
        "20230101T000000-1.journal",
        "20240101T000000-1.journal",
        "20250101T000000-1.journal",
        "20260101T000006-1.journal",
        "20260101T000007-1.journal",
    ]
    assert (folder / "mine.journal").exists()


def test_two_runs_of_one_number_in_one_second_have_two_journals(folder):
    first = Journal(journals.default_path(), PLAN)
    second = Journal(journals.default_path(), PLAN)
    assert first.path != second.path
    first.close()
    second.close()
    assert journals.find_latest() in {first.path, second.path}


def test_a_user_without_a_home_has_no_place_for_journals(monkeypatch):
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setattr(journals.Path, "home", no_home)
    with pytest.raises(OSError, match="no home"):
        journals.default_path()


def no_home():
    raise RuntimeError("Could not determine home directory.")


def test_a_line_may_be_as_long_as_is_read_at_once_and_no_longer(monkeypatch, tmp_path):
    monkeypatch.setattr(journals, "MAX_LINE_BYTES", 4)
    path = tmp_path / "journal"
    path.write_bytes(b"abc\nabc\n")
    assert [*journals.read_lines(path, at_most=8)] == [b"abc\n", b"abc\n"]
    with pytest.raises(journals.Unreadable, match="too large"):
        [*journals.read_lines(path, at_most=7)]
    path.write_bytes(b"abc\nabcd\n")
    with pytest.raises(journals.Unreadable, match="a line that is too long"):
        [*journals.read_lines(path, at_most=99)]


def test_an_empty_journal_of_an_older_version_is_one_of_a_dead_run(folder):
    path = folder / "20260101T000000-1.journal"
    path.touch()
    assert journals.find_latest() == path
