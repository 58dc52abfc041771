/** How much of a conversation the page keeps; the oldest entries go first. */
export interface LogBounds {
  readonly entries: number;
  /** Of payload, so that a few large messages cannot fill the memory either. */
  readonly characters: number;
}

export const LOG_BOUNDS: LogBounds = { entries: 10_000, characters: 32_000_000 };

/**
 * A bounded list that counts what it drops.
 *
 * Identifiers run 0, 1, 2, … without gaps, so that an entry is found by arithmetic, and are never
 * used again.
 */
export class MessageLog<Entry extends { readonly id: number; readonly characters: number }> {
  readonly #bounds: LogBounds;
  readonly #entries: Entry[] = [];
  #characters = 0;
  #dropped = 0;
  #snapshot: readonly Entry[] | undefined;

  constructor(bounds: LogBounds = LOG_BOUNDS) {
    this.#bounds = bounds;
  }

  get dropped(): number {
    return this.#dropped;
  }

  /** The identifier that the next appended entry must carry. */
  get nextId(): number {
    return this.#dropped + this.#entries.length;
  }

  append(entry: Entry): void {
    this.#entries.push(entry);
    this.#characters += entry.characters;
    this.#snapshot = undefined;
    this.#dropWhatIsTooMuch();
  }

  /** Replaces an entry by a changed one; nothing happens when it has been dropped already. */
  replace(id: number, change: (entry: Entry) => Entry): void {
    const index = id - this.#dropped;
    const entry = this.#entries[index];
    if (entry === undefined) return;
    this.#entries[index] = change(entry);
    this.#snapshot = undefined;
  }

  /** The same array until something changes. */
  snapshot(): readonly Entry[] {
    this.#snapshot ??= this.#entries.slice();
    return this.#snapshot;
  }

  #dropWhatIsTooMuch(): void {
    // The newest entry stays, however large: the reader has just asked for it.
    while (
      this.#entries.length > 1 &&
      (this.#entries.length > this.#bounds.entries || this.#characters > this.#bounds.characters)
    ) {
      this.#characters -= this.#entries.shift()?.characters ?? 0;
      this.#dropped += 1;
    }
  }
}
