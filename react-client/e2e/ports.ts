import { createServer } from 'node:net';

/**
 * Ports that a test may leave and find again. Port 0 gives one of those that the system also deals
 * to whoever connects somewhere: ten thousand at a time in the load tests beside these. One that a
 * server has left is then somebody else's before it comes back, or answers where nothing should.
 */
const FIRST_PORT = 10_100;
/** Below where Linux begins to deal (`net.ipv4.ip_local_port_range`), and macOS far above. */
const LAST_PORT = 32_000;
/** A server takes its port and, for its console, the next. */
const PORTS_EACH = 2;
const ATTEMPTS = 20;

let next = FIRST_PORT + PORTS_EACH * Math.floor((Math.random() * (LAST_PORT - FIRST_PORT)) / 2);

function nextPort(): number {
  const port = next;
  next += PORTS_EACH;
  if (next >= LAST_PORT) next = FIRST_PORT;
  return port;
}

/** Tries `use` with one port after the other, as long as it finds them taken. */
export async function withPort<Result>(use: (port: number) => Promise<Result>): Promise<Result> {
  for (let attempt = 1; ; attempt++) {
    const port = nextPort();
    try {
      if (await isFree(port)) return await use(port);
    } catch (problem) {
      // Taken since it was looked at, by tests of another worker: that is tried again.
      if (attempt >= ATTEMPTS || (await isFree(port))) throw problem;
    }
    if (attempt >= ATTEMPTS) throw new Error(`no free port in ${String(ATTEMPTS)} attempts`);
  }
}

/** A port at which nothing listens, nor will. */
export function findDeadPort(): Promise<number> {
  return withPort((port) => Promise.resolve(port));
}

async function isFree(first: number): Promise<boolean> {
  for (let port = first; port < first + PORTS_EACH; port++) {
    const server = createServer();
    const isOpen = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false));
      server.listen(port, '127.0.0.1', () => resolve(true));
    });
    if (!isOpen) return false;
    await new Promise((resolve) => server.close(resolve));
  }
  return true;
}
