import type { Store } from '../lib/frame-store';

/** Waits, without polling, for a snapshot that is as wanted. */
export function until<Snapshot>(
  store: Store<Snapshot>,
  isAsWanted: (snapshot: Snapshot) => boolean,
): Promise<Snapshot> {
  return new Promise((resolve) => {
    const stop = store.subscribe(check);
    check();
    function check() {
      const snapshot = store.getSnapshot();
      if (!isAsWanted(snapshot)) return;
      stop();
      resolve(snapshot);
    }
  });
}
