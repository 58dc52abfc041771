"""A server by `ws` of Node, whose compressor refers to earlier messages."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
import trio

from .conftest import PATIENCE_S

NODE = shutil.which("node")
NODE_MODULES = Path(__file__).parents[3] / "react-client/node_modules"


@pytest.mark.skipif(NODE is None or not (NODE_MODULES / "ws").is_dir(), reason="needs Node and ws")
async def test_fragments_that_are_compressed_with_a_context_come_out_whole(start_page):
    peer = await trio.lowlevel.open_process(
        [str(NODE), str(Path(__file__).with_name("peer.cjs"))],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        env={"NODE_PATH": str(NODE_MODULES)},
    )
    assert peer.stdout is not None
    try:
        with trio.fail_after(PATIENCE_S):
            said = b""
            while not said.endswith(b"\n"):
                said += await peer.stdout.receive_some()
        url = said.decode().strip()
        page = await start_page(url)
        text = "the same words once more, " * 8
        async with page.dial(url, headers=[["Origin", "https://a.example"]]) as dialled:
            extensions = (await dialled.event("opened"))["extensions"]
            assert "no_context_takeover" not in extensions
            for number in (1, 2, 3):
                assert (await dialled.send({"kind": "text", "text": text})).status == 204
                while len(dialled.messages) < number:
                    await dialled.record(type="message")
                    await trio.sleep(0.001)
            assert dialled.messages == [text] * 3
            came = [one for one in dialled.records if one.get("way") == "in"]
            assert [(one["opcode"], one["fin"], one["rsv1"]) for one in came] == [
                (1, False, True),
                (0, True, False),
            ] * 3
            # The third needs hardly more than to say where the first one is.
            assert came[-1]["wire"] < came[1]["wire"]
            await dialled.send({"kind": "text", "text": "ping"})
            await dialled.record(type="message", text="pong from ws https://a.example")
            await dialled.send({"kind": "text", "text": "bye"})
            end = await dialled.until_over()
        assert (end["cause"], end["closed_first"]) == ("closed", "server")
        assert end["received"] == {"code": 4321, "reason": "so be it"}
    finally:
        peer.kill()
        with trio.CancelScope(shield=True):
            await peer.wait()
        await trio.aclose_forcefully(peer.stdout)
