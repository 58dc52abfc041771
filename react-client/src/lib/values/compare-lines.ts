import { diffArrays } from 'diff';

/** One line of two texts, or a gap of lines that both have. */
export type ComparedLine =
  | {
      readonly in: 'both' | 'first' | 'second';
      /** From 1, of that text: of what both have, of the first. */
      readonly number: number;
      readonly text: string;
    }
  | { readonly in: 'gap'; readonly count: number };

export interface LineComparison {
  readonly lines: readonly ComparedLine[];
  /** Whether there are more. */
  readonly isCut: boolean;
}

/** Around what differs, for one to see where it is. */
const CONTEXT = 3;
const MOST_LINES = 1_000;
/** Texts that have less in common than this allows are another text altogether. */
const MOST_EDITS = 2_000;

/** How two texts differ, line by line. */
export function compareLines(first: string, second: string): LineComparison {
  const [firsts, seconds] = [first.split('\n'), second.split('\n')];
  const parts = diffArrays(firsts, seconds, { maxEditLength: MOST_EDITS }) as
    | readonly { count: number; added: boolean; removed: boolean }[]
    | undefined;
  const all = parts ?? [
    { count: firsts.length, added: false, removed: true },
    { count: seconds.length, added: true, removed: false },
  ];
  const lines: ComparedLine[] = [];
  let [a, b] = [0, 0];
  all.forEach(({ count, added, removed }, index) => {
    if (added) {
      for (let at = b; at < b + count; at++) {
        lines.push({ in: 'second', number: at + 1, text: seconds[at] ?? '' });
      }
    } else if (removed) {
      for (let at = a; at < a + count; at++) {
        lines.push({ in: 'first', number: at + 1, text: firsts[at] ?? '' });
      }
    } else {
      const before = index === 0 ? 0 : CONTEXT;
      const after = index === all.length - 1 ? 0 : CONTEXT;
      const hidden = count - before - after;
      for (let at = 0; at < count; at++) {
        if (at === before && hidden > 1) {
          lines.push({ in: 'gap', count: hidden });
          at += hidden - 1;
        } else lines.push({ in: 'both', number: a + at + 1, text: firsts[a + at] ?? '' });
      }
    }
    if (!added) a += count;
    if (!removed) b += count;
  });
  return { lines: lines.slice(0, MOST_LINES), isCut: lines.length > MOST_LINES };
}

/** The first character, from 0, in which two texts differ; -1 where they do not. */
export function firstDifference(first: string, second: string): number {
  const length = Math.min(first.length, second.length);
  let at = 0;
  while (at < length && first.charCodeAt(at) === second.charCodeAt(at)) at += 1;
  return at === length && first.length === second.length ? -1 : at;
}
