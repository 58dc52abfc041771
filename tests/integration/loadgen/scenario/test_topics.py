"""Owe what is published to all who subscribed."""

from .conftest import columns


async def test_what_is_published_is_owed_to_all_who_subscribed_and_a_swallowed_copy_is_missing(run):
    report = await run(
        """
        @scenario
        async def member(user: User) -> None:
            room = f"/room/{user.number % 2}"
            async with user.connect(room) as ws:
                await ws.expect(type="joined")
                ws.subscribe(room, copy="id")
                async for due in user.pace("10/s"):
                    kind = "swallow" if user.number == 5 and due.number == 1 else "say"
                    said = {"type": kind, "id": f"{user.number}-{due.number}"}
                    await ws.publish(said, topic=room, name="say", due=due, copy="id")
        """,
        6,
        stop_timeout_s=6.0,  # copies that a machine held up for 3 s has on their way still come
    )
    fan_out, sent = report["fan_out"], 6 * 5
    assert (fan_out["published"], fan_out["owed"]) == (sent, sent * 3)
    assert (fan_out["delivered"], fan_out["missing"]) == (sent * 3 - 1, 1)
    assert columns(report) == {
        "sent": sent, "published": sent, "received": sent * 3 - 1 + 6, "expected": 6,
        "copies": sent * 3 - 1,
    }  # fmt: skip
    assert report["steps"][0]["kind"] == "publish"
    assert report["steps"][0]["intended"]["count"] == sent
