"""The client of the server benchmark: picows on uvloop, in a process of its own.

    driver.py exchange URL SERVER_PID '{"sockets": …, "cells": […], …}'
    driver.py drain URL SERVER_PID '{"sockets": …}'

Prints one JSON object per line. `exchange` opens all sockets, then keeps a fixed number of
messages in flight on each (a closed loop) for every cell in turn, and reads the server's CPU
clock around each window itself, so that no other process has to agree with it on the time. With
`"compression": true` in the plan it insists on permessage-deflate.
`drain` sends the server SIGTERM and times the goodbye.
"""

import asyncio
import gc
import json
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import deflate
import uvloop
from echo_client import (
    CompressingClient,
    EchoClient,
    MeasurementFailed,
    Tally,
    bytes_on_the_wire,
    messages_for,
)
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect
from process_cost import cpu_seconds, family_cpu_seconds, family_resident_bytes

# Handshakes in flight: enough to keep a server busy, within every backlog.
CONNECT_CONCURRENCY = 128
HANDSHAKE_TIMEOUT_S = 60.0
SETTLE_S = 1.0
ANSWER_TIMEOUT_S = 30.0
DRAIN_TIMEOUT_S = 60.0
ROUNDS_TIMEOUT_S = 60.0

ClientT = TypeVar("ClientT", bound=WSListener)


async def open_sockets(
    url: str, count: int, make_client: Callable[[int], ClientT], *, compression: bool = False
) -> list[ClientT]:
    limiter = asyncio.Semaphore(CONNECT_CONCURRENCY)
    headers = [(deflate.HEADER, deflate.OFFER)] if compression else []

    async def open_one(index: int) -> ClientT:
        async with limiter:
            _transport, client = await ws_connect(
                lambda: make_client(index),
                url,
                websocket_handshake_timeout=HANDSHAKE_TIMEOUT_S,
                extra_headers=headers,
            )
            return client

    try:
        return await asyncio.gather(*(open_one(index) for index in range(count)))
    except Exception as error:  # whatever the handshake met, the measurement is over
        raise MeasurementFailed(f"opening {count} sockets: {error!r}") from error


def echo_clients(tally: Tally, plan: dict) -> Callable[[int], EchoClient]:
    kind = CompressingClient if plan.get("compression") else EchoClient
    return lambda index: kind(index, tally)


async def prime(url: str, plan: dict) -> None:
    """Make the server load and allocate what it does only for its first connections."""
    tally = Tally(sending=False)
    compression = plan.get("compression", False)
    clients = await open_sockets(url, 10, echo_clients(tally, plan), compression=compression)
    for client in clients:
        client.prepare(messages_for(client.index, 16, "text"))
        client.send(time.perf_counter())
    await all_answered(tally)
    for client in clients:
        client.transport.send_close(1000)
        client.transport.disconnect()
    await asyncio.sleep(0.5)


async def all_answered(tally: Tally) -> None:
    deadline_s = time.monotonic() + ANSWER_TIMEOUT_S
    while tally.in_flight and time.monotonic() < deadline_s:
        await asyncio.sleep(0.01)
    if tally.in_flight:
        raise MeasurementFailed(f"{tally.in_flight} messages without a reply")


def percentile(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


async def exchange(url: str, server_pid: int, plan: dict) -> None:
    sockets: int = plan["sockets"]
    await prime(url, plan)

    tally = Tally()
    compression = plan.get("compression", False)
    resident_before = family_resident_bytes(server_pid)
    cpu_before, opened_from = family_cpu_seconds(server_pid), time.perf_counter()
    clients = await open_sockets(url, sockets, echo_clients(tally, plan), compression=compression)
    open_s = time.perf_counter() - opened_from
    handshake_cpu_s = family_cpu_seconds(server_pid) - cpu_before
    await asyncio.sleep(SETTLE_S)
    idle_bytes = family_resident_bytes(server_pid) - resident_before
    report(
        step="opened",
        cpu_us_per_handshake=handshake_cpu_s / sockets * 1e6,
        all_open_after_s=open_s,
        idle_kb_per_connection=idle_bytes / sockets / 1024,
    )

    gc.freeze()  # ten thousand listeners are not worth the collector's walks
    for cell in plan["cells"]:
        report(step="cell", **cell, **await one_cell(clients, tally, server_pid, cell, plan))

    used_bytes = family_resident_bytes(server_pid) - resident_before
    report(step="used", used_kb_per_connection=used_bytes / sockets / 1024)


async def one_cell(
    clients: list[EchoClient], tally: Tally, server_pid: int, cell: dict, plan: dict
) -> dict[str, float]:
    size_bytes, kind = cell["size_bytes"], cell["kind"]
    tally.kind = WSMsgType.BINARY if kind == "binary" else WSMsgType.TEXT
    tally.sending, tally.wrong = True, 0
    for client in clients:
        client.prepare(messages_for(client.index, size_bytes, kind))
        for _ in range(plan["in_flight"]):
            client.send(time.perf_counter())
    await whole_rounds(tally, clients, plan, plan["warm_up_s"], at_least=1)

    tally.echoed = tally.compressed = 0
    tally.latencies_s.clear()
    sent_before, received_before = bytes_on_the_wire(clients)
    from_s, driver_from_s = time.perf_counter(), time.process_time()
    server_from_s = family_cpu_seconds(server_pid)
    await whole_rounds(tally, clients, plan, plan["window_s"], at_least=3)
    echoed, compressed, latencies_s = tally.echoed, tally.compressed, sorted(tally.latencies_s)
    server_cpu_s = family_cpu_seconds(server_pid) - server_from_s
    driver_cpu_s = time.process_time() - driver_from_s
    window_s = time.perf_counter() - from_s
    sent, received = bytes_on_the_wire(clients)

    tally.sending = False
    if not tally.disconnected:
        await all_answered(tally)
    if tally.disconnected:
        raise MeasurementFailed(f"the server dropped {tally.disconnected} sockets")
    if tally.wrong:
        raise MeasurementFailed(f"{tally.wrong} wrong replies")
    if plan.get("compression") and compressed < echoed:
        raise MeasurementFailed(f"{echoed - compressed} of {echoed} replies are not compressed")
    return {
        "messages": echoed,
        "window_s": window_s,
        "messages_per_s": echoed / window_s,
        "cpu_us_per_message": server_cpu_s / echoed * 1e6,
        "cpu_ns_per_byte": server_cpu_s / echoed / size_bytes * 1e9,
        "server_cpu_share": server_cpu_s / window_s,
        "driver_cpu_share": driver_cpu_s / window_s,
        "p50_ms": percentile(latencies_s, 0.50) * 1e3,
        "p99_ms": percentile(latencies_s, 0.99) * 1e3,
        "wire_bytes_in_per_message": (sent - sent_before) / echoed,
        "wire_bytes_out_per_message": (received - received_before) / echoed,
    }


async def whole_rounds(
    tally: Tally, clients: list[EchoClient], plan: dict, seconds: float, at_least: int
) -> None:
    """Wait that long, then until every message in flight has come round whole times.

    A slow server serves ten thousand sockets in rounds of seconds: reads for a while, then
    replies for a while. A window that ends amid a round would count the CPU of one half
    and the messages of the other.
    """
    from_s, round_of = time.monotonic(), len(clients) * plan["in_flight"]
    start, goal = tally.echoed, 0
    while time.monotonic() - from_s < ROUNDS_TIMEOUT_S:
        echoed = tally.echoed - start
        if not goal and time.monotonic() - from_s >= seconds:
            goal = max(at_least, -(-echoed // round_of)) * round_of
        if (goal and echoed >= goal) or tally.disconnected:
            return
        await asyncio.sleep(0.002)
    raise MeasurementFailed(
        f"{tally.echoed - start} replies in {ROUNDS_TIMEOUT_S:.0f} s, "
        f"too few to measure with {round_of} messages in flight"
    )


@dataclass
class Farewells:
    """The Close frames that all sockets together have got."""

    codes: Counter[int] = field(default_factory=Counter)
    last_s: float = 0.0


class LeavingClient(WSListener):
    """Notes the Close it gets, answers it at once, and waits for the server to cut."""

    def __init__(self, farewells: Farewells) -> None:
        self.farewells = farewells

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.CLOSE:
            self.farewells.codes[int(frame.get_close_code())] += 1
            self.farewells.last_s = time.perf_counter()
            transport.send_close(frame.get_close_code())


async def drain(url: str, server_pid: int, plan: dict) -> None:
    sockets: int = plan["sockets"]
    farewells = Farewells()
    clients = await open_sockets(url, sockets, lambda _index: LeavingClient(farewells))
    gc.freeze()
    await asyncio.sleep(SETTLE_S)

    gone = asyncio.Event()
    # A pidfd turns readable the moment the process ends, whoever its parent is.
    pidfd = os.pidfd_open(server_pid)
    asyncio.get_running_loop().add_reader(pidfd, gone.set)
    from_s, driver_from_s = time.perf_counter(), time.process_time()
    server_from_s = cpu_seconds(server_pid)
    os.kill(server_pid, signal.SIGTERM)
    try:
        await asyncio.wait_for(gone.wait(), DRAIN_TIMEOUT_S)
    except TimeoutError:
        raise MeasurementFailed(f"still there {DRAIN_TIMEOUT_S:.0f} s after SIGTERM") from None
    gone_s = time.perf_counter() - from_s
    # Its parent has yet to reap it, so its clock can still be read.
    server_cpu_s = cpu_seconds(server_pid) - server_from_s
    driver_cpu_s = time.process_time() - driver_from_s
    asyncio.get_running_loop().remove_reader(pidfd)
    await asyncio.sleep(SETTLE_S)  # frames that the kernel still holds for us
    report(
        step="drained",
        sockets=len(clients),
        close_codes={str(code): count for code, count in farewells.codes.items()},
        without_close=sockets - farewells.codes.total(),
        last_close_s=farewells.last_s - from_s,
        process_gone_s=gone_s,
        server_cpu_s=server_cpu_s,
        driver_cpu_s=driver_cpu_s,
    )


def report(**fields: object) -> None:
    print(json.dumps(fields), flush=True)


def main() -> None:
    mode, url, server_pid, plan = sys.argv[1:]
    measure = {"exchange": exchange, "drain": drain}[mode]
    try:
        uvloop.run(measure(url, int(server_pid), json.loads(plan)))
    except MeasurementFailed as failure:
        report(step="failed", reason=str(failure))
    sys.stdout.flush()
    # Closing ten thousand sockets one by one would only delay the next measurement.
    os._exit(0)


if __name__ == "__main__":
    main()
