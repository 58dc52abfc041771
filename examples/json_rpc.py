"""JSON-RPC 2.0: calls are answered by id, and overtake each other.

python -m loadgen 100 ws://127.0.0.1:PORT/ --scenario examples/json_rpc.py
"""

from typing import Any

import trio

from loadgen.scenario import Socket, User, check, scenario


async def call(ws: Socket, method: str, *params: Any, **more: Any) -> Any:
    """Call a method, and return its result; loadgen gives each call its id."""
    message = {"jsonrpc": "2.0", "method": method, "params": params}
    reply = await ws.request(message, name=method, reply="id", **more)
    check("no error", "error" not in reply)
    return reply.get("result")


@scenario
async def caller(user: User) -> None:
    async with user.connect() as ws:
        async for due in user.pace("2/s"):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(call, ws, "slow", user.random.randrange(20, 50))
                a, b = user.random.randrange(100), due.number
                check("the sum is right", await call(ws, "sum", a, b, due=due) == a + b)
