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
        ("not JSON", "no HAR file"),
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
