import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join } from 'node:path';

import { REPOSITORY } from './launcher';

const BUILT_PAGE = join(REPOSITORY, 'echo_trio/console/page');

const TYPES: Readonly<Record<string, string>> = {
  '.css': 'text/css',
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.svg': 'image/svg+xml',
  '.woff2': 'font/woff2',
};

export interface PageServer {
  /** Ends in a slash. */
  readonly url: string;
  readonly stop: () => Promise<void>;
}

/**
 * Serves the built page from memory and has no console: who asks for one gets the page, as from any
 * host of a single-page application. To import Vite's server, which looks for each file and
 * compresses it, and to be served by it took a second of CPU for four tests.
 */
export async function servePage(): Promise<PageServer> {
  const files = new Map<string, { type: string; bytes: Buffer }>();
  for (const name of readdirSync(BUILT_PAGE, { recursive: true, encoding: 'utf8' })) {
    const type = TYPES[extname(name)];
    if (type !== undefined) {
      files.set(`/${name}`, { type, bytes: readFileSync(join(BUILT_PAGE, name)) });
    }
  }
  const page = files.get('/index.html');
  if (page === undefined) throw new Error('the page is not built: npm run bundle');
  const server = createServer((request, answer) => {
    const [path = ''] = (request.url ?? '').split('?');
    const { type, bytes } = files.get(path) ?? page;
    answer.writeHead(200, { 'Content-Type': type, 'Content-Length': bytes.length });
    answer.end(request.method === 'HEAD' ? undefined : bytes);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${String(port)}/`,
    stop: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
