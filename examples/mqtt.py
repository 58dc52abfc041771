"""MQTT 3.1.1 over WebSocket (OASIS standard, section 6): publish with QoS 1, and subscribe.

    python -m loadgen 100 ws://127.0.0.1:PORT/mqtt --scenario examples/mqtt.py

Expects a broker that sends each packet in a frame of its own, as most do.
"""

import struct

from loadgen.scenario import User, check, scenario

TOPIC = "loadgen/temperature"
CONNACK, PUBLISH, PUBACK, SUBACK = 0x20, 0x30, 0x40, 0x90


def text(value: str) -> bytes:
    return struct.pack(">H", len(value.encode())) + value.encode()


def packet(kind: int, body: bytes) -> bytes:
    """A packet: its type and flags, its length in sevens of bits, its body (section 2.2)."""
    length, size = b"", len(body)
    while True:
        size, seven = divmod(size, 128)
        length += bytes([seven | (0x80 if size else 0)])
        if not size:
            return bytes([kind]) + length + body


def connect(client: str) -> bytes:
    clean_session, keep_alive_s = 0x02, 60
    head = struct.pack(">BBH", 4, clean_session, keep_alive_s)
    return packet(0x10, text("MQTT") + head + text(client))


def publish(number: int, payload: bytes) -> bytes:
    return packet(0x32, text(TOPIC) + struct.pack(">H", number) + payload)


def subscribe(number: int) -> bytes:
    return packet(0x82, struct.pack(">H", number) + text(TOPIC) + b"\0")


@scenario(weight=3)
async def sensor(user: User) -> None:
    async with user.connect(subprotocols=["mqtt"], json=False) as ws:
        await ws.request(connect(f"sensor-{user.number}"), name="connect")
        async for due in user.pace("2/s"):
            number = due.number % 65_535 + 1
            acknowledged = packet(PUBACK, struct.pack(">H", number))
            await ws.request(
                publish(number, b"%.1f" % user.random.gauss(20, 2)),
                reply=acknowledged.__eq__,
                name="publish",
                due=due,
            )
        await ws.send(packet(0xE0, b""))


@scenario
async def display(user: User) -> None:
    async with user.connect(subprotocols=["mqtt"], json=False) as ws:
        await ws.request(connect(f"display-{user.number}"), name="connect")
        published = ws.stream("published", lambda frame: frame[0] & 0xF0 == PUBLISH)
        granted = await ws.request(
            subscribe(1), reply=lambda frame: frame[0] == SUBACK, name="subscribe"
        )
        check("granted", granted[-1] == 0)
        async for frame in published:
            check("a temperature", TOPIC.encode() in frame)
