"""picows (Cython) on uvloop. Text is decoded, so that it is validated as UTF-8 like everywhere."""

import uvloop
from echo_contract import BACKLOG, HOST, MAX_MESSAGE_BYTES, announce, binary_reply, text_reply
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_create_server


class Echo(WSListener):
    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        match frame.msg_type:
            case WSMsgType.TEXT:
                reply = text_reply(frame.get_payload_as_utf8_text())
                transport.send(WSMsgType.TEXT, reply.encode())
            case WSMsgType.BINARY:
                transport.send(WSMsgType.BINARY, binary_reply(frame.get_payload_as_bytes()))
            case WSMsgType.CLOSE:
                transport.send_close(frame.get_close_code())
                transport.disconnect()


async def main() -> None:
    server = await ws_create_server(
        lambda _request: Echo(), HOST, 0, backlog=BACKLOG, max_frame_size=MAX_MESSAGE_BYTES
    )
    announce(server.sockets[0].getsockname()[1])
    await server.serve_forever()


uvloop.run(main())
