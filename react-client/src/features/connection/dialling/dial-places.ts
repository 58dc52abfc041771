/**
 * A browser opens six connections to one host (HTTP/1.1). A dial keeps one for as long as it lasts,
 * as the server's and a run's live figures do; requests to send need one more.
 */
const MOST_DIALS = 3;
const NAME = 'echo-trio.dial.';

/**
 * Takes a place among the dials of all of this page's tabs, until `left`. Resolves to `false` where
 * there is none. A page from another machine without TLS has no locks: there nobody counts.
 */
export async function takeDialPlace(left: AbortSignal): Promise<boolean> {
  const locks = (globalThis.navigator as Partial<Navigator> | undefined)?.locks;
  if (locks === undefined) return true;
  for (let place = 1; place <= MOST_DIALS; place++) {
    const name = `${NAME}${String(place)}`;
    const isTaken = await new Promise<boolean>((resolve) => {
      void locks.request(name, { ifAvailable: true }, async (lock) => {
        resolve(lock !== null);
        if (lock !== null) await untilAborted(left);
      });
    });
    if (isTaken) return true;
  }
  return false;
}

export const NO_PLACE =
  `${String(MOST_DIALS)} chats go through the server already, in this or another tab of the ` +
  'browser, which opens no more connections to it: disconnect one of them first.';

function untilAborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
