// A server and a client of `ws`: say where the server is, read where its proxy is, talk, tell.
const readline = require("node:readline");
const { WebSocket, WebSocketServer } = require("ws");

const seen = { server: {}, client: { received: [] } };
const server = new WebSocketServer({ port: 0, host: "127.0.0.1", perMessageDeflate: true }, () =>
  console.log(`ws://127.0.0.1:${server.address().port}`),
);

server.on("connection", (socket, request) => {
  seen.server.url = request.url;
  seen.server.cookie = request.headers.cookie;
  seen.server.extensions = socket.extensions;
  socket.on("message", (data, isBinary) => socket.send(data, { binary: isBinary }));
  socket.on("ping", (data) => (seen.server.ping = data.toString()));
  socket.on("close", (code, reason) => {
    seen.server.closed = [code, reason.toString()];
    tell();
  });
});

readline.createInterface({ input: process.stdin }).once("line", (url) => {
  const options = { headers: { Cookie: "a=1" }, perMessageDeflate: true };
  const client = new WebSocket(`${url}/chat?x=1`, ["v1", "v2"], options);
  const messages = ["aü世🌍", "x".repeat(300_000), Buffer.alloc(300_000, 7)];
  client.on("open", () => {
    seen.client.protocol = client.protocol;
    seen.client.extensions = client.extensions;
    messages.forEach((message) => client.send(message));
    client.ping("are you there?");
  });
  client.on("pong", (data) => (seen.client.pong = data.toString()));
  client.on("message", (data, isBinary) => {
    const expected = messages[seen.client.received.length];
    seen.client.received.push(data.equals(Buffer.from(expected)) && isBinary !== (typeof expected === "string"));
    if (seen.client.received.length === messages.length) client.close(4321, "bye");
  });
  client.on("close", (code, reason) => {
    seen.client.closed = [code, reason.toString()];
    tell();
  });
});

function tell() {
  if (!seen.server.closed || !seen.client.closed) return;
  console.log(JSON.stringify(seen));
  process.exit();
}
