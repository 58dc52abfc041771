import { consoleJson } from '../../lib/console-fetch';

/** The address of the server whose console serves this page; `null` where none does. */
export async function findServedSocketUrl(): Promise<string | null> {
  try {
    const server = await consoleJson('api/server');
    if (typeof server === 'object' && server !== null && 'url' in server) {
      return typeof server.url === 'string' ? server.url : null;
    }
  } catch {
    // No console there: an error, or a page where JSON was hoped for.
  }
  return null;
}
