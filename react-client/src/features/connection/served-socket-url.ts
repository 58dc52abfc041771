import { consoleJson } from '../../lib/console-fetch';
import { DEFAULT_SOCKET_URL } from './socket-url';

/** How long the first view may wait for the console: it is on this machine, or it is not there. */
const PATIENCE_MS = 500;

/**
 * The address that the field starts with: that of the server whose console serves this page, else
 * (under `npm start`, or from a file) the address where a server listens by default.
 */
export async function findServedSocketUrl(): Promise<string> {
  try {
    const server = await consoleJson('api/server', { signal: AbortSignal.timeout(PATIENCE_MS) });
    if (typeof server === 'object' && server !== null && 'url' in server) {
      return typeof server.url === 'string' ? server.url : DEFAULT_SOCKET_URL;
    }
  } catch {
    // No console there: an error, a time-out, or a page where JSON was hoped for.
  }
  return DEFAULT_SOCKET_URL;
}
