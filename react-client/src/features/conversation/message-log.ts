/** How much of a conversation the page keeps; the oldest entries go first. */
export interface LogBounds {
  readonly entries: number;
  /** Of payload, so that a few large messages cannot fill the memory either. */
  readonly characters: number;
}

export const LOG_BOUNDS: LogBounds = { entries: 100_000, characters: 64_000_000 };

/** Removing from an array's start moves all the rest: so many at once make that cheap. */
const REMOVED_AT_ONCE = 4_096;

/**
 * A bounded list that counts what it drops.
 *
 * Identifiers run 0, 1, 2, … without gaps, so that an entry is found by arithmetic, and are never
 * used again.
 */
export class MessageLog<Entry extends { readonly id: number; readonly characters: number }> {
  readonly #bounds: LogBounds;
  readonly #entries: Entry[] = [];
  /** Of `#entries`, so many have gone already. */
  #gone = 0;
  #firstId = 0;
  #characters = 0;
  #dropped = 0;
  #snapshot: readonly Entry[] | undefined;

  constructor(bounds: LogBounds = LOG_BOUNDS) {
    this.#bounds = bounds;
  }

  /** Those that were too much, since the log was last cleared. */
  get dropped(): number {
    return this.#dropped;
  }

  /** The identifier that the next appended entry must carry. */
  get nextId(): number {
    return this.#firstId + this.#length;
  }

  append(entry: Entry): void {
    this.#entries.push(entry);
    this.#characters += entry.characters;
    this.#snapshot = undefined;
    this.#dropWhatIsTooMuch();
  }

  /** Replaces an entry by a changed one; nothing happens when it has gone already. */
  replace(id: number, change: (entry: Entry) => Entry): void {
    if (id < this.#firstId) return;
    const index = id - this.#firstId + this.#gone;
    const entry = this.#entries[index];
    if (entry === undefined) return;
    this.#entries[index] = change(entry);
    this.#snapshot = undefined;
  }

  /** Empties the log because the reader asked for it: nothing of that counts as dropped. */
  clear(): void {
    this.#firstId = this.nextId;
    this.#entries.length = 0;
    this.#gone = 0;
    this.#characters = 0;
    this.#dropped = 0;
    this.#snapshot = undefined;
  }

  /** The same array until something changes. */
  snapshot(): readonly Entry[] {
    this.#snapshot ??= this.#entries.slice(this.#gone);
    return this.#snapshot;
  }

  get #length(): number {
    return this.#entries.length - this.#gone;
  }

  #dropWhatIsTooMuch(): void {
    // The newest entry stays, however large: the reader has just asked for it.
    while (
      this.#length > 1 &&
      (this.#length > this.#bounds.entries || this.#characters > this.#bounds.characters)
    ) {
      this.#characters -= this.#entries[this.#gone]?.characters ?? 0;
      this.#gone += 1;
      this.#firstId += 1;
      this.#dropped += 1;
    }
    // Until then, a few thousand that have gone are still held.
    if (this.#gone < REMOVED_AT_ONCE && this.#gone <= this.#length) return;
    this.#entries.splice(0, this.#gone);
    this.#gone = 0;
  }
}
