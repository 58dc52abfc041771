"""A setting means the same as a flag, as a variable and as a key; what is none of ours is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from echo_trio import cli
from echo_trio.setting_sources import BadSource, make_table, read_keys, read_variables
from echo_trio.settings import Settings

TABLE = make_table(cli.app)
#: For each setting that is no switch, a text other than its default; switches are turned over.
SAMPLES = {
    "console-allow-host": "a.example",
    "console-token": "hush",
    "fault": "~delay/1s",
    "log-format": "json",
    "log-level": "debug",
    "max-held": "1MiB",
    "max-message-size": "10",
    "origin": "https://a.example",
    "run-target": "a.example:1",
    "scenario-dir": ".",
    "tls-cert": "cert.pem",
    "trust-proxy": "10.0.0.0/8",
    "upstream": "wss://a.example",
    "drain-timeout": "7s",
    "drain-grace": "1s",
    "workers": "2",
    "host": "::1",
    "console-host": "::1",
}
#: What one setting needs another for.
NEEDS = {
    "dial-cert": {"run-target": "a.example:1"},
    "dial-cacert": {"run-target": "a.example:1"},
    "tls-key": {"tls-cert": "c.pem"},
    "proxy-protocol": {"trust-proxy": "10.0.0.1"},
    "fault": {"upstream": "wss://a.example"},
    "upstream-cacert": {"upstream": "wss://a.example"},
    "upstream-insecure": {"upstream": "wss://a.example"},
    "upstream-compression": {"upstream": "wss://a.example"},
}


def parse(arguments: list[str], *sources: object) -> Settings:
    cli.app.config = sources
    try:
        _, bound, _ = cli.app.parse_args(arguments, exit_on_error=False, print_error=False)
    finally:
        cli.app.config = ()
    return bound.arguments.get("settings", Settings())


def variables(**environment: str):
    return read_variables(TABLE, "ECHO_TRIO_", environment)


@pytest.mark.parametrize("name", TABLE)
def test_a_setting_is_the_same_as_flag_variable_and_key(name: str) -> None:
    argument = TABLE[name]
    flag = {
        key: SAMPLES.get(
            key, {"DURATION": "3s", "FILE": "f"}.get(TABLE[key].parameter.metavar, "3")
        )
        for key in [*NEEDS.get(name, ()), name]
    }
    needed = [f"--{key}={text}" for key, text in flag.items() if key != name]
    given_keys: dict[str, object] = dict(flag)
    if argument.hint is bool:
        is_off = argument.negatives and getattr(Settings(), name.replace("-", "_"))
        by_flag = parse([*needed, f"--no-{name}" if is_off else f"--{name}"])
        flag[name], given_keys[name] = ("0", False) if is_off else ("on", True)
    else:
        by_flag = parse([*needed, f"--{name}={flag[name]}"])
    by_variable = {f"ECHO_TRIO_{key.upper().replace('-', '_')}": flag[key] for key in flag}
    assert needed or by_flag != Settings()
    assert by_flag == parse([], variables(**by_variable))
    assert by_flag == parse([], read_keys(TABLE, given_keys, "f.toml"))


def test_a_flag_wins_over_a_variable_and_that_over_a_key() -> None:
    given = variables(ECHO_TRIO_SEED="2", ECHO_TRIO_ORIGIN="https://b.example")
    origins = ["https://c.d", "https://e.f"]
    given.add_weaker(read_keys(TABLE, {"seed": 3, "workers": 3, "origin": origins}, "f"))
    assert parse([], given).origin == ("https://b.example",)
    settings = parse(["--origin", "https://a.example"], given)
    assert (settings.seed, settings.workers, settings.origin) == (2, 3, ("https://a.example",))


def test_the_notes_of_a_weaker_source_come_behind_those_of_a_stronger() -> None:
    given = variables(ECHO_TRIO_XYZZY="1")
    given.add_weaker(variables(ECHO_TRIO_PLUGH="1"))
    assert [note.split()[0] for note in given.notes] == ["ECHO_TRIO_XYZZY", "ECHO_TRIO_PLUGH"]


def test_a_list_in_a_variable_has_commas_or_blanks_between() -> None:
    given = variables(ECHO_TRIO_TRUST_PROXY=" 10.0.0.1, 10.0.0.2 10.1.0.0/16,")
    assert parse([], given).trust_proxy == ("10.0.0.1", "10.0.0.2", "10.1.0.0/16")


def test_the_console_is_turned_off_by_either_of_its_names() -> None:
    assert not parse([], variables(ECHO_TRIO_NO_CONSOLE="1")).console
    assert not parse([], variables(ECHO_TRIO_CONSOLE="False")).console
    assert parse([], variables(ECHO_TRIO_NO_CONSOLE="0")).console
    assert not parse([], read_keys(TABLE, {"no-console": True}, "f")).console
    assert parse([], read_keys(TABLE, {"console": True}, "f")).console


def test_what_kubernetes_sets_for_a_service_is_passed_over_with_one_note() -> None:
    links = {
        "ECHO_TRIO_PORT": "tcp://10.96.0.12:80",
        "ECHO_TRIO_SERVICE_HOST": "10.96.0.12",
        "ECHO_TRIO_SERVICE_PORT": "80",
        "ECHO_TRIO_SERVICE_PORT_WS": "80",
        "ECHO_TRIO_PORT_80_TCP": "tcp://10.96.0.12:80",
        "ECHO_TRIO_PORT_80_TCP_ADDR": "10.96.0.12",
        "ECHO_TRIO_CONSOLE_PORT": "tcp://10.96.0.13:80",
        "ECHO_TRIO_CONSOLE_PORT_8766_TCP_PROTO": "tcp",
        "ECHO_TRIO_CONSOLE_SERVICE_HOST": "10.96.0.13",
    }
    given = variables(**links, ECHO_TRIO_WORKERS="2")
    (note,) = given.notes
    assert all(name in note for name in links)
    assert "enableServiceLinks" in note
    assert parse([], given) == Settings(workers=2)


def test_an_empty_variable_is_as_good_as_none_and_an_unknown_one_is_told() -> None:
    given = variables(
        ECHO_TRIO_WORKERS="", ECHO_TRIO_SEED="  ", ECHO_TRIO_PROT="9", ECHO_TRIO_XYZZY="t0p"
    )
    assert parse([], given) == Settings()
    assert given.notes == [
        "ECHO_TRIO_PROT is no setting: did you mean ECHO_TRIO_PORT?",
        "ECHO_TRIO_XYZZY is no setting",
    ]


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"prot": 1}, "prot in f.toml is no setting: did you mean port?"),
        ({"config": "x"}, "a file of settings can't name another"),
        ({"server": {"port": 1}}, "in no table"),
        ({"port": [1]}, "port in f.toml is a list"),
        ({"origin": [True]}, "origin in f.toml has to be a text or a number"),
        ({"no-console": "yes"}, "write true or false"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_key_that_is_none_is_told_with_its_file(keys: dict[str, object], says: str) -> None:
    with pytest.raises(BadSource, match=says.replace("?", r"\?")):
        read_keys(TABLE, keys, "f.toml")


@pytest.mark.parametrize(
    ("toml", "environment", "says"),
    [
        ("port = 9.5", {}, "port in FILE: '9.5' is not a whole number"),
        (
            "port = 70000",
            {},
            'Invalid value "70000" for port in FILE. It has to be from 0 to 65535',
        ),
        ("origin = 'x'", {}, "origin in FILE: 'x' is not an origin"),
        ("", {"ECHO_TRIO_ORIGIN": "x"}, "ECHO_TRIO_ORIGIN: 'x' is not an origin"),
        ("", {"ECHO_TRIO_SEED": "1.5"}, "ECHO_TRIO_SEED: '1.5' is not a whole number"),
        ("", {"ECHO_TRIO_COMPRESSION": "maybe"}, "ECHO_TRIO_COMPRESSION is 'maybe': write 1 or 0"),
        (
            "console-allow-host = 'http://x/'",
            {},
            "console-allow-host in FILE: 'http://x/' is no host",
        ),
    ],
)
def test_a_bad_value_is_told_with_the_place_it_stands_in(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    toml: str,
    environment: dict[str, str],
    says: str,
) -> None:
    file = tmp_path / "f.toml"
    file.write_text(toml)
    for name, text in environment.items():
        monkeypatch.setenv(name, text)
    monkeypatch.setenv("ECHO_TRIO_CONFIG", str(file))
    assert cli.main([]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert says.replace("FILE", str(file)) in line


@pytest.mark.parametrize("host", ["http://x/", "x:8766", "x/", "", "a b", "[::1"])
def test_a_host_that_no_request_can_name_is_refused(host: str) -> None:
    with pytest.raises(ValueError, match="--console-allow-host"):
        Settings(console_allow_host=(host,))
    assert Settings(console_allow_host=("Console.Example", "[::1]", "fe80::1", "10.0.0.1"))
