"""Use each of the clients in Python as its documentation says."""

from __future__ import annotations

import asyncio
import queue
from collections.abc import Awaitable, Callable
from importlib.metadata import version

import aiohttp
import httpx_ws
import picows
import trio
import trio_websocket
import websocket
from said import PATIENCE_S, Said
from websockets.asyncio.client import connect as connect_asyncio
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect as connect_sync


def try_websockets_sync(url: str, said: Said) -> None:
    try:
        with connect_sync(url, proxy=None) as client:
            for _ in range(said.sends):
                client.send("hello")
            while not said.is_enough:
                said.append(str(client.recv(timeout=PATIENCE_S)))
    except ConnectionClosed as exc:
        received = exc.rcvd
        said.ended(exc, received and int(received.code), received and received.reason)
    except InvalidStatus as exc:
        said.ended(exc, exc.response.status_code)
    except TimeoutError as exc:
        said.ended(exc)


async def try_websockets_asyncio(url: str, said: Said) -> None:
    try:
        async with connect_asyncio(url, proxy=None) as client:
            for _ in range(said.sends):
                await client.send("hello")
            while not said.is_enough:
                said.append(str(await asyncio.wait_for(client.recv(), PATIENCE_S)))
    except ConnectionClosed as exc:
        received = exc.rcvd
        said.ended(exc, received and int(received.code), received and received.reason)
    except InvalidStatus as exc:
        said.ended(exc, exc.response.status_code)
    except TimeoutError as exc:
        said.ended(exc)


async def try_aiohttp(url: str, said: Said) -> None:
    async with aiohttp.ClientSession() as session:
        try:
            async with session.ws_connect(url) as client:
                for _ in range(said.sends):
                    await client.send_str("hello")
                while not said.is_enough:
                    message = await client.receive(timeout=PATIENCE_S)
                    if message.type is aiohttp.WSMsgType.TEXT:
                        said.append(message.data)
                        continue
                    said.told(f"{message.type.name}, close_code", client.close_code, message.extra)
                    return
        except aiohttp.WSServerHandshakeError as exc:
            said.ended(exc, exc.status)
        except (OSError, aiohttp.ClientError, TimeoutError) as exc:
            said.ended(exc)


def try_websocket_client(url: str, said: Said) -> None:
    try:
        client = websocket.create_connection(url, timeout=PATIENCE_S)
    except websocket.WebSocketBadStatusException as exc:
        said.ended(exc, exc.status_code)
        return
    try:
        for _ in range(said.sends):
            client.send("hello")
        while not said.is_enough:
            opcode, data = client.recv_data(control_frame=True)
            if opcode == websocket.ABNF.OPCODE_CLOSE:
                code = int.from_bytes(data[:2]) if data else None
                said.told("OPCODE_CLOSE", code, data[2:].decode())
                return
            said.append(data.decode())
    except (OSError, websocket.WebSocketException) as exc:
        said.ended(exc)
    finally:
        client.close(timeout=1)


def try_httpx_ws(url: str, said: Said) -> None:
    try:
        with httpx_ws.connect_ws(url) as client:
            for _ in range(said.sends):
                client.send_text("hello")
            while not said.is_enough:
                said.append(client.receive_text(timeout=PATIENCE_S))
    except httpx_ws.WebSocketDisconnect as exc:
        said.ended(exc, exc.code, exc.reason)
    except httpx_ws.WebSocketUpgradeError as exc:
        said.ended(exc, exc.response.status_code)
    except queue.Empty:
        said.told("queue.Empty")
    except httpx_ws.HTTPXWSException as exc:
        said.ended(exc)


class PicowsListener(picows.WSListener):
    """Answers a close frame as picows's own examples do, and ends TCP behind both."""

    def __init__(self, said: Said) -> None:
        self.said = said
        self.is_closing = False
        self.frames: list[str] = []

    def on_ws_connected(self, transport: picows.WSTransport) -> None:
        """Say hello."""
        for _ in range(self.said.sends):
            transport.send(picows.WSMsgType.TEXT, b"hello")

    def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        """Note a message, or a close frame and answer it."""
        if frame.msg_type == picows.WSMsgType.CLOSE:
            if not self.is_closing:
                code, reason = frame.get_close_code(), frame.get_close_message()
                self.said.told("CLOSE", int(code), (reason or b"").decode())
                transport.send_close(code, reason)
            transport.disconnect()
        elif not self.said.is_enough:
            self.frames.append(frame.get_payload_as_ascii_text())
            if frame.fin:
                count = len(self.frames)
                self.said.append(self.frames[0] if count == 1 else f"{count} frames")
                self.frames.clear()
                if self.said.is_enough:
                    self.close(transport)

    def close(self, transport: picows.WSTransport) -> None:
        """Begin to close; the server's close frame ends it."""
        self.is_closing = True
        transport.send_close(picows.WSCloseCode.OK)


async def try_picows(url: str, said: Said) -> None:
    try:
        transport, made = await picows.ws_connect(lambda: PicowsListener(said), url)
    except picows.WSInvalidStatusError as exc:
        said.ended(exc, exc.response.status)
        return
    assert isinstance(made, PicowsListener)
    try:
        await asyncio.wait_for(transport.wait_disconnected(), PATIENCE_S)
    except TimeoutError:
        said.append("(no call)")
        made.close(transport)
        await transport.wait_disconnected()
    else:
        if not (made.is_closing or transport.close_handshake):
            said.append("on_ws_disconnected")


async def try_trio_websocket(url: str, said: Said) -> None:
    try:
        async with trio_websocket.open_websocket_url(url) as client:
            for _ in range(said.sends):
                await client.send_message("hello")
            while not said.is_enough:
                with trio.fail_after(PATIENCE_S):
                    said.append(str(await client.get_message()))
    except trio_websocket.ConnectionClosed as exc:
        reason = exc.reason
        said.ended(exc, reason and reason.code, reason and reason.reason)
    except trio_websocket.ConnectionRejected as exc:
        said.ended(exc, exc.status_code)
    except trio.TooSlowError as exc:
        said.ended(exc)


def in_asyncio(client: Callable[[str, Said], Awaitable[None]]) -> Callable[[str, Said], None]:
    return lambda url, said: asyncio.run(client(url, said))  # type: ignore[arg-type]


CLIENTS: dict[str, Callable[[str, Said], None]] = {
    f"websockets {version('websockets')}, sync": try_websockets_sync,
    f"websockets {version('websockets')}, asyncio": in_asyncio(try_websockets_asyncio),
    f"aiohttp {version('aiohttp')}": in_asyncio(try_aiohttp),
    f"websocket-client {version('websocket-client')}": try_websocket_client,
    f"httpx-ws {version('httpx-ws')}": try_httpx_ws,
    f"picows {version('picows')}": in_asyncio(try_picows),
    f"trio-websocket {version('trio-websocket')}": lambda url, said: trio.run(
        try_trio_websocket, url, said
    ),
}
