/** Keep records in the browser, for all of its tabs. */

export const KINDS = ['connections', 'environments'] as const;
export type Kind = (typeof KINDS)[number];

/** What is kept: its content is looked at when it is read, for it may be of another version. */
export interface KeptRecord {
  readonly id: string;
  /** Rises with each change. */
  readonly revision: number;
  readonly content: unknown;
}

export interface Change {
  readonly kind: Kind;
  readonly id: string;
  /** The revision that is to be changed; `null`: there is none of that id yet. */
  readonly from: number | null;
  /** `null` to delete it. */
  readonly to: KeptRecord | null;
}

export interface Records {
  /** Whether what is written is still there after a reload. */
  readonly isKept: boolean;
  readonly readAll: (kind: Kind) => Promise<readonly KeptRecord[]>;
  /**
   * Write all changes or none. Returns the ids that are at another revision than thought, where
   * that is why nothing was written. Throws `NoRoom` where the browser has none.
   */
  readonly write: (changes: readonly Change[]) => Promise<readonly string[]>;
  /** Calls back when another tab has written. */
  readonly onElsewhere: (listener: () => void) => void;
}

export class NoRoom extends Error {}

/** What a page can do where the browser lets it keep nothing. */
export class MemoryRecords implements Records {
  readonly isKept = false;
  readonly #records = new Map<Kind, Map<string, KeptRecord>>(
    KINDS.map((kind) => [kind, new Map()]),
  );

  readonly readAll = (kind: Kind): Promise<readonly KeptRecord[]> =>
    Promise.resolve([...(this.#records.get(kind)?.values() ?? [])]);

  readonly write = (changes: readonly Change[]): Promise<readonly string[]> => {
    const of = (kind: Kind) => this.#records.get(kind);
    const stale = changes.filter(
      ({ kind, id, from }) => (of(kind)?.get(id)?.revision ?? null) !== from,
    );
    if (stale.length === 0) {
      for (const { kind, id, to } of changes) {
        if (to === null) of(kind)?.delete(id);
        else of(kind)?.set(id, to);
      }
    }
    return Promise.resolve(stale.map(({ id }) => id));
  };

  readonly onElsewhere = (): void => undefined;
}

const DATABASE = 'echo-trio';
const VERSION = 1;
const CHANNEL = 'echo-trio.saved';

/** Opens the browser's database; throws where there is none, or a newer page's. */
export async function openRecords(): Promise<Records> {
  const asked = indexedDB.open(DATABASE, VERSION);
  asked.onupgradeneeded = () => {
    for (const kind of KINDS) asked.result.createObjectStore(kind, { keyPath: 'id' });
  };
  const database = await settled(asked);
  // A later version of the page can change it only once all others have let go.
  database.onversionchange = () => {
    database.close();
  };
  const channel = new BroadcastChannel(CHANNEL);
  return {
    isKept: true,
    readAll: async (kind) => {
      const all: unknown[] = await settled(database.transaction(kind).objectStore(kind).getAll());
      return all as KeptRecord[];
    },
    write: async (changes) => {
      const stale = await writeAll(database, changes);
      if (stale.length === 0) channel.postMessage(null);
      return stale;
    },
    onElsewhere: (listener) => {
      channel.addEventListener('message', listener);
    },
  };
}

function writeAll(database: IDBDatabase, changes: readonly Change[]): Promise<readonly string[]> {
  return new Promise((resolve, reject) => {
    const transaction = database.transaction(KINDS, 'readwrite');
    const stale: string[] = [];
    let unread = changes.length;
    const writeOnceAllAreRead = () => {
      unread -= 1;
      if (unread > 0) return;
      if (stale.length > 0) {
        transaction.abort();
        return;
      }
      for (const { kind, id, to } of changes) {
        const records = transaction.objectStore(kind);
        if (to === null) records.delete(id);
        else records.put(to);
      }
    };
    for (const { kind, id, from } of changes) {
      const read = transaction.objectStore(kind).get(id) as IDBRequest<KeptRecord | undefined>;
      read.onsuccess = () => {
        if ((read.result?.revision ?? null) !== from) stale.push(id);
        writeOnceAllAreRead();
      };
    }
    transaction.oncomplete = () => {
      resolve([]);
    };
    transaction.onabort = () => {
      const { error } = transaction;
      if (stale.length > 0) resolve(stale);
      else if (error?.name === 'QuotaExceededError') reject(new NoRoom());
      else reject(error ?? new Error('the browser did not write'));
    };
  });
}

function settled<Result>(request: IDBRequest<Result>): Promise<Result> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => {
      resolve(request.result);
    };
    request.onerror = () => {
      reject(request.error ?? new Error('the browser’s database failed'));
    };
  });
}
