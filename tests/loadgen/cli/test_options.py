"""The flags of a run as a whole: what would keep it from beginning is said in one line."""

import pytest

from loadgen.cli import options
from loadgen.cli.options import Options


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({}, None),
        ({"confidence": 0.95}, "--confidence goes with --find-capacity"),
        ({"confidence": 0.95, "find_capacity": True}, None),
        ({"find_capacity": True}, None),
        ({"overwrite": True}, "--overwrite goes with --journal FILE"),
        ({"overwrite": True, "journal": "off"}, "--overwrite goes with --journal FILE"),
        ({"overwrite": True, "journal": "x"}, None),
        ({"dask": "host"}, "--dask 'host' is no address: write it like tcp://host:8786"),
        ({"dask": "http://host:1"}, "--dask 'http://host:1' is no address"),
        ({"dask": "host:1"}, None),
        ({"dask": "tls://host:8786"}, None),
        ({"otlp": "host:4318"}, "--otlp 'host:4318' is no URL"),
        ({"otlp": "http:// x"}, "--otlp 'http:// x' is no URL"),
        ({"otlp": "http://host:4318/v1/metrics"}, None),
        ({"otlp": "https://host"}, None),
    ],
    ids=str,
)
def test_what_does_not_go_together_is_told(monkeypatch, given, problem):
    monkeypatch.setattr(options, "find_spec", lambda _: object())
    found = Options(**given).find_problem()
    assert found is None if problem is None else found.startswith(problem)


@pytest.mark.parametrize(
    ("given", "module", "says"),
    [
        ({"dask": "host:1"}, "distributed", "--dask needs Dask"),
        ({"otlp": "http://host"}, "opentelemetry", "--otlp needs OpenTelemetry"),
    ],
)
def test_an_extra_that_is_not_installed_is_named(monkeypatch, given, module, says):
    monkeypatch.setattr(options, "find_spec", lambda name: None if name == module else object())
    assert Options(**given).find_problem().startswith(says)


@pytest.mark.parametrize(
    ("given", "shares", "journal_file"),
    [
        ({}, False, None),
        ({"workers": 1, "journal": "off"}, False, None),
        ({"workers": 2, "journal": "x"}, True, "x"),
        ({"dask": "host:1"}, True, None),
        ({"dask": "host:1", "workers": 1}, True, None),
    ],
    ids=str,
)
def test_who_shares_a_run_and_where_its_journal_is(given, shares, journal_file):
    assert (Options(**given).shares, Options(**given).journal_file) == (shares, journal_file)
