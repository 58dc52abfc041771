"""The exit code of a run is the first of the contract's rows that holds."""

import msgspec
import pytest

from loadgen.cli.exit_codes import exit_code
from loadgen.report.model import ThresholdReport
from loadgen.report.verdict import RunVerdict
from loadgen.results.ledger import Ledger


@pytest.mark.parametrize(
    ("interrupted", "opened", "verdict", "code"),
    [
        pytest.param(True, 0, "failed", 130, id="interrupted-before-all"),
        pytest.param(True, 5, "failed", 130, id="interrupted"),
        pytest.param(False, 0, "failed", 69, id="nothing-opened"),
        pytest.param(False, 5, "failed", 1, id="failed"),
        pytest.param(False, 5, "generator-limited", 3, id="generator-limited"),
        pytest.param(False, 5, "valid", 0, id="valid"),
    ],
)
def test_the_exit_code_is_the_first_of_the_contracts_rows_that_holds(
    report_of, interrupted: bool, opened: int, verdict: RunVerdict, code: int
):
    report = report_of(Ledger(5, opened=opened), interrupted=interrupted)
    report = msgspec.structs.replace(report, verdict=verdict)
    assert exit_code(report) == code
    held, breached = (
        ThresholdReport(expr="messages.sent>0", value=1, breached=breached)
        for breached in (False, True)
    )
    report = msgspec.structs.replace(report, thresholds=[held])
    assert exit_code(report) == code
    report = msgspec.structs.replace(report, thresholds=[held, breached])
    assert exit_code(report) == (code or 99)
