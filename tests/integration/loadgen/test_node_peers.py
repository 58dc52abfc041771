"""Servers of Node that nobody here wrote: JSON-RPC by jayson, socket.io, MQTT by aedes.

`make peers` installs them, from a lock file; `peers/serve.mjs` starts one, and prints what it has
counted itself.
"""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import PATIENCE_S

PEERS = Path(__file__).parent / "peers"
NODE = shutil.which("node")

pytestmark = pytest.mark.skipif(
    NODE is None or not (PEERS / "node_modules").is_dir(),
    reason="the peers of Node are not installed: make peers",
)

#: MQTT 3.1.1, section 3.1: CONNECT, a clean session of a client without a name, which gets one.
MQTT_CONNECT = bytes([0x10, 12, 0, 4]) + b"MQTT" + bytes([4, 2, 0, 60, 0, 0])


class Peer:
    """A server, and what it has counted once it was stopped."""

    def __init__(self, kind: str) -> None:
        assert NODE is not None
        self._process = subprocess.Popen(
            [NODE, "serve.mjs", kind], cwd=PEERS, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True,
        )  # fmt: skip
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()
        assert self.url, "the server did not start"

    def stop(self) -> dict:
        said, _ = self._process.communicate(timeout=PATIENCE_S)
        return json.loads(said)

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.communicate()


@pytest.fixture
def peer(request) -> Iterator[Peer]:
    peer = Peer(request.param)
    yield peer
    peer.close()


@pytest.mark.parametrize("peer", ["rpc"], indirect=True)
def test_a_json_rpc_server_of_another_library_has_the_latencies_that_it_gave_its_answers(
    peer, loadgen
):
    call = '{"jsonrpc": "2.0", "id": "{conn}-{seq}", "method": "nap", "params": ["{conn}"]}'
    # In a closed loop a machine that is held up holds up one message a socket, not half of them.
    run = loadgen("20", peer.url, "--message", call, "--verify", "json:id", "--messages", "20",
                  "--closed-loop")  # fmt: skip
    assert run.target_did_right, run.report["verdict_reasons"]
    assert run.messages == {"sent": 400, "echoed": 400, "received": 400}
    counted = peer.stop()
    assert (counted["opened"], counted["answered"]) == (20, 400)
    service = run.report["latency"]["service"]
    # A fifth of all: the slow ones, all of them, and not one of the others counted for one of them.
    assert service["p90"] >= counted["tookMs"][339] * 0.98
    assert service["p50"] < 300


@pytest.mark.parametrize("peer", ["socketio"], indirect=True)
def test_a_socket_io_server_is_spoken_to_with_regular_expressions(peer, loadgen):
    url = peer.url + "socket.io/?EIO=3&transport=websocket"
    run = loadgen("20", url, "--expect", "regex:^0", "--expect", "regex:^40",
                  "--ignore", r'regex:^42\["tick"', "--message", '42{seq}["ask","{conn}-{seq}"]',
                  "--verify", r'regex:"(\d+-\d+)"', "--messages", "10",
                  "--rate-per-conn", "20/s")  # fmt: skip
    assert run.target_did_right, run.report["verdict_reasons"]
    assert run.messages == {
        "sent": 200, "echoed": 200, "received": 440, "expected": 40, "ignored": 200,
    }  # fmt: skip
    counted = peer.stop()
    assert (counted["opened"], counted["answered"]) == (20, 200)


@pytest.mark.parametrize("peer", ["mqtt"], indirect=True)
def test_an_mqtt_broker_over_websocket_answers_by_turn_in_binary(peer, loadgen, tmp_path):
    (tmp_path / "connect.bin").write_bytes(MQTT_CONNECT)
    run = loadgen("50", peer.url, "--subprotocol", "mqtt", "--binary", "--verify", "turn",
                  "--message-file", str(tmp_path / "connect.bin"), "--messages", "1",
                  "--rate-per-conn", "5/s")  # fmt: skip
    assert run.target_did_right, run.report["verdict_reasons"]
    assert run.messages == {"sent": 50, "echoed": 50, "received": 50}
    assert run.report["messages"]["received_bytes"] == 50 * 4  # CONNACK, section 3.2
    counted = peer.stop()
    assert (counted["opened"], counted["answered"]) == (50, 50)
