"""uWebSockets (C++) by way of socketify's Python binding."""

from echo_contract import HOST, MAX_MESSAGE_BYTES, announce, binary_reply, text_reply
from socketify import App, AppListenOptions, CompressOptions, OpCode


def echo(connection, message, opcode) -> None:
    reply = text_reply(message) if opcode == OpCode.TEXT else binary_reply(message)
    connection.send(reply, opcode)


app = App()
app.ws(
    "/",
    {
        "compression": CompressOptions.DISABLED,
        "max_payload_length": MAX_MESSAGE_BYTES,
        # The default of 64 KiB silently drops every reply larger than that.
        "max_backpressure": 2 * MAX_MESSAGE_BYTES,
        "message": echo,
    },
)
app.listen(AppListenOptions(port=0, host=HOST), lambda listening: announce(listening.port))
app.run()
