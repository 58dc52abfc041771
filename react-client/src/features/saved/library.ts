import { FrameStore, type Store } from '../../lib/frame-store';
import { forget, remember, remembered } from '../../lib/remembered';
import type { Collection, ConnectionContent, EnvironmentContent } from './model';
import { Notes } from './notes';
import { readConnection, readEnvironment } from './read-content';
import {
  type Change,
  type KeptRecord,
  type Kind,
  MemoryRecords,
  NoRoom,
  type Records,
} from './records';

/** A record that could be read. */
export interface Saved<Content> {
  readonly id: string;
  readonly revision: number;
  readonly content: Content;
}

export type SavedConnection = Saved<ConnectionContent>;
export type SavedEnvironment = Saved<EnvironmentContent>;

export interface LibrarySnapshot {
  readonly isReady: boolean;
  /** Whether it is still there after a reload. */
  readonly isKept: boolean;
  /** By name. */
  readonly connections: readonly SavedConnection[];
  readonly environments: readonly SavedEnvironment[];
  /** Whose variables are filled in. */
  readonly chosen: SavedEnvironment | null;
  /** What is kept, but of a form that this page does not know. */
  readonly unreadable: number;
  /** What was deleted last and can come back. */
  readonly deleted: string | null;
}

export type Written =
  | { readonly ok: true; readonly id: string }
  /** `isStale`: another tab has changed it, or deleted it, since it was read. */
  | { readonly ok: false; readonly problem: string; readonly isStale: boolean };

const CHOSEN_KEY = 'echo-trio.environment';

const NO_ROOM =
  'The browser has no room left for this page: nothing was saved. Export what you need, then delete some of it.';

/** All that was saved: connections and environments, the same in all tabs of the browser. */
export class Library {
  readonly store: Store<LibrarySnapshot>;
  readonly #published: FrameStore<LibrarySnapshot>;
  readonly #newId: () => string;
  #records: Records = new MemoryRecords();
  #isReady = false;
  #connections: readonly SavedConnection[] = [];
  #environments: readonly SavedEnvironment[] = [];
  #unreadable = 0;
  #deleted: { readonly name: string; readonly changes: readonly Change[] } | null = null;

  constructor(newId: () => string = randomId) {
    this.#newId = newId;
    this.#published = new FrameStore(
      () => this.#snapshot(),
      (publish) => {
        publish();
      },
    );
    this.store = this.#published;
  }

  /** Reads what is kept. Where the browser keeps nothing, what is saved lasts as long as the page. */
  async load(open: () => Promise<Records>): Promise<void> {
    try {
      this.#records = await open();
      this.#records.onElsewhere(() => void this.#read());
      await this.#read();
    } catch {
      this.#records = new MemoryRecords();
    }
    this.#isReady = true;
    this.#published.markChanged();
  }

  connection(id: string): SavedConnection | null {
    return this.#connections.find((one) => one.id === id) ?? null;
  }

  /** Saves a new one, under a name of its own. */
  addConnection(content: ConnectionContent): Promise<Written> {
    const name = freeName(content.name, this.#connections);
    return this.#add('connections', { ...content, name });
  }

  addEnvironment(content: EnvironmentContent): Promise<Written> {
    const name = freeName(content.name, this.#environments);
    return this.#add('environments', { ...content, name });
  }

  /** Changes what was read before; not where another tab has changed it since. */
  changeConnection(was: SavedConnection, content: ConnectionContent): Promise<Written> {
    return this.#change('connections', was, content);
  }

  changeEnvironment(was: SavedEnvironment, content: EnvironmentContent): Promise<Written> {
    return this.#change('environments', was, content);
  }

  async delete(kind: Kind, was: Saved<ConnectionContent | EnvironmentContent>): Promise<Written> {
    const { id, revision, content } = was;
    const written = await this.#write([{ kind, id, from: revision, to: null }], id);
    if (written.ok) {
      const to = { id, revision: revision + 1, content };
      this.#deleted = { name: content.name, changes: [{ kind, id, from: null, to }] };
      this.#published.markChanged();
    }
    return written;
  }

  /** Brings back what was deleted last. */
  async undoDelete(): Promise<Written> {
    const deleted = this.#deleted;
    const [change] = deleted?.changes ?? [];
    if (deleted === null || change === undefined) {
      return { ok: false, problem: 'Nothing was deleted.', isStale: false };
    }
    const written = await this.#write(deleted.changes, change.id);
    if (written.ok) this.forgetDeleted();
    return written;
  }

  forgetDeleted(): void {
    this.#deleted = null;
    this.#published.markChanged();
  }

  /**
   * Adds all of a file, or nothing of it. Names that are taken get a number. Where no environment
   * was chosen and the file brings one, that is: its connections name its variables.
   */
  async addCollection({ connections, environments }: Collection): Promise<Written> {
    const taken = {
      connections: [...this.#connections],
      environments: [...this.#environments],
    };
    const changeFor = <Content extends ConnectionContent | EnvironmentContent>(
      kind: Kind,
      content: Content,
      others: Saved<Content>[],
    ): Change => {
      const to = {
        ...this.#fresh(content),
        content: { ...content, name: freeName(content.name, others) },
      };
      others.push(to);
      return { kind, id: to.id, from: null, to };
    };
    const added = environments.map((one) => changeFor('environments', one, taken.environments));
    const [first] = added;
    const written = await this.#write(
      [...connections.map((one) => changeFor('connections', one, taken.connections)), ...added],
      '',
    );
    const { chosen } = this.#snapshot();
    if (written.ok && chosen === null && first !== undefined && added.length === 1) {
      this.chooseEnvironment(first.id);
    }
    return written;
  }

  /** Whose variables are filled in; `null` for none. Remembered across reloads. */
  chooseEnvironment(id: string | null): void {
    if (id === null) forget(CHOSEN_KEY);
    else remember(CHOSEN_KEY, id);
    this.#published.markChanged();
  }

  #fresh<Content>(content: Content): Saved<Content> {
    return { id: this.#newId(), revision: 1, content };
  }

  #add(kind: Kind, content: ConnectionContent | EnvironmentContent): Promise<Written> {
    const to = this.#fresh(content);
    return this.#write([{ kind, id: to.id, from: null, to }], to.id);
  }

  #change(
    kind: Kind,
    { id, revision }: Saved<unknown>,
    content: ConnectionContent | EnvironmentContent,
  ): Promise<Written> {
    const to = { id, revision: revision + 1, content };
    return this.#write([{ kind, id, from: revision, to }], id);
  }

  async #write(changes: readonly Change[], id: string): Promise<Written> {
    try {
      const stale = await this.#records.write(changes);
      await this.#read();
      if (stale.length === 0) return { ok: true, id };
      return {
        ok: false,
        problem: 'Another tab has changed this meanwhile: nothing was written over.',
        isStale: true,
      };
    } catch (error) {
      if (error instanceof NoRoom) return { ok: false, problem: NO_ROOM, isStale: false };
      const cause = error instanceof Error ? error.message : String(error);
      return { ok: false, problem: `The browser did not save it: ${cause}`, isStale: false };
    }
  }

  async #read(): Promise<void> {
    const [connections, environments] = await Promise.all([
      this.#records.readAll('connections'),
      this.#records.readAll('environments'),
    ]);
    this.#connections = readable(connections, readConnection);
    this.#environments = readable(environments, readEnvironment);
    const read = this.#connections.length + this.#environments.length;
    this.#unreadable = connections.length + environments.length - read;
    this.#published.markChanged();
  }

  #snapshot(): LibrarySnapshot {
    const chosenId = remembered(CHOSEN_KEY);
    return {
      isReady: this.#isReady,
      isKept: this.#records.isKept,
      connections: this.#connections,
      environments: this.#environments,
      chosen: this.#environments.find(({ id }) => id === chosenId) ?? null,
      unreadable: this.#unreadable,
      deleted: this.#deleted?.name ?? null,
    };
  }
}

/** What another version of the page has kept stays where it is, and is counted. */
function readable<Content extends { readonly name: string }>(
  records: readonly KeptRecord[],
  read: (content: unknown, notes: Notes) => Content | null,
): readonly Saved<Content>[] {
  const order = new Intl.Collator(undefined, { numeric: true });
  return records
    .flatMap(({ id, revision, content }) => {
      const whole = read(content, new Notes());
      return whole === null ? [] : [{ id, revision, content: whole }];
    })
    .sort((a, b) => order.compare(a.content.name, b.content.name));
}

/** `name`, or `name 2` where that is taken. */
export function freeName(
  name: string,
  others: readonly Saved<{ readonly name: string }>[],
): string {
  const taken = new Set(others.map(({ content }) => content.name));
  if (!taken.has(name)) return name;
  const stem = name.replace(/ \d{1,6}$/, '');
  for (let number = 2; ; number++) {
    const next = `${stem} ${String(number)}`;
    if (!taken.has(next)) return next;
  }
}

/** Pages served over plain http from another machine have no `randomUUID`. */
function randomId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
