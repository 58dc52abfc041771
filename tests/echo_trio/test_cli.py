"""The command line makes settings of its sources, serves with them, and says in one line if not."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from structlog.testing import LogCapture

from echo_trio import cli, logs, service, signals
from echo_trio.settings import Settings

from .conftest import log_to


class Program:
    """Keep what was served, and how."""

    def __init__(self) -> None:
        self.logged = LogCapture()
        self.served: list[tuple[Any, ...]] = []
        self.done: list[str] = []
        self.cannot = ""
        self.why = "the port is taken"

    def check_machine(self, settings: Settings) -> None:
        self.done.append("check")
        if self.cannot == "check":
            raise service.CannotStart(self.why)

    @contextmanager
    def make_starter(self, settings: Settings) -> Iterator[str]:
        self.done.append("starter")
        yield "the starter"
        self.done.append("starter ends")

    async def run_service(self, settings: Settings, log: Any, starter: Any) -> None:
        await trio.lowlevel.checkpoint()
        if self.cannot == "serve":
            raise service.CannotStart(self.why)
        log.info("serves")
        self.served.append((settings, starter))


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> Program:
    made = Program()
    for name in ("check_machine", "make_starter", "run_service"):
        monkeypatch.setattr(service, name, getattr(made, name))
    monkeypatch.setattr(signals, "outlive_hang_ups", lambda: made.done.append("hang-ups"))

    def configure(settings: Settings) -> Any:
        made.done.append(f"log {settings.log_level}")
        return log_to(made.logged)

    monkeypatch.setattr(logs, "configure", configure)
    return made


def test_it_serves_as_it_is_told_and_warns_before_that(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ECHO_TRIO_PROT", "1")
    monkeypatch.setenv("ECHO_TRIO_SEED", "5")
    assert cli.main(["--port", "9", "--log-level", "debug"]) == 0
    assert program.served == [(Settings(port=9, seed=5, log_level="debug"), "the starter")]
    assert program.done == ["log debug", "hang-ups", "check", "starter", "starter ends"]
    assert [(line["event"], line["log_level"]) for line in program.logged.entries] == [
        ("ECHO_TRIO_PROT is no setting: did you mean ECHO_TRIO_PORT?", "warning"),
        ("serves", "info"),
    ]
    assert cli.app.config == ()


@pytest.mark.parametrize("cannot", ["check", "serve"])
def test_what_keeps_it_from_serving_is_one_line(
    program: Program, capsys: pytest.CaptureFixture[str], cannot: str
) -> None:
    program.cannot = cannot
    assert cli.main([]) == 2
    assert capsys.readouterr().err == "echo_trio: the port is taken (see echo_trio --help)\n"
    assert program.served == []


def test_a_flag_wins_over_a_variable_and_a_variable_over_a_file(
    program: Program, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    named, other = tmp_path / "named.toml", tmp_path / "other.toml"
    named.write_text("port = 1\nseed = 1\nconsole-port = 1\n")
    other.write_text("port = 2\nseed = 2\nconsole-port = 2\n")
    monkeypatch.setenv("ECHO_TRIO_CONFIG", str(named))
    monkeypatch.setenv("ECHO_TRIO_SEED", "7")
    monkeypatch.setattr(sys, "argv", ["echo_trio", "--port", "9"])
    assert cli.main() == 0
    assert cli.main(["--port", "9", "--config", str(other)]) == 0
    made = [(each.port, each.seed, each.console_port) for each, _ in program.served]
    assert made == [(9, 7, 1), (9, 7, 2)]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "can't read {}: No such file or directory"),
        ("prot = 1", "prot in {} is no setting: did you mean port?"),
        ("port = 'x'", "port in {}: 'x' is not a whole number"),
    ],
)
def test_what_a_source_has_that_is_no_setting_is_one_line(
    program: Program, capsys: pytest.CaptureFixture[str], tmp_path: Path,
    content: str | None, says: str,
) -> None:  # fmt: skip
    path = tmp_path / "e.toml"
    if content is not None:
        path.write_text(content)
    assert cli.main(["--config", str(path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith(f"{says.format(path)} (see echo_trio --help)")
    assert (program.done, cli.app.config) == ([], ())


def test_a_contradiction_is_told_by_the_names_that_were_used(
    program: Program, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:  # fmt: skip
    path = tmp_path / "e.toml"
    path.write_text("tls-key = 'k.pem'")
    says = "echo_trio: {} needs --tls-cert (see echo_trio --help)\n"
    assert cli.main(["--tls-key", "k.pem"]) == 2
    assert capsys.readouterr().err == says.format("--tls-key")
    assert cli.main(["--config", str(path)]) == 2
    assert capsys.readouterr().err == says.format(f"tls-key in {path}")
    monkeypatch.setenv("ECHO_TRIO_TLS_KEY", "k.pem")
    assert cli.main([]) == 2
    assert capsys.readouterr().err == says.format("ECHO_TRIO_TLS_KEY")
    assert program.done == []


def test_its_version_is_that_of_the_distribution(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == cli.read_version() != ""
