"""The shell completes every flag, from the same table that the parser reads."""

from __future__ import annotations

import subprocess

import pytest

from echo_trio import cli
from echo_trio.setting_sources import make_table
from loadgen.cli import load


@pytest.mark.parametrize(
    ("program", "main", "app"),
    [("echo-trio", cli.main, cli.app), ("loadgen", load.main, load.app)],
    ids=["echo-trio", "loadgen"],
)
def test_bash_completes_each_flag_of_the_program(program, main, app, capsys) -> None:
    assert main(["--completion", "bash"]) == 0
    script = capsys.readouterr().out
    function = f"_{program.replace('-', '_')}"
    ask = f"COMP_WORDS=({program} --); COMP_CWORD=1; {function}; echo ${{COMPREPLY[@]}}"
    shown = subprocess.run(["bash", "-c", script + ask], capture_output=True, text=True, check=True)
    wanted = {f"--{name}" for name in make_table(app) if name not in ("count", "url")}
    assert wanted <= set(shown.stdout.split())


@pytest.mark.parametrize("arguments", [["--completion"], ["--completion=tcsh"]])
def test_a_shell_that_is_none_is_refused_in_one_line(arguments, capsys) -> None:
    assert cli.main(arguments) == load.main(arguments) == 2
    assert capsys.readouterr().err.count("takes one of bash, zsh, fish") == 2
