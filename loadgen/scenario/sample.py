"""Keep the scenario that `loadgen new` writes: it runs, and says how to go on from there."""

from __future__ import annotations

from typing import Final

SAMPLE: Final = '''\
"""Say what one user does: each user is one call of a function marked @scenario.

    python -m loadgen 1 ws://127.0.0.1:8765/ --scenario {file} --trace   every frame, with its claim
    python -m loadgen 1000 ws://127.0.0.1:8765/ --scenario {file}        a thousand users
"""

from loadgen.scenario import User, check, scenario

# One row for each user: people = rows("people.csv"), then people[user].token


@scenario
async def talker(user: User) -> None:
    # A path relative to the URL of the run; headers=… and subprotocols=… go with the handshake.
    async with user.connect() as ws:
        # What the server says by itself:
        #     await ws.expect(type="welcome")
        # What it may say at any time and nobody needs:
        #     ws.ignore(type="tick")
        # A login is part of the open phase: the load begins when all users are there.
        #     await ws.request({{"type": "login"}}, name="login", reply="id")

        # The load phase: something falls due once a second, from its beginning to its end.
        async for due in user.pace("1/s"):
            # The reply is the next frame. Where replies carry an id: reply="id".
            reply = await ws.request(f"hello {{due.number}}", name="say", due=due)
            check("the reply repeats the message", reply.startswith(f"hello {{due.number}}"))

        # What follows the load, such as a logout, is the close phase.


# Users of another kind, one of them to every nine talkers (with @scenario(weight=9) above):
#
# @scenario(weight=1)
# async def listener(user: User) -> None:
#     async with user.connect("/ticker/1s") as ws:
#         async for push in ws.stream("ticks", order="seq", sent_at="t"):
#             check("it has a number", push["seq"] >= 0)
'''


def make_sample(file: str) -> str:
    """Return the text of a new scenario.

    :param file: its name, for the commands in its head.
    """
    return SAMPLE.format(file=file)
