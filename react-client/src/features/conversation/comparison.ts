import { compareLines, firstDifference, type LineComparison } from '../../lib/values/compare-lines';
import { compareTrees } from '../../lib/values/compare-trees';
import { pathOf } from '../../lib/values/value-path';
import type { ValueTree } from '../../lib/values/value-tree';
import { hexDump } from './hex';
import type { Payload } from './payload';
import type { ReadTree } from './read-tree';

/** One value in which two messages differ. */
export interface ValueDifference {
  readonly what: 'changed' | 'only in the first' | 'only in the second';
  /** Where it stands; in the second, where that is another place. */
  readonly path: string;
  readonly pathInSecond: string | null;
  /** As it was written; `null` where there is none. */
  readonly first: string | null;
  readonly second: string | null;
}

export type Comparison =
  | {
      readonly by: 'values';
      readonly differences: readonly ValueDifference[];
      readonly isCut: boolean;
      /** What is to be said of both together. */
      readonly sentence: string;
    }
  | ({ readonly by: 'lines'; readonly sentence: string } & LineComparison);

/** More of a value is not for reading. */
const SHOWN_CHARACTERS = 400;
/** Longer messages are compared by their beginnings, and it is said so. */
const MOST_CHARACTERS = 2_000_000;
const MOST_BYTES = 256 * 1024;

/** How two messages differ: by their values where both have such, else by lines, else by bytes. */
export function compareMessages(first: Payload, second: Payload, readTree: ReadTree): Comparison {
  const [own, theirs] = [readTree(first), readTree(second)];
  if (own !== null && theirs !== null) return byValues(own, theirs);
  return byLines(first, second);
}

function byValues(first: ValueTree, second: ValueTree): Comparison {
  const { differences, isCut } = compareTrees(first, second);
  const sentence =
    differences.length > 0
      ? ''
      : first.text === second.text
        ? 'Both are the same, to the letter.'
        : 'Both have the same values; they are only written differently: spaces, the order of names, or digits.';
  const shown = differences.map((one): ValueDifference => {
    if (one.what === 'removed') {
      const path = pathOf(first, one.first);
      const source = sourceOf(first, one.first);
      return { what: 'only in the first', path, pathInSecond: null, first: source, second: null };
    }
    const pathInSecond = pathOf(second, one.second);
    const source = sourceOf(second, one.second);
    if (one.what === 'added') {
      const path = pathInSecond;
      return { what: 'only in the second', path, pathInSecond: null, first: null, second: source };
    }
    const path = pathOf(first, one.first);
    return {
      what: 'changed',
      path,
      pathInSecond: path === pathInSecond ? null : pathInSecond,
      first: sourceOf(first, one.first),
      second: source,
    };
  });
  return { by: 'values', differences: shown, isCut, sentence };
}

function sourceOf(tree: ValueTree, node: number): string {
  const start = tree.start(node);
  const length = tree.end(node) - start;
  const shown = tree.text.slice(start, start + Math.min(length, SHOWN_CHARACTERS));
  return length > SHOWN_CHARACTERS
    ? `${shown}… (${length.toLocaleString('en')} characters)`
    : shown;
}

function byLines(first: Payload, second: Payload): Comparison {
  if (first.type === 'text' && second.type === 'text') {
    const isLong = Math.max(first.text.length, second.text.length) > MOST_CHARACTERS;
    const [own, theirs] = [first.text, second.text].map((text) => text.slice(0, MOST_CHARACTERS));
    const at = firstDifference(first.text, second.text);
    return {
      by: 'lines',
      sentence:
        at === -1
          ? 'Both are the same, to the letter.'
          : `They differ from character ${(at + 1).toLocaleString('en')} on.${isLong ? ' Only their beginnings are compared by lines.' : ''}`,
      ...compareLines(own ?? '', theirs ?? ''),
    };
  }
  const [own, theirs] = [bytesOf(first), bytesOf(second)];
  const isLong = Math.max(own.length, theirs.length) > MOST_BYTES;
  const at = firstByteThatDiffers(own, theirs);
  const kinds = first.type === second.type ? '' : 'One is text, the other binary. ';
  return {
    by: 'lines',
    sentence: `${kinds}${
      at === -1
        ? 'Both have the same bytes.'
        : `They differ from byte ${at.toLocaleString('en')} (0x${at.toString(16)}) on.${isLong ? ' Only their beginnings are compared by lines.' : ''}`
    }`,
    ...compareLines(hexDump(own.subarray(0, MOST_BYTES)), hexDump(theirs.subarray(0, MOST_BYTES))),
  };
}

function bytesOf(payload: Payload): Uint8Array {
  return payload.type === 'text' ? new TextEncoder().encode(payload.text) : payload.bytes;
}

function firstByteThatDiffers(first: Uint8Array, second: Uint8Array): number {
  const at = first.findIndex((byte, index) => byte !== second[index]);
  if (at !== -1) return at;
  return first.length === second.length ? -1 : first.length;
}
