import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { compareLines, firstDifference } from './compare-lines';
import { compareTrees } from './compare-trees';
import { readJson } from './read-json';
import { pathOf } from './value-path';

function treeOf(text: string) {
  const read = readJson(text);
  if (!read.ok) throw new Error(read.problem.what);
  return read.tree;
}

/** The differences as one reads them: `$.a: 1 → 2`. */
function differences(first: string, second: string): string[] {
  const [own, theirs] = [treeOf(first), treeOf(second)];
  return compareTrees(own, theirs).differences.map((one) => {
    const before = one.what === 'added' ? '' : own.source(one.first);
    const after = one.what === 'removed' ? '' : theirs.source(one.second);
    const path = one.what === 'added' ? pathOf(theirs, one.second) : pathOf(own, one.first);
    return `${path}: ${before} → ${after}`;
  });
}

describe('two values', () => {
  it.each([
    ['1', '1.0', []],
    ['{"a": 1, "b": [2e1]}', '{"b": [20], "a": 1.00}', []],
    ['{"a": 1}', '{"a": 2}', ['$.a: 1 → 2']],
    [
      '{"a": 9007199254740993}',
      '{"a": 9007199254740992}',
      ['$.a: 9007199254740993 → 9007199254740992'],
    ],
    ['{"a": 1}', '{"b": 1}', ['$.a: 1 → ', '$.b:  → 1']],
    ['{"a": {"b": [1, {"c": "x"}]}}', '{"a": {"b": [1, {"c": "y"}]}}', ['$.a.b[1].c: "x" → "y"']],
    ['[1, 2, 3, 4]', '[1, 3, 4]', ['$[1]: 2 → ']],
    ['[1, 2]', '[0, 1, 2]', ['$[0]:  → 0']],
    ['[{"id": 1, "v": "a"}, {"id": 2}]', '[{"id": 1, "v": "b"}, {"id": 2}]', ['$[0].v: "a" → "b"']],
    ['{"a": 1, "a": 2}', '{"a": 1, "a": 3}', ['$.a: 2 → 3']],
    ['{"a": 1, "a": 2}', '{"a": 1}', ['$.a: 2 → ']],
    ['{"a": 1}', '{"a": "1"}', ['$.a: 1 → "1"']],
    ['"\\u0041"', '"A"', []],
    ['[]', '{}', ['$: [] → {}']],
  ])('%s and %s differ so: %j', (first, second, expected) => {
    expect(differences(first, second)).toEqual(expected);
  });

  it('do not differ where they mean the same, however they are written', () => {
    const shuffled = fc.jsonValue({ maxDepth: 4 }).map((value) => {
      const other = JSON.stringify(value, (_, inside: unknown) =>
        typeof inside === 'object' && inside !== null && !Array.isArray(inside)
          ? Object.fromEntries(Object.entries(inside).reverse())
          : inside,
      );
      return [JSON.stringify(value, null, 1), other] as const;
    });
    fc.assert(
      fc.property(shuffled, ([first, second]) => {
        expect(differences(first, second)).toEqual([]);
      }),
    );
  });

  it('differ where they do not mean the same, by something that is there', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 4 }), fc.jsonValue({ maxDepth: 4 }), (one, other) => {
        const texts = [JSON.stringify(one), JSON.stringify(other)] as const;
        const isSame = JSON.stringify(sorted(one)) === JSON.stringify(sorted(other));
        expect(differences(...texts).length === 0).toBe(isSame);
        const back = compareTrees(treeOf(texts[1]), treeOf(texts[0])).differences.length === 0;
        expect(back).toBe(isSame);
      }),
    );
  });

  it('are compared however deep and long they are, and the differences are bounded', () => {
    const deep = (inside: string) => '['.repeat(20_000) + inside + ']'.repeat(20_000);
    expect(compareTrees(treeOf(deep('1')), treeOf(deep('2'))).differences).toEqual([
      { what: 'changed', first: 20_000, second: 20_000 },
    ]);
    const long = (item: string) => `[${`${item},`.repeat(200_000)}0]`;
    const compared = compareTrees(treeOf(long('1')), treeOf(long('2')));
    expect(compared.differences).toHaveLength(1_000);
    expect(compared.isCut).toBe(true);
    const zeros = `[1${'0'.repeat(500_000)}1, 1e${'9'.repeat(500_000)}]`;
    expect(compareTrees(treeOf(zeros), treeOf(zeros)).differences).toEqual([]);
  });
});

describe('two texts', () => {
  it('have all of their lines, or say how many of those that are the same are left out', () => {
    const text = fc
      .array(fc.constantFrom('a', 'b', 'c', 'd'), { maxLength: 30 })
      .map((lines) => lines.join('\n'));
    fc.assert(
      fc.property(text, text, (first, second) => {
        const { lines } = compareLines(first, second);
        const sizeOf = (wanted: 'first' | 'second') =>
          lines.reduce(
            (count, line) =>
              count +
              (line.in === 'gap' ? line.count : Number(line.in === 'both' || line.in === wanted)),
            0,
          );
        expect(sizeOf('first')).toBe(first.split('\n').length);
        expect(sizeOf('second')).toBe(second.split('\n').length);
        for (const line of lines) {
          if (line.in === 'gap') continue;
          const lineOf = (line.in === 'second' ? second : first).split('\n')[line.number - 1];
          expect(line.text).toBe(lineOf);
        }
        const isSame = lines.every((line) => line.in === 'gap' || line.in === 'both');
        expect(isSame).toBe(first === second);
      }),
    );
  });

  it('that have little in common are not compared for ever', () => {
    const numbers = (from: number) =>
      Array.from({ length: 20_000 }, (_, index) => String(from + index)).join('\n');
    const { lines, isCut } = compareLines(numbers(0), numbers(1_000_000));
    expect(isCut).toBe(true);
    expect(lines).toHaveLength(1_000);
  });

  it.each([
    ['abc', 'abd', 2],
    ['abc', 'abc', -1],
    ['abc', 'ab', 2],
  ])('%s and %s differ from %i on', (first, second, at) => {
    expect(firstDifference(first, second)).toBe(at);
  });
});

function sorted(value: unknown): unknown {
  if (Object.is(value, -0)) return 0;
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(sorted);
  const entries = Object.entries(value).map(([key, one]) => [key, sorted(one)] as const);
  // Told from a list, as {} is from [].
  return { object: entries.sort(([a], [b]) => (a < b ? -1 : Number(a > b))) };
}
