"""`loadgen record`: what a browser has recorded becomes a scenario that runs, without secrets."""

import json

import pytest

from loadgen.cli import load


def recorded(*messages, url="wss://shop.example/ws?room=1&access_token=t0p-s3cret"):
    times = [
        {
            "type": kind,
            "time": at_s,
            "opcode": 1,
            "data": data if isinstance(data, str) else json.dumps(data),
        }
        for kind, at_s, data in messages
    ]
    entry = {"request": {"url": url, "method": "GET"}, "_webSocketMessages": times}
    plain = {"request": {"url": "https://shop.example/"}}
    return json.dumps({"log": {"version": "1.2", "entries": [plain, entry]}})


TRAFFIC = recorded(
    ("receive", 100.0, {"type": "welcome"}),
    ("send", 100.01, {"id": 7, "method": "login", "password": "hunter2", "user": "ann"}),
    ("receive", 100.03, {"id": 7, "result": "ok"}),
    ("send", 100.33, {"id": 8, "method": "say", "params": ["hello {you}"]}),
    ("receive", 100.34, {"type": "tick"}),
    ("receive", 100.35, {"id": 8, "result": None}),
    ("send", 100.36, "plain"),
)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "traffic.har").write_text(TRAFFIC)
    return tmp_path


def test_recorded_traffic_runs_as_a_scenario_and_holds_no_secret(
    here, capsys, loadgen, serve_websockets
):
    assert load.main(["record", "traffic.har", "--rows", "secrets.csv"]) == 0
    script = capsys.readouterr().out
    for secret in ("t0p-s3cret", "hunter2"):
        assert secret not in script
    assert "secrets.csv needs the columns access_token, password" in script
    assert (here / "secrets.csv").read_text().split() == [
        "access_token,password",
        "t0p-s3cret,hunter2",
    ]
    (here / "shop.py").write_text(script)
    heard = []

    async def shop(connection, counts):
        counts[connection.request.path] += 1
        await connection.send(json.dumps({"type": "welcome"}))
        async for text in connection:
            heard.append(text)
            if text != "plain":
                await connection.send(json.dumps({"type": "tick"}))
                await connection.send(json.dumps({"id": json.loads(text)["id"], "result": 1}))

    server = serve_websockets(shop)
    scenario = str(here / "shop.py")
    run = loadgen("1", server.url, "--scenario", scenario, "--arrive", "1/s", "--duration", "1s")
    assert run.faults == []
    assert server.counts["/ws?room=1&access_token=t0p-s3cret"] == 1
    login, say, plain = heard
    assert json.loads(login) == {"method": "login", "password": "hunter2", "user": "ann", "id": 1}
    assert json.loads(say)["params"] == ["hello {you}"]
    assert plain == "plain"
    assert [step["name"] for step in run.report["steps"]] == ["login", "say"]
    assert run.messages["streamed"] == 3
    assert "user.sleep(0.32)" in script


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("not JSON", "no HAR file, nor a log"),
        ('{"type": "opened", "at_ms": 1}\n{"type": 5}', "line 2 is not as the lines before it"),
        ('[{"type": "opened", "at_ms": 1}]', "no WebSocket messages"),
        ('{"log": {"entries": []}}', "no WebSocket messages"),
        ('{"log": {"entries": 5}}', "no HAR file"),
    ],
)
def test_a_file_without_traffic_is_one_line(here, capsys, content, said):
    (here / "other.har").write_text(content)
    assert load.main(["record", "other.har"]) == 2
    out, err = capsys.readouterr()
    assert said in err
    assert not out


def test_secrets_are_never_written_over_a_file(here, capsys):
    (here / "secrets.csv").write_text("mine")
    assert load.main(["record", "traffic.har", "--rows", "secrets.csv"]) == 2
    assert (here / "secrets.csv").read_text() == "mine"
    assert "is there already" in capsys.readouterr().err


def test_where_there_are_no_secrets_there_is_no_file_of_them(here, capsys):
    (here / "log.ndjson").write_text('{"type": "sent", "at_ms": 1, "data": "hello"}\n')
    assert load.main(["record", "log.ndjson", "--rows", "secrets.csv"]) == 0
    assert not (here / "secrets.csv").exists()
    assert capsys.readouterr().err == (
        "loadgen: log.ndjson has no secrets: secrets.csv is not written\n"
    )


def lines(*entries):
    return [json.dumps({"type": kind, "at_ms": at_ms, **more}) for kind, at_ms, more in entries]


CALL = {"kind": "text", "data": '{"id": 1, "method": "login", "password": "hunter2"}'}
PAGE_LOG = lines(
    ("opened", 10.0, {"details": {"url": "ws://127.0.0.1:1/ws?room=1&token=t0p-s3cret"}}),
    ("received", 11.0, {"kind": "text", "data": '{"type": "welcome"}', "verdict": "unexpected"}),
    ("sent", 12.0, {"number": 1, "verdict": "answered", **CALL}),
    ("received", 400.0, {"kind": "text", "data": '{"id": 1, "result": true}', "answers": 1}),
    ("sent", 500.0, {"number": 2, "kind": "binary", "data": "AAEC", "size_bytes": 3}),
    ("closed", 600.0, {"details": {"code": 1000}}),
)
LOGS = {
    "lines": "\n".join(PAGE_LOG) + "\n",
    "array": f"[{', '.join(PAGE_LOG)}]",
}


@pytest.mark.parametrize("log", LOGS.values(), ids=list(LOGS))
def test_a_log_of_the_page_becomes_a_scenario_whatever_its_file_is_called(here, capsys, log):
    (here / "traffic.txt").write_text(log)
    assert load.main(["record", "traffic.txt", "--rows", "secrets.csv"]) == 0
    script = capsys.readouterr().out
    assert "user.connect(f'/ws?room=1&token={secrets[user].token}')" in script
    assert "ws.request({'method': 'login', 'password': secrets[user].password}" in script
    assert "user.sleep(0.49)" in script
    assert "b64decode('AAEC')" in script
    assert (here / "secrets.csv").read_text().split() == ["token,password", "t0p-s3cret,hunter2"]


def test_what_our_server_has_recorded_becomes_a_scenario_for_each_connection(
    here, capsys, start_server, loadgen
):
    server = start_server("--record", str(here / "recorded.ndjson"))
    call = '{"jsonrpc": "2.0", "id": "{conn}-{seq}", "method": "time"}'
    asking = ("--message", call, "--verify", "json:id", "--duration", "1s")
    first = loadgen("2", f"{server.url}rpc?key=abc", *asking)
    assert first.faults == []
    assert server.stop() == 0
    assert load.main(["record", str(here / "recorded.ndjson")]) == 0
    script = capsys.readouterr().out
    assert "secrets.csv needs the columns key, key_2" in script
    assert "abc" not in script
    (here / "recorded.py").write_text(script)
    (here / "secrets.csv").write_text("key,key_2\nabc,abc\nabc,abc\n")
    again = start_server()
    scenario = ("--scenario", str(here / "recorded.py"), "--duration", "1s")
    run = loadgen("2", again.url, *scenario)
    assert run.faults == []
    assert run.report["users"]["finished"] == 2
    assert run.messages["echoed"] == run.messages["sent"] > 0
