"""A client in another language: the fixture serves, and sees what the process did.

Node's `ws` is looked for where `NODE_PATH` says, as Node does for `require`.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

NODE = shutil.which("node")
CLIENT = Path(__file__).with_name("client.cjs")


def run(url):
    """Run client.cjs against a URL; return what it says in JSON of how it ended."""
    done = subprocess.run(
        [NODE, CLIENT, url], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module", autouse=True)
def node_with_ws():
    if NODE is None:
        pytest.skip("Node is not installed")
    found = subprocess.run([NODE, "-e", "require('ws')"], capture_output=True, check=False)
    if found.returncode != 0:
        pytest.skip(f"Node finds no ws; NODE_PATH={os.environ.get('NODE_PATH', '')}")


@pytest.mark.ws_server(seed=1)
def test_the_reply_comes_back(ws_server):
    assert run(ws_server.url) == {"reply": "hello 566561", "code": 1000, "reason": ""}
    ws_server.assert_all_clean()


def test_a_close_code_and_its_reason_are_passed_on(ws_server):
    assert run(ws_server.path("/close/4001/try%20again")) == {"code": 4001, "reason": "try again"}


def test_a_reset_is_an_abnormal_end(ws_server):
    assert run(ws_server.path("/drop/0"))["code"] == 1006


def test_a_refusal_has_its_status(ws_server):
    assert run(ws_server.path("/status/503")) == {"status": 503}
