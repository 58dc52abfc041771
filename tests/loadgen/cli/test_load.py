from collections import Counter

import pytest

from loadgen.cli import load
from loadgen.cli.run import explain_nothing_opened
from loadgen.report import html, thresholds
from loadgen.results.ledger import Failure, Ledger
from loadgen.workload.headers import make_request
from loadgen.workload.target import Target


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        pytest.param([], "COUNT", id="no-count"),
        pytest.param(["0"], "COUNT", id="count-zero"),
        pytest.param(["ten"], "'ten' is no command, nor a COUNT of sockets", id="word"),
        pytest.param(["1", "http://x/"], "begin it with ws://", id="http-url"),
        pytest.param(["1", "ws://x/", "more"], "more", id="argument-too-many"),
        pytest.param(["1", "--duration", "10"], "write it like 250ms", id="duration-without-unit"),
        pytest.param(["1", "--rate-per-conn", "5"], "write it like 100/s", id="rate-without-unit"),
        pytest.param(["1", "--size", "5kb"], "write it like 512, 64KiB", id="size"),
        pytest.param(["1", "--messages", "0"], "--messages", id="no-messages"),
        pytest.param(["1", "--connect-concurrency", "0"], "--connect-concurrency", id="limiter"),
        pytest.param(["1", "--think", "1s"], "--think goes with --closed-loop", id="think"),
        pytest.param(["1", "--verify", "what"], "'what' is none of suffix, exact", id="verify"),
        pytest.param(["1", "--stage", "5/s"], "write it like 30s:5000/s", id="stage"),
        pytest.param(["1", "--stage", "5s:5/s", "--rate", "1/s"], "give one", id="stage-and-rate"),
        pytest.param(["1", "--header", "X"], "write it like 'Name: value'", id="header"),
        pytest.param(["1", "--source-ip", "x"], "write it like 127.0.0.2", id="source-ip"),
        pytest.param(["1", "--message-file", "/nowhere"], "No such file", id="no-message-file"),
        pytest.param(["1", "--nonsense"], "--nonsense", id="unknown-flag"),
        pytest.param([], "COUNT is missing", id="nothing"),
        pytest.param(["0"], "It has to be from 1 to", id="no-socket"),
        pytest.param(
            ["1", "ws://h/", "more"], "one argument too many: more", id="too-many-arguments"
        ),
        pytest.param(["1", "--json", "/nowhere/x.json"], "no folder /nowhere", id="json-nowhere"),
        pytest.param(["1", "--json", "/"], "it is a directory", id="json-a-folder"),
        pytest.param(["1", "--json", "--quiet"], "--json needs a file", id="json-swallows-a-flag"),
        pytest.param(["1", "--json"], "--json", id="json-of-nothing"),
        pytest.param(["1", "--csv", "/nowhere/x.csv"], "no folder /nowhere", id="csv-nowhere"),
        pytest.param(
            ["1", "--json", "-", "--stream"],
            "--json - and --stream can't both have stdout",
            id="two-for-stdout",
        ),
        pytest.param(
            ["1", "--json", "-", "--csv", "-"],
            "--json - and --csv - can't both have stdout",
            id="two-files-for-stdout",
        ),
    ],
)
def test_bad_usage_is_one_line_and_exit_code_2(capsys, arguments, complaint):
    assert load.main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert complaint in err
    assert err.startswith("loadgen: ")
    assert err.count("\n") == 1


def test_help_names_every_flag_with_its_default(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    assert load.main(["--help"]) == 0
    text = capsys.readouterr().out
    for flag in (
        "--connect-concurrency", "--connect-timeout", "--duration", "--rate-per-conn",
        "--closed-loop", "--think", "--messages", "--message", "--size", "--verify",
        "--stop-timeout", "--json", "--quiet", "--no-color", "--seed", "--rate", "--stage",
        "--lifetime", "--connect-rate", "--message-file", "--binary", "--header", "--origin",
        "--subprotocol", "--behave", "--cacert", "--insecure", "--compression", "--source-ip",
        "--csv", "--html", "--stream", "--fail-if", "--expect", "--ignore", "--rooms",
        "--arrivals", "--cert", "--key",
    ):  # fmt: skip
        assert flag in text
    for default in ("256", "10s", "1/s", "{conn}-{seq}", "suffix", "5s", "ws://127.0.0.1:8765/"):
        assert default in text


def test_a_threshold_that_is_none_is_pointed_at(capsys):
    assert load.main(["1", "--fail-if", "latency.p9>50ms"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "loadgen: --fail-if: no metric latency.p9: did you mean latency.p99? (see loadgen --help)",
        "  latency.p9>50ms",
        "          ^",
    ]


def test_a_limit_of_the_targets_needs_somebody_to_ask_it(capsys):
    assert load.main(["1", "--fail-if", "latency.p99>1s", "--fail-if", "target.cpu_share>90%"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err == (
        "loadgen: --fail-if: target.cpu_share>90% needs --console, which asks the target "
        "(see loadgen --help)\n"
    )


def test_the_html_report_needs_its_page_and_says_so_before_the_run(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(html.find_problem, "__defaults__", (tmp_path / "none.html",))
    assert load.main(["1", "--html", str(tmp_path / "report.html")]) == 2
    assert "not built: run `make page`" in capsys.readouterr().err
    assert not (tmp_path / "report.html").exists()


def test_wss_to_what_does_not_speak_tls_is_told_to_try_ws(result_of):
    ledger = Ledger(2, failed=Counter({Failure.TLS: 2}),
                    tls_errors=Counter({"wrong version number": 2}))  # fmt: skip
    assert "begin the URL with ws://" in explain_nothing_opened(result_of(ledger))


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["ws://h:1/"], "COUNT is missing: write loadgen 1000 ws://h:1/"),
        (["WSS://h/"], "COUNT is missing: write loadgen 1000 WSS://h/"),
        (["10", "h.example:8765/x"], "begin it with ws:// or wss://, ws://h.example:8765/x"),
        (["10", "localhost"], "ws://localhost"),
        (["10", "9000"], "did you mean ws://127.0.0.1:9000/?"),
        (["10", "ws://h/", "\u2014rate", "5/s"], "write --rate"),
        (["10", "ws://h/", "\u2013-rate", "5/s"], "write --rate"),
        (["10", "ws://h/", "--json", "no/such/file"], "there is no folder no/such"),
    ],
)
def test_what_strangers_type_is_answered_with_what_to_type(capsys, arguments, complaint):
    assert load.main(arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert complaint in line


@pytest.mark.parametrize(
    "flag", [["--header", "X-Token:", "s3cret"], ["--header=X-Token", "s3cret"]]
)
def test_a_word_that_may_be_a_headers_secret_is_not_quoted(capsys, flag):
    assert load.main(["1", *flag]) == 2
    told = capsys.readouterr()
    assert "--header: write it like 'Name: value', with the quotes" in told.err
    assert "s3cret" not in told.out + told.err


@pytest.mark.parametrize("flag", [["--header", "X-Token: x"], ["--header=X-Token: x"]])
def test_a_header_that_is_whole_is_not_blamed_for_another_mistake(capsys, flag):
    assert load.main(["1", *flag, "--duration", "10"]) == 2
    told = capsys.readouterr().err
    assert "write it like 250ms" in told
    assert "--header" not in told


def test_a_microsecond_has_either_letter():
    micro, greek = (thresholds.parse(f"latency.p99>500{letter}s") for letter in "\u00b5\u03bc")
    assert micro.limit == greek.limit == 0.5


def test_an_origin_of_another_script_goes_out_as_a_browser_writes_it():
    target = Target.parse("ws://h/")
    request = make_request(target, (), "https://m\u00fcnchen.example:8443", (), ())("k" * 22 + "==")
    assert b"Origin: https://xn--mnchen-3ya.example:8443\r\n" in request
