"""loadgen's scenario: a user per socket. Every reply is checked."""

from loadgen.scenario import Due, Socket, User, scenario


async def exchange(ws: Socket, message: str, due: Due | None = None) -> None:
    reply = await ws.request(message, name="echo", due=due)
    if not reply.startswith(f"{message} "):
        raise ValueError(f"wrong reply: {reply}")


@scenario
async def open_loop(user: User) -> None:
    message = f"{user.number:016d}"
    async with user.connect(json=False) as ws:
        async for due in user.pace("1/s"):
            await exchange(ws, message, due)


@scenario
async def closed_loop(user: User) -> None:
    message = f"{user.number:016d}"
    async with user.connect(json=False) as ws:
        await user.ready()
        while user.in_load:
            await exchange(ws, message)
