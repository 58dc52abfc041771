"""GraphQL over WebSocket, subprotocol graphql-transport-ws: queries, and a subscription.

python -m loadgen 100 ws://127.0.0.1:PORT/graphql --scenario examples/graphql_ws.py
"""

from typing import Any

from loadgen.scenario import Due, Socket, User, check, scenario

SUBPROTOCOL = "graphql-transport-ws"


async def start(ws: Socket) -> None:
    await ws.send({"type": "connection_init"})
    await ws.expect(type="connection_ack", name="init")


async def query(ws: Socket, text: str, number: str, due: Due) -> Any:
    """Send a query: its result comes in a frame, and another says that this was all."""
    reply = await ws.request(
        {"type": "subscribe", "id": number, "payload": {"query": text}},
        reply=lambda frame: (frame["type"], frame.get("id")) == ("next", number),
        name="query",
        due=due,
    )
    await ws.expect(type="complete", id=number)
    return reply["payload"]["data"]


@scenario(weight=3)
async def asker(user: User) -> None:
    async with user.connect(subprotocols=[SUBPROTOCOL]) as ws:
        await start(ws)
        async for due in user.pace("2/s"):
            data = await query(ws, f"{{ add(a: {due.number}, b: 2) }}", str(due.number), due)
            check("the sum is right", data == {"add": due.number + 2})


@scenario
async def subscriber(user: User) -> None:
    async with user.connect(subprotocols=[SUBPROTOCOL]) as ws:
        await start(ws)
        ticks = ws.stream("ticks", type="next", id="ticks", order="payload.data.ticks")
        text = "subscription { ticks(every: 50) }"
        await ws.send({"type": "subscribe", "id": "ticks", "payload": {"query": text}})
        async for tick in ticks:
            check("a number", tick["payload"]["data"]["ticks"] >= 0)
        ws.ignore(type="complete")
        await ws.send({"type": "complete", "id": "ticks"})
