// Keeps one message in flight on each of many sockets, with Node's `ws`; see websockets_client.py.
import { readFileSync } from "node:fs";
import WebSocket from "ws";

const template = readFileSync(process.env.TEMPLATE, "utf8");
const sockets = Number(process.env.SOCKETS);
const options = { perMessageDeflate: Boolean(process.env.COMPRESSION) };
const connecting = 128;
let next = 0;

function converse() {
  if (next >= sockets) return;
  const mine = template.replaceAll("{conn}", String(next++));
  const socket = new WebSocket(process.env.TARGET, options);
  let number = 0;
  let message;
  const say = () => {
    message = mine.replaceAll("{seq}", String(number++));
    socket.send(message);
  };
  socket.on("open", () => {
    converse();
    say();
  });
  socket.on("message", (data) => {
    if (!data.toString().startsWith(`${message} `)) throw new Error(`wrong reply: ${data}`);
    say();
  });
}

for (let i = 0; i < connecting; i++) converse();
