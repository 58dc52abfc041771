"""Socket.IO 4 over its WebSocket transport: events with acknowledgements, pushes, pings.

    python -m loadgen 100 ws://127.0.0.1:PORT/ --scenario examples/socket_io.py

A frame begins with its type: 0 open, 2 ping, 3 pong; 40 connect, 41 disconnect, 42 event,
43 acknowledgement.
"""

import json
from collections.abc import Callable

import trio

from loadgen.scenario import Socket, User, check, scenario

URL = "/socket.io/?EIO=4&transport=websocket"


def begins_with(start: str) -> Callable[[str], bool]:
    return lambda frame: frame.startswith(start)


async def answer_pings(ws: Socket) -> None:
    async for _ in ws.stream("pings", "2"):
        await ws.send("3")


@scenario
async def talker(user: User) -> None:
    opened, connected, tick = begins_with("0{"), begins_with("40"), begins_with('42["tick"')
    async with user.connect(URL, json=False) as ws, trio.open_nursery() as nursery:
        await ws.expect(opened, name="open")
        await ws.send("40")
        await ws.expect(connected, name="connect")
        nursery.start_soon(answer_pings, ws)
        ws.stream("ticks", tick)
        async for due in user.pace("2/s"):
            number, text = due.number, f"hello {due.number}"
            reply = await ws.request(
                f"42{number}{json.dumps(['say', text])}",
                reply=begins_with(f"43{number}["),
                name="say",
                due=due,
            )
            check("it was said", json.loads(reply.removeprefix(f"43{number}"))[0]["said"] == text)
        await ws.send("41")
