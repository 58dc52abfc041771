import csv
import io

from loadgen.report import csv as report_csv


def test_a_line_a_second_with_the_columns_of_the_json(report_of):
    rows = list(csv.DictReader(io.StringIO(report_csv.render(report_of()).decode(), newline="")))
    assert [{key: float(value) for key, value in row.items()} for row in rows] == [
        {"t_s": 1, "open": 10, "opening": 0, "sent": 20, "received": 20, "errors": 0,
         "p50_ms": 1.5, "p99_ms": 3.5, "lag_ms": 0.2}
    ]  # fmt: skip
