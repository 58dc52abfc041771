import { mayHave, passes, readTest } from '../../lib/values/value-path';
import type { Entry, ReceivedEntry, SentEntry } from './conversation';
import { writeHex } from './hex';
import { type Payload, withoutSuffix } from './payload';
import { JSON_ONLY, type ReadTree } from './read-tree';

export interface LogFilter {
  readonly text: string;
  readonly isRegex: boolean;
  readonly direction: 'both' | 'sent' | 'received';
  readonly type: 'any' | 'text' | 'json' | 'binary';
  /** What has to stand in a message: `$.type`, `$.id > 7`; nothing where it is empty. */
  readonly value: string;
}

export const NO_FILTER: LogFilter = {
  text: '',
  isRegex: false,
  direction: 'both',
  type: 'any',
  value: '',
};

type Message = SentEntry | ReceivedEntry;
export type MessageTest = (entry: Message) => boolean;

/** `null`: everything passes. */
export type CompiledFilter =
  | { readonly ok: true; readonly passes: MessageTest | null }
  | { readonly ok: false; readonly problem: string; readonly field: 'text' | 'value' };

/** Of a binary message, so many bytes are looked through. */
const BYTES_SEARCHED = 4_096;

/**
 * Text is found whatever its case; binary messages are searched as hex digits, `de ad be`. What
 * stands at a path is looked for in what `readTree` can read.
 */
export function compileFilter(filter: LogFilter, readTree: ReadTree = JSON_ONLY): CompiledFilter {
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
      return { ok: false, problem: `Not a regular expression: ${what}.`, field: 'text' };
    }
  } else if (filter.text !== '') {
    const wanted = filter.text.toLowerCase();
    tests.push((entry) => searchedText(entry).toLowerCase().includes(wanted));
  }
  // Last, since it costs most.
  if (filter.value.trim() !== '') {
    const test = readTest(filter.value);
    if (!test.ok) return { ...test, field: 'value' };
    tests.push((entry) => {
      const payload = ownPayload(entry);
      if (payload.type === 'text' && !mayHave(payload.text, test.value.path)) return false;
      const tree = readTree(payload);
      return tree !== null && passes(tree, test.value);
    });
  }
  if (tests.length === 0) return { ok: true, passes: null };
  return { ok: true, passes: (entry) => tests.every((test) => test(entry)) };
}

function searchedText({ payload }: Message): string {
  return payload.type === 'text'
    ? payload.text
    : writeHex(payload.bytes.subarray(0, BYTES_SEARCHED));
}

/** What it carries without the suffix that a server has appended. */
export function ownPayload(entry: Message): Payload {
  const suffix = entry.kind === 'received' ? (entry.answers?.suffix ?? null) : null;
  return withoutSuffix(entry.payload, suffix);
}

/** An object or an array, be it followed by a suffix. */
function isJson(entry: Message): boolean {
  const payload = ownPayload(entry);
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
 * so that a flood costs no more with a filter than without, and a filter that takes its time does
 * so in pieces.
 */
export class FilteredLog<Notice> {
  readonly #passes: MessageTest | null;
  /** Ascending; the log has dropped as many of them as are gone. */
  readonly #ids: number[] = [];
  #gone = 0;
  #seenTo = -1;
  #pending = 0;

  constructor(passes: MessageTest | null) {
    this.#passes = passes;
  }

  /** Entries that `apply` had no time for. */
  get pending(): number {
    return this.#pending;
  }

  /** As `apply`, for as long as this; an entry that takes longer is looked at all the same. */
  applyFor(entries: readonly Entry<Notice>[], durationMs: number): readonly Entry<Notice>[] {
    const untilMs = performance.now() + durationMs;
    return this.apply(entries, () => performance.now() > untilMs);
  }

  /**
   * Notices always pass: they tell where one connection ended and the next began.
   *
   * @param isTimeUp asked after each entry; what is left then is looked at by the next call.
   */
  apply(
    entries: readonly Entry<Notice>[],
    isTimeUp: () => boolean = () => false,
  ): readonly Entry<Notice>[] {
    const passes = this.#passes;
    const firstId = entries[0]?.id ?? 0;
    if (passes === null) return entries;
    let at = Math.max(0, this.#seenTo + 1 - firstId);
    for (let entry = entries[at]; entry !== undefined; entry = entries[at]) {
      at += 1;
      this.#seenTo = entry.id;
      if (entry.kind === 'notice' || passes(entry)) this.#ids.push(entry.id);
      if (isTimeUp()) break;
    }
    this.#pending = entries.length - at;
    while ((this.#ids[this.#gone] ?? Infinity) < firstId) this.#gone += 1;
    // Else it would grow for as long as the log goes on.
    if (this.#gone > this.#ids.length / 2) {
      this.#ids.splice(0, this.#gone);
      this.#gone = 0;
    }
    const passing: Entry<Notice>[] = [];
    for (let index = this.#gone; index < this.#ids.length; index++) {
      const entry = entries[(this.#ids[index] ?? 0) - firstId];
      if (entry !== undefined) passing.push(entry);
    }
    return passing;
  }
}
