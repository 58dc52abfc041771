import { once } from 'node:events';
import type { AddressInfo } from 'node:net';

import { type WebSocket as Peer, WebSocketServer } from 'ws';

/** A real WebSocket server that does to each client what `serve` says. */
export async function startServer(serve: (client: Peer) => void) {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0 });
  server.on('connection', serve);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    url: `ws://127.0.0.1:${String(port)}/`,
    stop: async () => {
      for (const client of server.clients) client.terminate();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Calls back for each text message. */
export function onText(client: Peer, callback: (text: string) => void): void {
  client.on('message', (data: Buffer, isBinary) => {
    if (!isBinary) callback(data.toString());
  });
}
