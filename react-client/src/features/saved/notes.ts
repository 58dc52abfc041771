/** What of a file was not taken over, or not as it stood there: each kind with its number. */
export interface Note {
  /** Such as “HTTP requests, which are not for this page”. */
  readonly what: string;
  readonly count: number;
  /** Which they were, the first few. */
  readonly names: readonly string[];
}

const NAMED = 5;

/** Count what is left aside, so that nothing goes in silence. */
export class Notes {
  readonly #notes = new Map<string, { count: number; names: string[] }>();

  add(what: string, name = '', count = 1): void {
    const note = this.#notes.get(what) ?? { count: 0, names: [] };
    note.count += count;
    if (name !== '' && note.names.length < NAMED && !note.names.includes(name)) {
      note.names.push(name);
    }
    this.#notes.set(what, note);
  }

  all(): readonly Note[] {
    return Array.from(this.#notes, ([what, { count, names }]) => ({ what, count, names }));
  }
}
