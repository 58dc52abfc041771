"""The journal of a run is opened where it may be, and removed once the report is told."""

from pathlib import Path

import pytest

from loadgen.cli import journal as journal_module
from loadgen.cli.journal import open_journal, settle
from loadgen.signals import LAST_WORDS


class FakeJournal:
    """A journal that notes what becomes of it."""

    def __init__(self, path, *, overwrite=None):
        self.path, self.overwrite = path, overwrite
        self.problem, self.has_records = None, False
        self.done = []

    def remove(self):
        self.done.append("removed")

    def close(self):
        self.done.append("closed")


@pytest.fixture(autouse=True)
def default_place(monkeypatch):
    monkeypatch.setattr(journal_module, "default_path", lambda: Path("/default"))
    monkeypatch.setattr(LAST_WORDS, "journal", lambda: None)


@pytest.mark.parametrize(
    ("path", "available", "opened"),
    [
        ("off", True, None),
        (None, False, None),
        (None, True, (Path("/default"), None)),
        ("mine", True, (Path("mine"), True)),
        ("mine", False, (Path("mine"), True)),
    ],
)
def test_a_journal_is_where_it_was_asked_for_or_where_the_default_is(
    monkeypatch, path, available, opened
):
    monkeypatch.setattr(journal_module.locks, "AVAILABLE", available)
    made = open_journal(FakeJournal, path, overwrite=True)
    assert (None if made is None else (made.path, made.overwrite)) == opened
    assert LAST_WORDS.journal() is None
    if made is not None:
        made.has_records = True
        assert LAST_WORDS.journal() == str(made.path)


def test_one_that_cannot_be_kept_is_a_fault_only_if_it_was_asked_for(monkeypatch, capsys):
    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(journal_module.locks, "AVAILABLE", True)
    with pytest.raises(OSError, match="No space left"):
        open_journal(fail, "mine", overwrite=False)
    assert capsys.readouterr().err == ""
    assert open_journal(fail, None, overwrite=False) is None
    assert capsys.readouterr().err == (
        "loadgen: no journal is kept, should this be killed: No space left on device "
        "(--journal names a place)\n"
    )
    assert LAST_WORDS.journal() is None


@pytest.mark.parametrize("problem", [None, "the disk is full"])
@pytest.mark.parametrize("has_records", [False, True])
@pytest.mark.parametrize("is_told", [False, True])
def test_what_was_measured_is_kept_unless_it_was_told(capsys, is_told, has_records, problem):
    made = FakeJournal(Path("mine"))
    made.has_records, made.problem = has_records, problem
    settle(made, is_told=is_told)
    kept = has_records and not is_told
    assert made.done == ["closed" if kept else "removed"]
    said = [f"the journal ended before the run: {problem}"] if problem else []
    said += ["what was measured is in mine: loadgen recover"] if kept else []
    assert capsys.readouterr().err == "".join(f"loadgen: {line}\n" for line in said)


def test_without_a_journal_there_is_nothing_to_settle(capsys):
    settle(None, is_told=False)
    assert capsys.readouterr() == ("", "")
