import type { Entry, ReceivedEntry, SentEntry } from './conversation';
import { writeHex } from './hex';
import { withoutSuffix } from './payload';

export interface LogFilter {
  readonly text: string;
  readonly isRegex: boolean;
  readonly direction: 'both' | 'sent' | 'received';
  readonly type: 'any' | 'text' | 'json' | 'binary';
}

export const NO_FILTER: LogFilter = {
  text: '',
  isRegex: false,
  direction: 'both',
  type: 'any',
};

type Message = SentEntry | ReceivedEntry;
export type MessageTest = (entry: Message) => boolean;

/** `null`: everything passes. */
export type CompiledFilter =
  | { readonly ok: true; readonly passes: MessageTest | null }
  | { readonly ok: false; readonly problem: string };

/** Of a binary message, so many bytes are looked through. */
const BYTES_SEARCHED = 4_096;

/** Text is found whatever its case; binary messages are searched as hex digits, `de ad be`. */
export function compileFilter(filter: LogFilter): CompiledFilter {
  const tests: MessageTest[] = [];
  const { direction, type } = filter;
  if (direction !== 'both') tests.push(({ kind }) => kind === direction);
  if (type === 'json') tests.push(isJson);
  else if (type !== 'any') tests.push(({ payload }) => payload.type === type);

  if (filter.text !== '' && filter.isRegex) {
    try {
      const pattern = new RegExp(filter.text, 'iu');
      tests.push((entry) => pattern.test(searchedText(entry)));
    } catch (error) {
      const said = error instanceof Error ? error.message : String(error);
      const what = said.replace(/^Invalid regular expression: /, '').replace(/^\/.*\/\w*: /s, '');
      return { ok: false, problem: `Not a regular expression: ${what}.` };
    }
  } else if (filter.text !== '') {
    const wanted = filter.text.toLowerCase();
    tests.push((entry) => searchedText(entry).toLowerCase().includes(wanted));
  }
  if (tests.length === 0) return { ok: true, passes: null };
  return { ok: true, passes: (entry) => tests.every((test) => test(entry)) };
}

function searchedText({ payload }: Message): string {
  return payload.type === 'text'
    ? payload.text
    : writeHex(payload.bytes.subarray(0, BYTES_SEARCHED));
}

/** An object or an array, be it followed by a suffix. */
function isJson(entry: Message): boolean {
  const suffix = entry.kind === 'received' ? (entry.answers?.suffix ?? null) : null;
  const payload = withoutSuffix(entry.payload, suffix);
  if (payload.type !== 'text' || !/^\s*[[{]/.test(payload.text)) return false;
  try {
    JSON.parse(payload.text);
    return true;
  } catch {
    return false;
  }
}

/**
 * The entries of a growing log that pass a filter. What was looked at once is not looked at again,
 * so that a flood costs no more with a filter than without.
 */
export class FilteredLog<Notice> {
  readonly #passes: MessageTest | null;
  /** Ascending; the log has dropped as many of them as are gone. */
  readonly #ids: number[] = [];
  #gone = 0;
  #seenTo = -1;

  constructor(passes: MessageTest | null) {
    this.#passes = passes;
  }

  /** Notices always pass: they tell where one connection ended and the next began. */
  apply(entries: readonly Entry<Notice>[]): readonly Entry<Notice>[] {
    const passes = this.#passes;
    const firstId = entries[0]?.id ?? 0;
    if (passes === null) return entries;
    for (let at = Math.max(0, this.#seenTo + 1 - firstId); at < entries.length; at++) {
      const entry = entries[at];
      if (entry === undefined) continue;
      this.#seenTo = entry.id;
      if (entry.kind === 'notice' || passes(entry)) this.#ids.push(entry.id);
    }
    while ((this.#ids[this.#gone] ?? Infinity) < firstId) this.#gone += 1;
    // Else it would grow for as long as the log goes on.
    if (this.#gone > this.#ids.length / 2) {
      this.#ids.splice(0, this.#gone);
      this.#gone = 0;
    }
    const passing: Entry<Notice>[] = [];
    for (let at = this.#gone; at < this.#ids.length; at++) {
      const entry = entries[(this.#ids[at] ?? 0) - firstId];
      if (entry !== undefined) passing.push(entry);
    }
    return passing;
  }
}
