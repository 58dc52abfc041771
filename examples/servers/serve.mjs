// Servers of other people's libraries, for the examples: node serve.mjs NAME prints its port.

import { createServer } from "node:http";
import { Duplex } from "node:stream";

const http = createServer((_, response) => response.writeHead(404).end());

async function socketIo() {
  const { Server } = await import("socket.io");
  const io = new Server(http);
  io.on("connection", (socket) => {
    socket.on("say", (text, acknowledge) => acknowledge({ said: text }));
    const tick = setInterval(() => socket.emit("tick", Date.now()), 100);
    socket.on("disconnect", () => clearInterval(tick));
  });
}

async function graphql() {
  const { WebSocketServer } = await import("ws");
  const { useServer } = await import("graphql-ws/use/ws");
  const { buildSchema } = await import("graphql");
  const schema = buildSchema(`
    type Query { add(a: Int!, b: Int!): Int! }
    type Subscription { ticks(every: Int!): Int! }
  `);
  async function* ticks({ every }) {
    for (let number = 0; ; number++) {
      yield { ticks: number };
      await new Promise((resolve) => setTimeout(resolve, every));
    }
  }
  const roots = { query: { add: ({ a, b }) => a + b }, subscription: { ticks } };
  useServer({ schema, roots }, new WebSocketServer({ server: http }));
}

async function mqtt() {
  const { Aedes } = await import("aedes");
  const { WebSocketServer } = await import("ws");
  const broker = await Aedes.createBroker();
  const server = new WebSocketServer({ server: http, handleProtocols: () => "mqtt" });
  server.on("connection", (socket, request) =>
    broker.handle(streamOf(socket), request),
  );
}

// A packet is written in parts: these are sent as one frame, as brokers do.
function streamOf(socket) {
  const stream = new Duplex({
    read() {},
    writev(chunks, done) {
      socket.send(Buffer.concat(chunks.map(({ chunk }) => chunk)), done);
    },
    final: (done) => done(socket.close()),
    destroy: (error, done) => done(error, socket.close()),
  });
  socket.on("message", (data) => stream.push(data));
  socket.on("close", () => stream.destroy());
  return stream;
}

async function rpc() {
  const { Server } = await import("rpc-websockets");
  const server = new Server({ server: http });
  server.register("sum", ([a, b]) => a + b);
  server.register("slow", async ([ms]) => {
    await new Promise((resolve) => setTimeout(resolve, ms));
    return ms;
  });
}

const servers = { "socket.io": socketIo, graphql, mqtt, rpc };
const name = process.argv[2];
if (!(name in servers)) {
  console.error(`serve.mjs: one of ${Object.keys(servers).join(", ")}`);
  process.exit(2);
}
await servers[name]();
http.listen(0, "127.0.0.1", () => console.log(http.address().port));
