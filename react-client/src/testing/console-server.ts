import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** One dial: what was ordered, and the stream that tells of it. */
export interface ServedDial {
  readonly order: unknown;
  readonly headers: IncomingMessage['headers'];
  /** Adds events to the stream. */
  readonly tell: (name: string, data: unknown) => void;
  readonly end: () => void;
  /** Whether the page has left the stream. */
  readonly left: Promise<unknown>;
  /** The items of each request to send. */
  readonly sent: (readonly Record<string, unknown>[])[];
}

interface Serving {
  /** Called once the stream is open. */
  readonly onDial: (dial: ServedDial) => void;
  /** Called for each request to send, before it is answered. */
  readonly onSend?: (dial: ServedDial, items: readonly Record<string, unknown>[]) => void;
  /** Answers a dial with this status and error instead. */
  readonly refusal?: { readonly status: number; readonly error: string };
}

/** An HTTP server that dials nothing, and tells what a test wants told, as `api/dial` does. */
export async function startConsole({ onDial, onSend, refusal }: Serving) {
  const dials: ServedDial[] = [];
  const server = createServer((request, response) => {
    void serve(request, response);
  });
  const serve = async (request: IncomingMessage, response: ServerResponse) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body: unknown = JSON.parse(Buffer.concat(chunks).toString());
    const id = /^\/at\/api\/dial\/(\d+)$/.exec(request.url ?? '')?.[1];
    if (id !== undefined) {
      const dial = dials[Number(id)];
      const { items } = body as { items: Record<string, unknown>[] };
      if (dial !== undefined) {
        dial.sent.push(items);
        onSend?.(dial, items);
      }
      response.writeHead(dial === undefined ? 404 : 204).end();
      return;
    }
    if (refusal !== undefined) {
      const { status, error } = refusal;
      response.writeHead(status, { 'Content-Type': 'application/json' });
      response.end(JSON.stringify({ error }));
      return;
    }
    response.writeHead(200, { 'Content-Type': 'text/event-stream' });
    const dial: ServedDial = {
      order: body,
      headers: request.headers,
      tell: (name, data) => {
        response.write(`event: ${name}\ndata: ${JSON.stringify(data)}\n\n`);
      },
      end: () => {
        response.end();
      },
      left: once(response, 'close'),
      sent: [],
    };
    dial.tell('dial', { id: String(dials.push(dial) - 1), url: '', t: 0 });
    onDial(dial);
  };
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    /** Served under a path, as behind a proxy. */
    base: `http://127.0.0.1:${String(port)}/at/`,
    stop: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
