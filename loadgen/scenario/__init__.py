"""Write a load's users as plain Trio code: one async function is one user.

A script imports what it needs from here, and is run with ``--scenario``:

>>> from loadgen.scenario import User, scenario
>>> @scenario
... async def talker(user: User) -> None:
...     async with user.connect("/ws") as ws:
...         await ws.expect(type="welcome")
...         async for due in user.pace("1/s"):
...             await ws.request({"type": "say"}, name="say", reply="id", due=due)
"""

from loadgen.scenario.checks import check
from loadgen.scenario.definition import scenario
from loadgen.scenario.errors import ConnectFailed, LostReply, SocketClosed
from loadgen.scenario.pace import Due, Pace
from loadgen.scenario.rows import Row, Rows, rows
from loadgen.scenario.socket import Socket
from loadgen.scenario.streams import Stream
from loadgen.scenario.user import User

__all__ = [
    "ConnectFailed",
    "Due",
    "LostReply",
    "Pace",
    "Row",
    "Rows",
    "Socket",
    "SocketClosed",
    "Stream",
    "User",
    "check",
    "rows",
    "scenario",
]
