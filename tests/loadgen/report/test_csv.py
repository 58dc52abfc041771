import csv
import io

from loadgen.report import csv as report_csv
from loadgen.results.series import Second


def test_a_line_a_second_with_the_columns_of_the_json(report_of):
    rows = list(csv.DictReader(io.StringIO(report_csv.render(report_of()).decode(), newline="")))
    assert [{key: float(value) for key, value in row.items()} for row in rows] == [
        {"t_s": 1, "open": 10, "opening": 0, "sent": 20, "received": 20, "errors": 0,
         "p50_ms": 1.5, "p99_ms": 3.5, "lag_ms": 0.2}
    ]  # fmt: skip


def test_a_second_without_replies_has_no_latency(report_of):
    second = Second(
        t_s=1.0, open=10, opening=0, sent=3, received=0, errors=0,
        p50_ms=None, p99_ms=None, lag_ms=0.2,
    )  # fmt: skip
    (_, row) = report_csv.render(report_of(series=[second])).decode().splitlines()
    assert row == "1.0,10,0,3,0,0,,,0.2"


def test_lines_end_as_the_standard_has_it(report_of):
    lines = report_csv.render(report_of()).split(b"\r\n")
    assert (len(lines), lines[-1]) == (3, b"")
    assert b"\n" not in b"".join(lines)
