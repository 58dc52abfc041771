import { remember, remembered } from '../../lib/remembered';
import { asDraft, type Draft } from './composer-draft';

/** A list of drafts that outlives a reload: messages sent before, or saved under their first line. */
export class KeptDrafts {
  readonly #key: string;
  readonly #most: number;

  constructor(key: string, most: number) {
    this.#key = key;
    this.#most = most;
  }

  /** The latest first. */
  all(): readonly Draft[] {
    try {
      const kept: unknown = JSON.parse(remembered(this.#key) ?? '[]');
      return Array.isArray(kept) ? kept.map(asDraft).filter((one) => one !== null) : [];
    } catch {
      return [];
    }
  }

  /** Puts one in front; the last goes where there are too many, and what is too long is not kept. */
  add(draft: Draft): void {
    if (draft.text === '' || draft.text.length > LONGEST_KEPT) return;
    this.#keep([draft, ...this.all().filter((one) => !isSame(one, draft))].slice(0, this.#most));
  }

  remove(draft: Draft): void {
    this.#keep(this.all().filter((one) => !isSame(one, draft)));
  }

  #keep(drafts: readonly Draft[]): void {
    remember(this.#key, JSON.stringify(drafts));
  }
}

/** Storage is small: a few megabytes for all of the page. */
export const LONGEST_KEPT = 20_000;
export const MOST_SAVED = 100;

export const sentBefore = new KeptDrafts('echo-trio.sent', 50);
export const savedMessages = new KeptDrafts('echo-trio.saved', MOST_SAVED);

function isSame(a: Draft, b: Draft): boolean {
  return a.mode === b.mode && a.text === b.text;
}
