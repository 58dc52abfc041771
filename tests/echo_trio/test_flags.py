"""Flags take the contract's units, show their defaults in them, and are refused in one line."""

from __future__ import annotations

import gc
import io
import sys
from dataclasses import dataclass
from typing import Annotated, Any

import pytest
from cyclopts import App, Parameter

from echo_trio import flags
from echo_trio.help_page import HelpPage


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Wishes:
    """One flag of each kind."""

    wait_s: Annotated[float, flags.duration("--wait")] = 10.0
    rest_s: Annotated[float | None, flags.duration("--rest", default_s=90.0)] = None
    size_bytes: Annotated[int, flags.size("--size")] = 65536
    many: Annotated[int, flags.count("--many", at_least=2)] = 1000
    few: Annotated[int, flags.count("--few")] = 0
    number: Annotated[int, flags.whole("--number")] = 8
    forks: Annotated[int | None, flags.processes("--forks", default=4)] = None
    per_s: Annotated[float | None, flags.rate("--rate", default_per_s=0.5)] = None
    level: Annotated[float, flags.confidence("--level")] = 0.95
    port: flags.Port = 8765
    names: Annotated[tuple[str, ...], flags.several("--name", str.upper)] = ()
    letters: Annotated[tuple[str, ...], flags.several_of_each("--letters", list, "WORD")] = ()
    said: Annotated[str | None, Parameter(name="--say")] = None


DEFAULTS = Wishes()


class Program(App):
    """A program that keeps what it was told last."""


@pytest.fixture
def app() -> Program:
    """A program with each kind of flag."""
    made = Program(name="wish", help_format="plaintext", help_formatter=HelpPage(), version="1.2")

    @made.default
    def wish(
        wishes: Wishes = DEFAULTS, *, notes: Annotated[Any, Parameter(parse=False)] = ()
    ) -> int | None:
        made.told = (wishes, notes)
        if wishes.said == "bad":
            raise ValueError("never from here")
        return int(wishes.said) if wishes.said else None

    return made


def run(app: Program, *arguments: str, **extra: Any) -> int:
    return flags.run_app(app, app, arguments, **extra)


@pytest.mark.parametrize(
    ("arguments", "field", "value"),
    [
        ("--wait 250ms", "wait_s", 0.25),
        ("--rest 0", "rest_s", 0.0),
        ("--size 1KiB", "size_bytes", 1024),
        ("--many 2", "many", 2),
        ("--many 1000000m", "many", 10**12),
        ("--few 0", "few", 0),
        ("--number -3", "number", -3),
        ("--forks 256", "forks", 256),
        ("--rate 30/m", "per_s", 0.5),
        ("--level 0.9999", "level", 0.9999),
        ("--port 0", "port", 0),
        ("--port 65535", "port", 65535),
        ("--name a --name b", "names", ("A", "B")),
        ("--letters ab --letters c", "letters", ("a", "b", "c")),
    ],
)
def test_a_flag_takes_its_unit(app: Program, arguments: str, field: str, value: Any) -> None:
    assert run(app, *arguments.split()) == 0
    wishes, notes = app.told
    assert wishes == Wishes(**{field: value})
    assert notes == ()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("--wait -1s", "'-1s' is not a duration"),
        ("--many 1", "It has to be from 2 to 1000000000000"),
        ("--many 1000001m", "It has to be from 2 to 1000000000000"),
        ("--few -1", "'-1' is not a count"),
        ("--port 65536", "It has to be from 0 to 65535"),
        ("--port -1", "It has to be from 0 to 65535"),
        ("--forks 257", "'257' is neither auto nor a number from 1 to 256"),
        ("--rate -1/s", "'-1/s' is not a rate"),
        ("--wait 1s 2s 3s", "one argument too many: 2s 3s"),
        ("--say ws://u:s3cret@h/?token=s3cret\x1b more", "one argument too many: more"),
        ("ws://u:s3cret@h/?token=s3cret\x1b", r"ws://***@h/?token=***"),
    ],
)
def test_what_no_flag_takes_is_refused_in_one_line_that_says_where_help_is(
    app: Program, capsys: pytest.CaptureFixture[str], arguments: str, says: str
) -> None:
    assert run(app, *arguments.split(" ")) == flags.EXIT_USAGE == 2
    told = capsys.readouterr()
    (line,) = told.err.splitlines()
    assert line.startswith("wish: ")
    assert line.endswith(" (see wish --help)")
    assert says in line
    assert "s3cret" not in line
    assert line.isprintable()
    assert told.out == ""
    assert not hasattr(app, "told")


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_shows_each_flag_with_its_kind_and_its_default(
    app: Program, capsys: pytest.CaptureFixture[str], flag: str
) -> None:
    frozen = gc.get_freeze_count()
    assert run(app, flag) == 0
    assert gc.isenabled()
    assert gc.get_freeze_count() > frozen
    gc.unfreeze()
    shown = [line.split() for line in capsys.readouterr().out.splitlines()]
    for name, *kind_and_default in (
        ("--wait", "DURATION", "[10s]"),
        ("--rest", "DURATION", "[90s]"),
        ("--size", "SIZE", "[64KiB]"),
        ("--many", "COUNT", "[1000]"),
        ("--few", "COUNT", "[0]"),
        ("--number", "NUMBER", "[8]"),
        ("--forks", "N|auto", "[4]"),
        ("--rate", "RATE", "[0.5/s]"),
        ("--level", "PERCENT", "[95.0000%]"),
        ("--port", "PORT", "[8765]"),
        ("--name", "TEXT"),
        ("--letters", "WORD"),
    ):
        assert [name, *kind_and_default] in shown, (name, shown)
    assert not hasattr(app, "told")


def test_the_exit_code_is_what_the_command_returns_and_extras_go_to_who_wants_them(
    app: Program, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(app, "--say", "7", notes=["a"], unwanted=1) == 7
    assert app.told[1] == ["a"]
    with pytest.raises(ValueError, match="never from here"):
        run(app, "--say", "bad")
    assert run(app, "--version") == 0
    assert capsys.readouterr().out == "1.2\n"


def test_a_complaint_may_be_put_in_other_words_and_names_the_command_whose_help_says_more(
    app: Program, capsys: pytest.CaptureFixture[str]
) -> None:
    @app.command
    def grant(wishes: Wishes = DEFAULTS) -> None:
        pass

    def explain(complaint: str) -> str:
        return complaint.replace("--wait", "WISH_WAIT")

    assert run(app, "grant", "--wait", "x", explain=explain) == 2
    assert "WISH_WAIT" in (said := capsys.readouterr().err)
    assert said.endswith(" (see wish grant --help)\n")


class Broken(io.StringIO):
    """An output that fails as it is flushed."""

    def __init__(self, why: OSError) -> None:
        super().__init__()
        self._why = why

    def flush(self) -> None:
        raise self._why


@pytest.mark.parametrize(
    ("stream", "code", "says"),
    [
        (Broken(BrokenPipeError(32, "Broken pipe")), 0, ""),
        (Broken(OSError(28, "No space left")), 2, "can't write to stdout: No space left"),
        (None, 2, "can't write to stdout: it is closed"),
    ],
    ids=["nobody reads on", "full", "closed"],
)
def test_a_page_that_cannot_be_written_is_told_unless_its_reader_has_seen_enough(
    app: Program, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
    stream: Any, code: int, says: str,
) -> None:  # fmt: skip
    monkeypatch.setattr(sys, "stdout", stream)
    assert flags.write_page(app, "a page") == code
    assert capsys.readouterr().err == (f"wish: {says} (see wish --help)\n" if says else "")
    if stream is not None:
        assert stream.getvalue() == "a page\n"
        print("the interpreter flushes at its end", flush=True)
        sys.stdout.close()


def test_a_page_is_printed(app: Program, capsys: pytest.CaptureFixture[str]) -> None:
    assert flags.write_page(app, "a page") == 0
    assert capsys.readouterr() == ("a page\n", "")


def test_a_range_has_both_its_ends_and_no_value_is_within_it() -> None:
    within = flags.Within(2, 5)
    for value in (2, 5, None):
        within(int, value)
    for value in (1.9, 5.1):
        with pytest.raises(ValueError, match="It has to be from 2 to 5"):
            within(int, value)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two flags that have to go together."""

    low: int = 1
    high: int = 2

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError("--low is more than --high.")


BOTH = Pair()


def test_what_a_settings_class_says_of_several_flags_is_one_line_too(
    capsys: pytest.CaptureFixture[str],
) -> None:
    app = Program(name="wish")

    @app.default
    def wish(pair: Pair = BOTH) -> None:
        pass

    assert run(app, "--low", "2") == 0
    assert run(app, "--low", "3", explain=str.upper) == 2
    assert capsys.readouterr().err == "wish: --LOW IS MORE THAN --HIGH (see wish --help)\n"
