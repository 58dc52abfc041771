"""A chat: log in on one socket, talk in a room on another; everybody in it gets every message.

    python -m loadgen 100 ws://127.0.0.1:8765/ --scenario examples/chat.py

The server here is python -m echo_trio: its /login/TOKEN and /room/NAME.
"""

from loadgen.scenario import User, check, rows, scenario

people = rows("people.csv")  # name, token, room: user n is row n


@scenario
async def member(user: User) -> None:
    me = people[user]
    async with user.connect(f"/login/{me.token}") as account:
        await account.expect(type="hello", name="greeted")
        await account.send({"type": "login", "token": me.token})
        await account.expect(type="welcome", name="logged in")
        async with user.connect(f"/room/{me.room}") as room:
            room.subscribe(me.room)
            async for due in user.pace("1/s"):
                said = {"from": me.name, "number": due.number}
                await room.publish(said, topic=me.room, name="say", due=due)
        check("a member of a room", me.room)
