"""`recover` and `compare` given files that were cut, edited or made up: one line, no traceback."""

import base64
import json
import os
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadgen.cli.compare import compare
from loadgen.cli.recover import recover
from loadgen.journal.run import Journal, _encode, _make_head
from loadgen.journal.search import SearchJournal
from loadgen.report import json as report_json
from loadgen.report import thresholds
from loadgen.results import record
from loadgen.studies.capacity import SearchOutcome, Step
from loadgen.workload.misbehaviour import Kind
from loadgen.workload.plan import Plan

from ..conftest import clean_ledger

ESCAPES = "\x1b[2J\x1b]0;owned\x07\u202e"
#: Some of them take a tenth of a second; `make soak` has time for more.
EXAMPLES = 2000 if "SOAK_MINUTES" in os.environ else 60
#: What is put in the place of any value.
STRANGE = [
    *(None, True, -1, 0, 1, 0.5, -(2**63), 2**63, 2**64, 10**30, 10**400, 1e308, -1e308),
    *("", "x", ESCAPES, "\ud83d", "9" * 400, "ws://[", "http://x/", "a" * 100_000),
    *("2026-01-01", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59-23:59", "2026-01-01T00:00:00"),
    *([], {}, [[]], [None], {"": None}, ["a", 1], [["x", 1]], [[1, 2, 3]], [[[], 1]]),
    *({"1": 1}, {"-1": 1}, {"99999999999": 1}, {"1": -1}, {"0": 2**62}),
]


@pytest.fixture
def run_journal(result_of, tmp_path):
    """A journal of three seconds, decoded line by line."""
    result = result_of(apart={Kind.HALF_OPEN: clean_ledger()})
    journal = Journal(tmp_path / "made.journal", result.plan)
    journal.remove()
    line = _encode(record.make("load", result, result.series))
    return [json.loads(line) for line in (_encode(_make_head(result)), line, line, line)]


@pytest.fixture
def search_journal(tmp_path, report_of):
    """A journal of a search of two steps, decoded line by line."""
    made = SearchJournal(
        tmp_path / "made.journal", Plan(3).settings(), [thresholds.parse("latency.p99>1ms")]
    )
    report = report_of()
    for rate, outcome in ((10.0, SearchOutcome.HELD), (20.0, SearchOutcome.BROKE)):
        made.note(
            Step(
                rate_per_s=rate,
                outcome=outcome,
                reasons=["too late"],
                received_per_s=1.0,
                p50_ms=1.0,
                p99_ms=2.0,
                started_at=report.started_at,
                series=report.series,
            )
        )
    lines = [json.loads(line) for line in made.path.read_bytes().splitlines()]
    made.remove()
    return lines


@pytest.fixture
def report(report_of):
    return [json.loads(report_json.encode(report_of()))]


@pytest.fixture
def told(tmp_path, capsys):
    """Has a command read these bytes; checks what it says of them, and returns its exit code."""

    def tell(command, content):
        path = tmp_path / "damaged"
        path.write_bytes(content)
        code = compare(path, path, different_plans=True) if command == "compare" else recover(path)
        out, err = capsys.readouterr()
        assert all(line.isprintable() for line in (out + err).split("\n"))
        assert code in {0, 2}
        if code == 2:
            (line,) = err.splitlines()
            assert str(path) in line
            assert out == ""
        return code

    return tell


def places(value, path=()):
    """The paths of all values in a decoded document."""
    yield path
    if isinstance(value, dict):
        for key, each in value.items():
            yield from places(each, (*path, key))
    elif isinstance(value, list):
        for index, each in enumerate(value[:3]):
            yield from places(each, (*path, index))


def replaced(value, path, new):
    """The document with another value in that place; without it, if that is `...`."""
    if not path:
        return new
    key, *rest = path
    changed = dict(value) if isinstance(value, dict) else list(value)
    if not rest and new is ...:
        del changed[key]
    else:
        changed[key] = replaced(value[key], rest, new)
    return changed


def encode(lines):
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def mutate(documents, random):
    """Change one value in a document to a strange one, or leave it out."""
    number = random.randrange(len(documents))
    all_places = [path for path in places(documents[number]) if path]
    path = random.choice(all_places)
    new = random.choice([..., *STRANGE])
    changed = list(documents)
    changed[number] = replaced(documents[number], path, new)
    return changed


@pytest.mark.parametrize("name", ["run_journal", "search_journal"])
def test_whole_journals_are_recovered(request, told, name):
    assert told("recover", encode(request.getfixturevalue(name))) == 0


def test_whole_reports_are_compared(told, report):
    assert told("compare", encode(report)) == 0


@pytest.mark.parametrize(
    ("command", "name"),
    [("recover", "run_journal"), ("recover", "search_journal"), ("compare", "report")],
)
def test_any_value_in_any_place_is_one_line_or_harmless(request, told, command, name):
    documents = request.getfixturevalue(name)

    @settings(max_examples=EXAMPLES)
    @given(st.randoms(use_true_random=False), st.integers(1, 3))
    def change(random, times):
        changed = documents
        for _ in range(times):
            changed = mutate(changed, random)
        told(command, encode(changed))

    change()


@pytest.mark.parametrize(
    ("command", "name"),
    [("recover", "run_journal"), ("recover", "search_journal"), ("compare", "report")],
)
def test_any_bytes_lost_doubled_or_changed_are_one_line_or_harmless(request, told, command, name):
    content = encode(request.getfixturevalue(name))

    @settings(max_examples=EXAMPLES)
    @given(st.data())
    def damage(data):
        start, end = sorted(data.draw(st.tuples(*[st.integers(0, len(content))] * 2)))
        middle = data.draw(st.sampled_from([b"", content[start:end] * 2]) | st.binary(max_size=20))
        told(command, content[:start] + middle + content[end:])

    damage()


@pytest.mark.parametrize("command", ["recover", "compare"])
@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\0" * 1000, id="zeros"),
        pytest.param(b"\xff\xfe{\0}\0", id="utf-16"),
        pytest.param(b"[" * 100_000, id="brackets"),
        pytest.param(b'{"plan":' * 100_000, id="tables"),
        pytest.param(b'{"schema": 1, "plan": ' + b"[" * 100_000, id="brackets-in-a-plan"),
        pytest.param(b'{"schema": 1, "a": ' + b"[" * 100_000, id="brackets-in-what-is-not-read"),
        pytest.param(b'{"schema": ' + b"9" * 5000 + b"}", id="digits"),
        pytest.param(b'{"schema": 1}' * 2, id="two"),
        pytest.param(b"null", id="null"),
    ],
)
def test_what_is_neither_journal_nor_report_is_one_line(told, command, content):
    assert told(command, content) == 2


def histogram(payload, *, header=None, cookie=0x1C849314):
    data = zlib.compress((header or b"") + payload)
    return base64.b64encode(cookie.to_bytes(4) + len(data).to_bytes(4) + data).decode()


def inner(length, *, digits=3, highest=3_600_000_000, offset=0):
    fields = (0x1C849313, length, offset, digits)
    return (
        b"".join(field.to_bytes(4) for field in fields)
        + (1).to_bytes(8) + highest.to_bytes(8) + b"\x3f\xf0" + bytes(6)
    )  # fmt: skip


@pytest.mark.parametrize(
    "encoded",
    [
        pytest.param("", id="empty"),
        pytest.param(lambda: histogram(bytes(2**24)), id="a-bomb"),
        pytest.param(histogram(b"\x81", header=inner(1)), id="half-a-count"),
    ],
)
def test_a_histogram_that_is_none_is_one_line_and_is_not_inflated(told, report, encoded):
    report[0]["histograms"]["intended"] = encoded() if callable(encoded) else encoded
    assert told("compare", encode(report)) == 2


def test_what_a_report_says_reaches_no_terminal(told, report):
    report[0]["verdict"] = "failed"
    report[0]["verdict_reasons"] = [ESCAPES]
    report[0]["plan"][ESCAPES] = ESCAPES
    assert told("compare", encode(report)) == 0


def test_a_journal_of_another_version_without_what_came_later_is_read(told, run_journal):
    for line in run_journal[1:]:
        del line["apart"]
        line["ledger"]["of a later version"] = 1
        line["of a later version"] = 1
    assert told("recover", encode(run_journal)) == 0
