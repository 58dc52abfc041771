// A server that nobody of this project wrote, on a free port of loopback: `node serve.mjs KIND`.
// Prints its URL once it listens; when its standard input ends, what it has counted, in JSON.

import { createServer } from 'node:http';
import { Duplex } from 'node:stream';

const counts = { opened: 0, answered: 0 };
// How long each answer took inside the server, in milliseconds.
const tookMs = [];

const answer = (begunMs, reply) => {
  counts.answered += 1;
  tookMs.push(performance.now() - begunMs);
  return reply;
};

// A packet is written in parts, corked; brokers that speak WebSocket themselves send it in one frame.
const streamOver = (socket) => {
  const send = (bytes, done) => socket.send(bytes, done);
  const stream = new Duplex({
    read() {},
    write: (chunk, _, done) => send(chunk, done),
    writev: (chunks, done) => send(Buffer.concat(chunks.map(({ chunk }) => chunk)), done),
    final: (done) => done(socket.close()),
  });
  socket.on('message', (bytes) => stream.push(bytes));
  socket.on('close', () => stream.push(null));
  return stream;
};

const kinds = {
  // JSON-RPC by `jayson`: every fifth call of a connection takes 300 ms, and is overtaken.
  async rpc(http) {
    const { default: jayson } = await import('jayson');
    const { WebSocketServer } = await import('ws');
    let called = 0;
    const rpc = new jayson.Server({
      nap(params, done) {
        const begunMs = performance.now();
        called += 1;
        const reply = () => done(null, answer(begunMs, params));
        if (called % 5 === 0) setTimeout(reply, 300);
        else reply();
      },
    });
    const sockets = new WebSocketServer({ server: http });
    sockets.on('connection', () => (counts.opened += 1));
    rpc.websocket({ wss: sockets });
  },

  // socket.io as its second version spoke: the server greets, and pushes a tick among the answers.
  async socketio(http) {
    const { Server } = await import('socket.io');
    const io = new Server(http, { allowEIO3: true, transports: ['websocket'] });
    io.on('connection', (socket) => {
      counts.opened += 1;
      socket.on('ask', (text, acknowledge) => {
        socket.emit('tick', counts.answered);
        acknowledge(answer(performance.now(), text));
      });
    });
  },

  // MQTT by `aedes`, over WebSocket.
  async mqtt(http) {
    const { Aedes } = await import('aedes');
    const { WebSocketServer } = await import('ws');
    const broker = await Aedes.createBroker();
    broker.on('client', () => (counts.answered += 1));
    const sockets = new WebSocketServer({ server: http, handleProtocols: () => 'mqtt' });
    sockets.on('connection', (socket, request) => {
      counts.opened += 1;
      broker.handle(streamOver(socket), request);
    });
  },
};

const http = createServer();
await kinds[process.argv[2]](http);
http.listen(0, '127.0.0.1', () => {
  console.log(`ws://127.0.0.1:${http.address().port}/`);
});
process.stdin.resume();
process.stdin.on('end', () => {
  tookMs.sort((a, b) => a - b);
  console.log(JSON.stringify({ ...counts, tookMs }));
  process.exit(0);
});
