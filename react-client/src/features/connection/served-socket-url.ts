import { consoleJson } from '../../lib/console-fetch';

/** How long the first view may wait for the console: it is on this machine, or it is not there. */
const PATIENCE_MS = 500;

/** The address of the server whose console serves this page; `null` where none does. */
export async function findServedSocketUrl(): Promise<string | null> {
  try {
    const server = await consoleJson('api/server', { signal: AbortSignal.timeout(PATIENCE_MS) });
    if (typeof server === 'object' && server !== null && 'url' in server) {
      return typeof server.url === 'string' ? server.url : null;
    }
  } catch {
    // No console there: an error, a time-out, or a page where JSON was hoped for.
  }
  return null;
}
