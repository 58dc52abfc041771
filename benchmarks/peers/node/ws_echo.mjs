// Node's `ws`; `--compression` lets it compress.
import { WebSocketServer } from "ws";

const host = "127.0.0.1";
const maxMessageBytes = 8 * 1024 * 1024;

const server = new WebSocketServer({
  host,
  port: 0,
  backlog: 4096,
  perMessageDeflate: process.argv.includes("--compression"),
  maxPayload: maxMessageBytes,
});

const suffix = () => ` ${Math.floor(Math.random() * 1_000_000)}`;

server.on("connection", (socket) => {
  socket.on("message", (data, isBinary) => {
    if (isBinary) {
      socket.send(Buffer.concat([data, Buffer.from(suffix())]), { binary: true });
    } else {
      socket.send(data.toString() + suffix());
    }
  });
  socket.on("error", () => socket.terminate());
});

server.on("listening", () => console.log(`ready ws=ws://${host}:${server.address().port}/`));
