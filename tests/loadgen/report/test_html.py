import json
import re

import msgspec
import pytest

from loadgen.report import html
from loadgen.report import json as report_json

PLACE = '<script type="application/json" id="loadgen-report">null</script>'


@pytest.fixture
def template(tmp_path):
    path = tmp_path / "report.html"
    path.write_text(f"<!doctype html><title>null</title>{PLACE}<script>draw()</script>")
    return path


def test_the_report_takes_the_place_of_null_in_the_page(report_of, template):
    page = html.render(report_of(), template).decode()
    found = re.fullmatch(
        r"<!doctype html><title>null</title><script type=\"application/json\" "
        r'id="loadgen-report">(.*)</script><script>draw\(\)</script>',
        page,
        re.DOTALL,
    )
    assert json.loads(found[1]) == json.loads(report_json.encode(report_of()))


def test_nothing_in_a_report_ends_the_script_or_starts_markup(report_of, template):
    hostile = "</script><!--<script>&amp;\u2028\u2029"
    report = msgspec.structs.replace(report_of(), verdict_reasons=[hostile])
    page = html.render(report, template).decode()
    data = page.split('id="loadgen-report">')[1].split("</script>")[0]
    assert not set("<>&\u2028\u2029") & set(data)
    assert json.loads(data)["verdict_reasons"] == [hostile]


def test_a_page_that_is_fit_has_no_problem(template):
    assert html.find_problem(template) is None


def test_a_page_that_is_not_built_says_how_to(tmp_path):
    assert "run `make page`" in html.find_problem(tmp_path / "none.html")


@pytest.mark.parametrize("page", ["", PLACE * 2], ids=["none", "two"])
def test_a_page_without_the_one_place_is_refused(template, page):
    template.write_text(page)
    assert "places for a report, not one" in html.find_problem(template)


def test_a_page_that_can_not_be_read_says_why(tmp_path):
    assert "can't read the HTML report's page" in html.find_problem(tmp_path)
