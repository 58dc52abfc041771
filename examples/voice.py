"""A voice call: 50 binary frames a second, each 20 ms of sound, that come back in order.

    python -m loadgen 100 ws://127.0.0.1:8765/plain --scenario examples/voice.py

The server here echoes; the first four bytes number the frames.
"""

import struct

from loadgen.scenario import User, scenario

FRAME_BYTES = 160  # 20 ms of G.711


def number_of(frame: bytes) -> int:
    return int.from_bytes(frame[:4], "big")


@scenario
async def caller(user: User) -> None:
    async with user.connect() as ws:
        ws.stream("heard", lambda frame: len(frame) == FRAME_BYTES, order=number_of)
        sound = user.random.randbytes(FRAME_BYTES - 4)
        async for due in user.pace("50/s"):
            await ws.send(struct.pack(">I", due.number) + sound, name="frame", due=due)
        await user.sleep("100ms")  # for the last of them to come back
