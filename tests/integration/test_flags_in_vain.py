"""A flag that would do nothing beside the others is refused in one line, before anything begins.

Each flag of both programs is in one of two lists: where it would do nothing, or that there is no
such place. So whoever adds one has to say which it is.
"""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from echo_trio import cli
from echo_trio.setting_sources import make_table
from loadgen.cli import load
from loadgen.cli.app import app

#: Nobody has this address: a server that is not refused ends here, too, with another complaint.
SERVER = ["--host", "203.0.113.1", "--port", "1"]
#: Nobody listens there: a run that is not refused ends with 69.
TARGET = "ws://127.0.0.1:1/"
JOURNEY = """
from loadgen.scenario import scenario


@scenario
async def look(user):
    async with user.connect() as socket:
        await socket.send("hello")
"""

#: What is given, the flag in question first, and what is said of it.
SERVERS = [
    ("--tls-key k.pem", "needs --tls-cert"),
    ("--proxy-protocol", "needs --trust-proxy"),
    ("--fault ~delay/1s", "needs --upstream"),
    ("--upstream-cacert ca.pem", "needs --upstream"),
    ("--upstream-insecure", "needs --upstream"),
    ("--upstream-compression", "needs --upstream"),
    ("--upstream-cacert ca.pem --upstream ws://a", "goes with wss://"),
    ("--upstream-insecure --upstream ws://a", "goes with wss://"),
    ("--upstream-cacert ca.pem --upstream-insecure --upstream wss://a", "give one"),
    ("--seed 1 --upstream ws://a", "a proxy (--upstream) appends none"),
    ("--ping-timeout 5s --ping-interval 0s", "--ping-interval 0s sends none"),
    ("--drain-grace 6s --drain-timeout 10s", "may be half of --drain-timeout"),
    ("--max-connections 1 --workers 2", "can't be shared"),
    ("--record traffic.ndjson --workers 2", "needs --workers 1"),
    ("--console-host ::1 --no-console", "this server has none"),
    ("--console-port 9 --no-console", "this server has none"),
    ("--console-token hush --no-console", "this server has none"),
    ("--console-allow-host a.example --no-console", "this server has none"),
    ("--run-target a:1 --no-console", "this server has none"),
    ("--dial-cert c.pem --no-console", "this server has none"),
    ("--dial-cacert ca.pem --no-console", "this server has none"),
    ("--scenario-dir . --no-console", "this server has none"),
    ("--history runs.db --no-console", "this server has none"),
    ("--dial-cert c.pem", "--run-target names those"),
    ("--dial-cacert ca.pem", "--run-target names what"),
]
RUNS = [
    ("--think 1s", "goes with --closed-loop"),
    ("--rooms 2", "goes with --verify fan-out"),
    ("--arrive 1/s", "goes with --scenario"),
    ("--arrivals poisson --closed-loop", "not with --closed-loop"),
    ("--arrivals poisson --scenario look.py", "here nothing does"),
    ("--cacert ca.pem", "goes with wss://"),
    ("--insecure", "goes with wss://"),
    ("--cert c.pem", "goes with wss://"),
    ("--key k.pem", "goes with --cert"),
    ("--messages 3 --rate-per-conn 0/s", "needs a rate"),
    ("--messages 3 --lifetime 1s", "give one"),
    ("--message x --message-file look.py", "give one"),
    ("--rate-per-conn 1/s --rate 1/s", "give one"),
    ("--rate 1/s --stage 1s:1/s", "give one"),
    ("--stage 1s:1/s --duration 1s", "give one"),
    ("--duration 1s --stage 1s:1/s", "give one"),
    ("--closed-loop --rate 1/s", "give one"),
    ("--verify off --fail-if latency.p99>1s", "--fail-if"),
    ("--fail-if latency.p99>1s --verify off", "--verify off"),
    *(
        (f"{given} --scenario look.py", "both say what users do")
        for given in (
            "--verify exact", "--expect any", "--ignore any", "--rooms 2", "--message x",
            "--message-file look.py", "--size 9", "--binary", "--rate 1/s", "--rate-per-conn 1/s",
            "--stage 1s:1/s", "--closed-loop", "--messages 3", "--lifetime 1s",
            "--behave no-pong:1%",
        )
    ),
    ("--confidence 95%", "goes with --find-capacity"),
    ("--overwrite", "goes with --journal"),
    ("--trace", "goes with --scenario"),
    ("--name x", "is for what has a run's name in it"),
    ("--name x --json x.json --find-capacity", "is for what has a run's name in it"),
    *(
        (f"{given} --find-capacity", "is of one")
        for given in (
            "--csv x", "--html x", "--junit x", "--markdown x", "--history x.db", "--stream",
        )
    ),
    ("--find-capacity --closed-loop", "sets the rate"),
]  # fmt: skip
#: Flags that do something beside all others. Also those that ask for less – of output, for
#: example – than there is without them: where there is none already, that is as they want it.
ALWAYS = {
    "echo_trio": {
        "close-timeout", "compression", "console", "drain-timeout", "host", "idle-timeout",
        "log-format", "log-level", "max-held", "max-message-size", "open-timeout", "origin",
        "ping-interval", "port", "tls-cert", "trust-proxy", "upstream", "workers", "write-timeout",
    },
    "loadgen": {
        "color", "compression", "connect-concurrency", "connect-rate", "connect-timeout", "console",
        "count", "dask", "header", "journal", "json", "metrics", "origin", "otlp", "proxy", "quiet",
        "scenario", "seed", "source-ip", "stop-timeout", "subprotocol", "url", "workers",
    },
}  # fmt: skip


@pytest.mark.parametrize(
    ("program", "given", "says"),
    [("echo_trio", *row) for row in SERVERS] + [("loadgen", *row) for row in RUNS],
    ids=lambda text: text if text.startswith("--") else "",
)
def test_a_flag_that_would_do_nothing_is_refused_in_one_line(
    program: str,
    given: str,
    says: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("look.py").write_text(JOURNEY)
    flag, *_ = arguments = shlex.split(given)
    if program == "echo_trio":
        code = cli.main([*SERVER, *arguments])
    else:
        code = load.main(["1", TARGET, *arguments])
    told = capsys.readouterr()
    assert (code, told.out) == (2, "")
    (line,) = told.err.splitlines()
    assert flag in line
    assert says in line
    assert [path.name for path in tmp_path.iterdir()] == ["look.py"]


@pytest.mark.parametrize(
    ("program", "table", "rows"),
    [("echo_trio", make_table(cli.app), SERVERS), ("loadgen", make_table(app), RUNS)],
    ids=["echo_trio", "loadgen"],
)
def test_of_each_flag_it_is_known_where_it_would_do_nothing(
    program: str, table: dict[str, object], rows: list[tuple[str, str]]
) -> None:
    in_vain = {given.split()[0].removeprefix("--") for given, _ in rows}
    assert in_vain.isdisjoint(ALWAYS[program])
    assert in_vain | ALWAYS[program] == set(table)
