"""Test what the benchmarks stand on, without measuring: who takes part, and that nobody cheats."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path
from types import ModuleType

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

from echo_trio import Settings, serving_in_thread

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
#: Ask each peer that is built from sources for its command, where no program is to be found.
WITHOUT_TOOLCHAINS = """
import json, shutil
shutil.which = lambda *_, **__: None
import deflate, locked, payload_catalogue, payloads_page, report
from provision import Missing
from server_catalogue import CONTESTANTS

missing = {}
for each in CONTESTANTS:
    if each.name not in BUILT:
        continue
    try:
        each.command()
    except Missing as reason:
        missing[each.name] = str(reason)
row = {"figure": "exchange", "sockets": 10, "size_bytes": 16, "kind": "text"}
figures = report.Figures([{**row, "peer": each.name} for each in CONTESTANTS], [])
peers = report.measured_peers(figures)
cpu = {"echo_trio": 0.9, "websockets-asyncio": 1.2}
travelled = {"wire_bytes_in_per_message": 398.6, "wire_bytes_out_per_message": 412.4}
document = {
    "missing": {},
    "failed": [],
    "medians": [
        {"figure": "large", "peer": peer, "sockets": 100, "size_bytes": 65536, "kind": kind,
         "cpu_ns_per_byte": cpu_ns * (0.8 if kind == "binary" and peer == "echo_trio" else 1)}
        for peer, cpu_ns in cpu.items()
        for kind in ("text", "binary")
    ] + [
        {"figure": "servers", "peer": peer, "load": load, "cpu_us_per_message": cpu_us, **travelled}
        for peer, load, cpu_us in (("echo_trio", "plain", 10.0), ("echo_trio", "compressed", 40.0),
                                   ("node-ws", "compressed", 80.0))
    ],
}
message = deflate.json_message(7, 1024)
print(json.dumps({
    "verdicts": payloads_page.verdicts(document),
    "compressed": payloads_page.compressed_table(
        document, "servers", "echo_trio", {"echo_trio": "ours", "node-ws": "ws"}, False),
    "sizes": [len(message), len(deflate.deflated(message)),
              len(payload_catalogue.template().replace("{conn}", "123").replace("{seq}", "4567"))],
    "inflated": deflate.Inflater(True)(deflate.deflated(message)) == message,
    "missing": missing,
    "versions": locked.versions(),
    "titles": [each.title for each in CONTESTANTS],
    "tables": report.small_messages(figures, peers) + report.larger_messages(figures, peers),
}))
"""
BUILT = ("gorilla", "coder", "nbio", "tungstenite", "tungstenite-4KiB", "fastwebsockets")


@pytest.fixture(scope="module")
def contract_check() -> ModuleType:
    spec = importlib.util.spec_from_file_location("check", BENCHMARKS / "contract_check.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_peers_without_their_toolchain_are_missing_and_the_tables_tell_of_the_others() -> None:
    script = f"BUILT = {BUILT!r}\n{WITHOUT_TOOLCHAINS}"
    asked = subprocess.run(
        [sys.executable, "-c", script], cwd=BENCHMARKS, capture_output=True, text=True, check=True
    )
    told = json.loads(asked.stdout)
    assert told["missing"] == {
        name: f"{'Go' if name in BUILT[:3] else 'Rust'} is not installed" for name in BUILT
    }
    assert set(told["versions"]["go_modules"]) == {
        "gorilla/websocket",
        "coder/websocket",
        "lesismal/nbio",
    }
    assert {"tokio-tungstenite", "fastwebsockets"} <= set(told["versions"]["crates"])
    assert told["versions"]["generators"]["k6"].startswith("2.")
    for title in told["titles"]:
        assert told["tables"].count(f"| {title} |") == 2, title
    # What `payloads.py` measures with, and what it says.
    text, binary = told["verdicts"].splitlines()
    assert text.endswith("**0.75** (at most 0.7: missed).")
    assert binary.endswith("**0.60** (at most 0.7).")
    assert told["compressed"].splitlines()[2:] == [
        "| ours | 10.0 µs | 40.0 µs | 1.00 | 399 B | 412 B |",
        "| ws | – | 80.0 µs | 0.50 | 399 B | 412 B |",
    ]
    size, deflated, templated = told["sizes"]
    assert size == templated == 1024
    assert deflated < 512
    assert told["inflated"]


def text_of(message: str | bytes) -> str:
    return message if isinstance(message, str) else message.decode()


def without_number(socket: ServerConnection) -> None:
    for message in socket:
        socket.send(message)


def always_text(socket: ServerConnection) -> None:
    for message in socket:
        socket.send(text_of(message) + " 7")


def another_message(socket: ServerConnection) -> None:
    for message in socket:
        reply = "zzz 1" if message else " 1"
        socket.send(reply if isinstance(message, str) else reply.encode())


def two_at_a_time(socket: ServerConnection) -> None:
    for message in socket:
        if message == "message 0":
            later = socket.recv()
            socket.send(f"{text_of(later)} 1")
        socket.send(message + (" 1" if isinstance(message, str) else b" 1"))


def unchecked_text(socket: ServerConnection) -> None:
    is_text = False
    with suppress(ConnectionClosed):
        while True:
            message = socket.recv(decode=False)
            # Each text is followed by the same as binary, but for the last ones.
            is_text = message.startswith((b"message", b"a lone")) or not is_text
            socket.send(message + b" 1", text=is_text)


@contextmanager
def lying(handler: Callable[[ServerConnection], None]) -> Iterator[str]:
    with serve(handler, "127.0.0.1", 0, compression=None) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}/"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("handler", "told"),
    [
        (without_number, "with b'', not with a number"),
        (always_text, "answered with the other kind"),
        (another_message, "is not what comes back"),
        (two_at_a_time, "in another order"),
        (unchecked_text, "text that is not UTF-8 is echoed"),
    ],
)
def test_a_server_that_does_less_is_caught_before_it_is_measured(
    contract_check: ModuleType, handler: Callable[[ServerConnection], None], told: str
) -> None:
    with lying(handler) as url, pytest.raises(contract_check.NotKept, match=told):
        contract_check.check(url, 16, is_server=True)


def test_our_server_keeps_the_contract_of_the_benchmarks(contract_check: ModuleType) -> None:
    with serving_in_thread(Settings(port=0)) as server:
        contract_check.check(server.url, 65_536, is_server=True)


@pytest.fixture
def results(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The module of that name, whose folder is no package and stays out of other tests' way."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    before = set(sys.modules)
    yield importlib.import_module("results")
    for name in set(sys.modules) - before:
        if Path(getattr(sys.modules[name], "__file__", None) or "/").parent == BENCHMARKS:
            del sys.modules[name]


def test_repeats_of_another_sitting_join_the_first_ones(
    results: ModuleType, tmp_path: Path
) -> None:
    row = {"figure": "exchange", "peer": "echo_trio", "sockets": 10}
    first = results.Recording("servers", "custom", {"repeats": 2}, tmp_path)
    first.repeats += [{**row, "cpu_us": 19.0, "repeat": 1}, {**row, "cpu_us": 12.0, "repeat": 2}]
    first.finish()
    again = results.Recording.reopened("servers", first.path)
    (third,) = again.further(1)
    assert third == 3
    again.repeats.append({**row, "cpu_us": 13.0, "repeat": third})
    assert again.finish().path == first.path
    (path,) = tmp_path.iterdir()
    document = json.loads(path.read_text())
    assert document["medians"] == [{**row, "cpu_us": 13.0, "repeats": 3}]
    assert document["started_at"] == document["sittings"][0] <= document["sittings"][1]
    assert len(document["sittings"]) == 2
    report = importlib.import_module("report")
    assert report.shown_repeats(document) == "repeats: 3, in 2 sittings"
    fewer = {**document, "medians": [{"repeats": 2}, *document["medians"]]}
    assert report.shown_repeats(fewer) == "repeats: 2 to 3, in 2 sittings"


@pytest.mark.parametrize(
    ("part", "changed", "told"),
    [
        ("machine", {"cpu": "Z80"}, "another processor since"),
        ("versions", {"node": "v0"}, "another version of a package since"),
        ("git", {"commit": "no such"}, "another code of ours since"),
    ],
)
def test_repeats_do_not_join_those_of_something_else(
    results: ModuleType, tmp_path: Path, part: str, changed: dict[str, str], told: str
) -> None:
    first = results.Recording("servers", "custom", {}, tmp_path)
    first.head[part] = first.head[part] | changed
    first.save()
    with pytest.raises(results.NoResults, match=told):
        results.Recording.reopened("servers", first.path)


def test_what_is_no_results_file_is_one_line(results: ModuleType, tmp_path: Path) -> None:
    for name, text in (
        ("none.json", "{"),
        ("list.json", "[]"),
        ("other.json", '{"kind": "scale"}'),
    ):
        (tmp_path / name).write_text(text)
    for name in ("none.json", "list.json", "other.json", "missing.json"):
        with pytest.raises(results.NoResults, match=name):
            results.Recording.reopened("servers", tmp_path / name)


@pytest.mark.parametrize("kind", ["servers", "generators", "payloads"])
@pytest.mark.usefixtures("results")
def test_repeats_are_added_with_the_settings_of_the_first_ones(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Only who takes part and how often may be said anew: any other setting is refused."""
    benchmark = importlib.import_module(kind)
    recording = importlib.import_module("results").Recording
    default = benchmark.FULL if kind == "payloads" else benchmark.full(["loadgen"])
    settings = replace(default, repeats=2, warm_up_s=7.5)
    first = recording(kind, "custom", asdict(settings), tmp_path)
    first.repeats.append({"figure": "any", "repeat": 2})
    first.save()
    begun = []
    benchmark.run = lambda *given: begun.append(given)

    assert benchmark.main(["--go-on", str(first.path)]) == 0
    ((of_file, mode, folder, again),) = begun
    # As JSON has it: lists for tuples.
    assert asdict(of_file) == json.loads(json.dumps(asdict(replace(settings, repeats=1))))
    assert (mode, folder, list(again.further(2))) == ("custom", tmp_path, [3, 4])

    for other in (["--window", "3"], ["--warm-up", "0"], ["--quick"]):
        with pytest.raises(SystemExit, match="2"):
            benchmark.main(["--go-on", str(first.path), "--repeats", "2", *other])
        assert "--peers and --repeats alone go with it" in capsys.readouterr().err
    assert len(begun) == 1
