// A server of `ws`: says where it is, answers with fragments and a ping, and closes when told to.
const { WebSocketServer } = require("ws");

// Compressed from the first byte on, with contexts that last from message to message.
const perMessageDeflate = { threshold: 0 };
const server = new WebSocketServer({ port: 0, host: "127.0.0.1", perMessageDeflate }, () =>
  console.log(`ws://127.0.0.1:${server.address().port}`),
);

server.on("connection", (socket, request) => {
  socket.on("pong", (data) => socket.send(`pong ${data} ${request.headers.origin}`));
  socket.on("message", (data, isBinary) => {
    const text = data.toString();
    if (text === "bye") return socket.close(4321, "so be it");
    if (text === "ping") return socket.ping("from ws");
    socket.send(data.subarray(0, 2), { binary: isBinary, fin: false });
    socket.send(data.subarray(2), { binary: isBinary, fin: true });
  });
});
