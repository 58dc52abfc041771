"""Subscribers of a ticker: nothing is sent, and every push is counted, in order, with its age.

python -m loadgen 1000 ws://127.0.0.1:8765/ticker/100ms --scenario examples/ticker.py
"""

from loadgen.scenario import User, check, scenario


@scenario
async def listener(user: User) -> None:
    async with user.connect() as ws:
        async for tick in ws.stream("ticks", order="seq", sent_at="t"):
            check("it has a time", tick["t"] > 0)
