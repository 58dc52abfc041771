"""How near the reported latency is to the true one; for a machine with nothing else to do."""

import json
import subprocess
import sys

import pytest

pytestmark = pytest.mark.soak

SERVER = """
import asyncio
from websockets.asyncio.server import serve

async def answer_late(connection):
    loop = asyncio.get_running_loop()
    async for message in connection:
        loop.call_later(0.1, answer, connection, message)

def answer(connection, message):
    asyncio.ensure_future(connection.send(message + " 1"))

async def main():
    async with serve(answer_late, "127.0.0.1", 0, compression=None) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await server.serve_forever()

asyncio.run(main())
"""


@pytest.mark.parametrize("sockets", [10, 1000])
def test_a_server_that_answers_after_a_tenth_of_a_second_has_a_p50_within_5_percent(sockets):
    with subprocess.Popen(
        [sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            port = server.stdout.readline().strip()
            done = subprocess.run(
                [sys.executable, "-m", "loadgen", str(sockets), f"ws://127.0.0.1:{port}/",
                 "--duration", "10s", "--rate", "500/s", "--json", "-", "--quiet"],
                capture_output=True, text=True, check=False,
            )  # fmt: skip
        finally:
            server.kill()
    report = json.loads(done.stdout)
    print(report["latency"]["service"])
    assert 100 <= report["latency"]["service"]["p50"] <= 105
    assert 100 <= report["latency"]["intended"]["p50"] <= 105
    assert report["verdict"] == "valid", report["verdict_reasons"]
