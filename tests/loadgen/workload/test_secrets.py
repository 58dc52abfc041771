import io
import json
import re

import pytest

from loadgen.cli import load
from loadgen.journal.run import Journal, _encode, _make_head
from loadgen.journal.search import SearchJournal
from loadgen.report import csv, html, stream, text
from loadgen.report import json as report_json
from loadgen.studies.capacity import _judge
from loadgen.studies.compare import compare
from loadgen.workload.plan import Plan


@pytest.mark.parametrize(
    "arguments",
    [
        ["1", "ws://user:s3cret@h/"],
        ["1", "ws://user:s3@cret@h/"],
        ["1", "ws://user:s3/cret@h/"],
        ["1", "ws://h:x/?access_token=s3cret"],
        ["1", "ws://h/#access_token=s3cret"],
        ["1", "ws://h/?token=s3cret", "--cacert", "x"],
        ["1", "ws://h/ü?token=s3cret"],
        ["ws://h/?token=s3cret", "1"],
        ["1", "ws://h/", "ws://h/?token=s3cret"],
        ["1", "--header", "Authorization Bearer s3cret"],
        ["1", "--header", "Authorization:", "Bearer", "s3cret"],
        ["1", "--header", "Authorization:", "s3cret"],
        ["--header=Authorization:", "s3cret", "1"],
        ["1", "--header", "Authorization: s3cret\nX: y"],
        ["1", "--subprotocol", "token s3cret"],
        ["1", "--header", "@HEADERS"],
        ["1", "--dask", "tcp://u:s3cret@h"],
        ["1", "--console", "ftp://u:s3cret@h/?key=s3cret"],
        ["plan", "1k", "ws://u:s3cret@h/?token=s3cret"],
        ["plan", "1k", "ws://h/?token=s3cret"],
    ],
    ids=" ".join,
)
def test_no_line_that_is_printed_shows_a_secret(arguments, tmp_path, capsys):
    headers = tmp_path / "headers.txt"
    headers.write_bytes("\ufeffs3cret".encode())
    load.main([each.replace("HEADERS", str(headers)) for each in arguments])
    shown = capsys.readouterr()
    assert not re.search("s3|cret", shown.err + shown.out)
    assert shown.err or "token=***" in shown.out


def secretive_plan(secret):
    return Plan(
        10,
        f"ws://h/p?room=1&token={secret}",
        headers=(("Authorization", f"Bearer {secret}"), ("X-Tenant", "a")),
        subprotocols=("chat", f"bearer.token.{secret}"),
        proxy=f"http://user:{secret}@proxy:3128",
    )


def test_no_form_of_a_report_has_a_secret_of_the_plans_in_it(report_of, tmp_path):
    template = tmp_path / "report.html"
    template.write_text('<script type="application/json" id="loadgen-report">null</script>')
    report = report_of(plan=secretive_plan("s3cret"))
    written = io.StringIO()
    text.write(report, written)
    forms = [report_json.encode(report), csv.render(report), html.render(report, template)]
    forms += [stream.encode(report), written.getvalue().encode()]
    for form in forms:
        assert b"s3cret" not in form
    plan = json.loads(forms[0])["plan"]
    assert plan["url"] == "ws://h/p?room=1&token=***"
    assert plan["headers"] == [["Authorization", "***"], ["X-Tenant", "a"]]
    assert plan["subprotocols"] == ["chat", "***"]
    assert plan["proxy"].endswith("@proxy:3128")


def test_no_journal_has_a_secret_of_the_plans_in_it(result_of, report_of, tmp_path):
    plan = secretive_plan("s3cret")
    run = Journal(tmp_path / "run.journal", plan)
    search = SearchJournal(tmp_path / "search.journal", plan.settings(), [])
    search.note(_judge(1.0, report_of(plan=plan), []))
    run._append(_encode(_make_head(result_of(plan=plan))))
    for journal in (run, search):
        journal.close()
        written = journal.path.read_bytes()
        assert b"room=1" in written
        assert b"s3cret" not in written


def test_runs_with_different_tokens_are_still_the_same_experiment(report_of):
    one, other = (
        json.loads(report_json.encode(report_of(plan=secretive_plan(secret))))
        for secret in ("s3cret", "0ther")
    )
    assert compare({"a": one}, {"b": other}).plan_differences == []
